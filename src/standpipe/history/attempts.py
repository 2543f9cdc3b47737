"""The attempt of a task that a user names by its number."""

from __future__ import annotations

from collections.abc import Mapping

from standpipe.errors import NoSuchTask
from standpipe.history.records import Attempt
from standpipe.history.task import Task


def find_attempt(task: Task, number: int | None) -> Attempt:
    """Return an attempt of a task, by default the last one.

    Raises:
        NoSuchTask: if there is none of that number, or the task had none.
    """
    attempts: Mapping[int | None, Attempt] = {each.number: each for each in task.attempts}
    if attempts and number is not None and number not in attempts:
        numbers = ", ".join(map(str, attempts))
        raise NoSuchTask(f"Task {task.path!r} has no attempt {number}. Its attempts are {numbers}, numbered from 1.")
    if not attempts:
        raise NoSuchTask(f"Task {task.path!r} has no log: {_explain_absence(task)}")
    return task.attempts[-1] if number is None else attempts[number]


def _explain_absence(task: Task) -> str:
    if task.cached_from:
        run, _, path = task.cached_from.partition("/")
        return f"it was cached from {task.cached_from}. `standpipe logs {run} {path}` prints the log of that task."
    hint = " Its children have logs of their own." if task.children else ""
    return f"its status is {task.status.value}.{hint}"
