"""What tasks of a test have printed: as records of `logging`, and in the report of a test that failed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from standpipe import history
from standpipe.errors import StandpipeError
from standpipe.history import Run, Status, Task
from standpipe.history.render import render_failure
from standpipe.support.terminal_text import strip_controls

#: Has a record of level `INFO` for each line that a task printed.
LOGGER = logging.getLogger("standpipe.tasks")

#: The most lines of an attempt that are records, and the most runs in the report of a test.
_MAX_LINES = 1000
_MAX_RUNS = 5


def log_tasks(run: Run) -> None:
    """Make records of what the tasks of a run have printed, task by task, in the order in which they started."""
    tasks = [task for task in run.all_tasks() if task.attempts]
    for task in sorted(tasks, key=lambda task: task.attempts[0].started):
        for attempt in task.attempts:
            lines = run.log(task, attempt.number).splitlines()
            for line in lines[-_MAX_LINES:]:
                LOGGER.info("%s: %s", task.path, line)


def report_sections(root: Path, *, with_failures: bool = True) -> Iterator[tuple[str, str]]:
    """Yield the sections of the report of a test that failed: a title and a text for each run of it, oldest first.

    Args:
        root: the pipeline root of the test.
        with_failures: whether the tracebacks and the ends of the logs of failed tasks are there, too.
    """
    try:
        runs = history.runs(root)
        for run in reversed(runs[:_MAX_RUNS]):
            yield f"standpipe run {run.id}", _describe_run(run, with_failures=with_failures)
    except StandpipeError as error:
        yield "standpipe run", f"The runs of the test cannot be read: {error}"
        return
    if len(runs) > _MAX_RUNS:
        yield "standpipe run", f"{len(runs) - _MAX_RUNS} earlier runs are left out: standpipe runs --root {root}"


def _describe_run(run: Run, *, with_failures: bool) -> str:
    lines = [run.to_text()]
    for task in run.all_tasks() if with_failures else ():
        if task.status is Status.FAILED and task.failure and not task.children:
            lines += ["", *_describe_failure(task)]
    return strip_controls("\n".join(lines))


def _describe_failure(task: Task) -> Iterator[str]:
    assert task.failure is not None, "it has failed"
    yield f"task {task.path}:"
    yield from render_failure(task.failure)
