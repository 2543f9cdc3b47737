"""Tasks as the rows of a short table: of many next to each other, most are only counted, as `standpipe show` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from standpipe.history import Task
from standpipe.history.outline import Line, select_lines
from standpipe.history.records import first_line
from standpipe.model.frozen import frozen
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.views.states import CACHED, LABELS, state_of


@frozen
class TaskRow:
    """A task, or the number of tasks that have no row of their own, if `path` is empty.

    `depth` is 0 for the tasks of the pipeline. `seconds` is for how long it was in progress, None if nothing ran.
    `note` says why it failed or was skipped, or where its outputs come from.
    """

    depth: int
    path: str
    name: str
    state: str
    seconds: float | None
    note: str
    attempts: int

    @property
    def label(self) -> str:
        """The state for people."""
        return LABELS[self.state]


class _TaskLine(Line):
    """A line that knows its task."""

    __slots__ = ("task",)

    def __init__(self, task: Task, depth: int) -> None:
        super().__init__(depth, task.name, task.status.value)
        self.task = task


def list_tasks(tasks: Iterable[Task]) -> Iterator[TaskRow]:
    """Yield the rows of tasks and of those in them, each before those that it contains."""
    for line in select_lines([*tasks], lambda task: task.children, lambda task: task.status.value, _TaskLine):
        if isinstance(line, _TaskLine):
            yield _row(line.task, line.depth - 1)
        else:
            name = f"{line.count} more {LABELS[line.status].lower()}"
            yield TaskRow(line.depth - 1, "", name, line.status, None, "", 0)


def _row(task: Task, depth: int) -> TaskRow:
    state = state_of(task)
    seconds = None if task.status.value == "SKIPPED" or state == CACHED else task.duration
    return TaskRow(depth, task.path, _name(task), state, seconds, strip_controls(describe(task)), len(task.attempts))


def _name(task: Task) -> str:
    return task.name if task.iteration is None else f"iteration {task.name}"


def describe(task: Task) -> str:
    """Return why a task failed by itself or was skipped, or where its outputs come from; empty for others."""
    if task.failure:
        if task.failure.cause_task:
            return ""
        return first_line(task.failure.message)
    if task.skip_reason:
        return task.skip_reason
    return f"from {task.cached_from}" if task.cached_from else ""
