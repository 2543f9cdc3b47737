"""The outline of a run: a line for each task and the tasks in it, as `standpipe show` prints it.

Of many tasks next to each other, those that succeeded are only counted, and so are the others from a certain number on.
So the outline of a run of 100,000 tasks is no longer than a person reads, and the run store keeps it.

This module imports next to nothing, as `standpipe show` has to answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from standpipe.support.durations import format_duration

TYPE_CHECKING = False  # `typing` takes longer to import than this module
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

#: With more siblings than this, those that succeeded are only counted.
MAX_SIBLINGS = 20

#: Of more siblings of another status, the others are counted.
MAX_OF_STATUS = 100

#: The most failures that are described.
MAX_FAILURES = 100

#: What is said of the siblings that are counted, by their status.
_COUNTED = {
    "READY": "more that are ready",
    "RUNNING": "more that are running",
    "SUCCEEDED": "that succeeded",
    "FAILED": "more that failed",
    "SKIPPED": "more that were skipped",
    "CANCELLED": "more that were cancelled",
    "INTERRUPTED": "more that were interrupted",
}


class Line:
    """A line of an outline: a task, or the number of tasks that have no line of their own.

    `depth` is 1 for the tasks of the pipeline. `name` is empty for a number of tasks. `status` is one of
    `history.Status`. `seconds` is for how long the task was in progress, None if that is not known. `note` follows the
    status: why it failed or was skipped, or where its outputs come from. `count` is the number of tasks.
    """

    __slots__ = ("count", "depth", "name", "note", "seconds", "status")

    def __init__(
        self, depth: int, name: str, status: str, seconds: float | None = None, note: str = "", count: int = 1
    ) -> None:
        self.depth = depth
        self.name = name
        self.status = status
        self.seconds = seconds
        self.note = note
        self.count = count

    def fields(self) -> list[object]:
        """Return the fields in the order of the arguments, as the run store keeps them."""
        return [self.depth, self.name, self.status, self.seconds, self.note, self.count]


def select_lines(
    tasks: Sequence[T],
    children: Callable[[T], Sequence[T]],
    status: Callable[[T], str],
    line: Callable[[T, int], Line],
    *,
    all_tasks: bool = False,
) -> Iterator[Line]:
    """Yield the lines of sibling tasks and of those in them, each before those that it contains.

    Args:
        tasks: the siblings.
        children: returns the tasks in a task.
        status: returns the status of a task.
        line: returns the line of a task at a depth.
        all_tasks: whether every task has a line.
    """
    pending: list[Line | tuple[int, T]] = _select_level(1, tasks, status, all_tasks)
    while pending:
        entry = pending.pop()
        if isinstance(entry, Line):
            yield entry
            continue
        depth, task = entry
        yield line(task, depth)
        pending += _select_level(depth + 1, children(task), status, all_tasks)


def _select_level(
    depth: int, tasks: Sequence[T], status: Callable[[T], str], all_tasks: bool
) -> list[Line | tuple[int, T]]:
    """Return the siblings that have a line, and the numbers of the others, the last line first."""
    if all_tasks or len(tasks) <= MAX_SIBLINGS:
        return [(depth, task) for task in reversed(tasks)]
    shown: list[Line | tuple[int, T]] = []
    seen: dict[str, int] = {}
    for task in tasks:
        name = status(task)
        seen[name] = count = seen.get(name, 0) + 1
        if count <= _most(name):
            shown.append((depth, task))
    hidden = {name: count - _most(name) for name, count in seen.items() if count > _most(name)}
    counts = [Line(depth, "", name, count=hidden[name]) for name in sorted(hidden, key=_success_first)]
    return [*shown, *counts][::-1]


def _most(status: str) -> int:
    return 0 if status == "SUCCEEDED" else MAX_OF_STATUS


def _success_first(status: str) -> tuple[bool, str]:
    return status != "SUCCEEDED", status


def render_lines(lines: Iterable[Line]) -> Iterator[str]:
    """Yield the text of each line, indented by its depth."""
    previous = 0  # the depth of the line before
    for line in lines:
        indent = "  " * line.depth
        if line.name:
            yield f"{indent}{line.name}: {format_progress(line.status, line.seconds)}{line.note}"
        else:
            yield f"{indent}{'and ' if previous >= line.depth else ''}{line.count} {_COUNTED[line.status]}"
        previous = line.depth


def render_run(run: str, status: str, seconds: float | None, rerun_of: str, rest: Iterable[str]) -> str:
    """Return the text of a run: its id and status, what it is a rerun of, and the lines of its tasks and failures."""
    origin = (f"rerun of: {rerun_of}",) if rerun_of else ()
    return "\n".join((f"{run}: {format_progress(status, seconds)}", *origin, *rest))


def limit_failures(failures: Sequence[str]) -> Sequence[str]:
    """Return descriptions of failures, of which many are only counted."""
    hidden = len(failures) - MAX_FAILURES
    return failures if hidden <= 0 else [*failures[:MAX_FAILURES], f"and {hidden} more failures"]


def format_progress(status: str, seconds: float | None) -> str:
    """Return a status and, unless nothing ran, a duration: `failed in 3 s`.

    >>> format_progress("FAILED", 3.0), format_progress("SKIPPED", 0.0), format_progress("RUNNING", None)
    ('failed in 3 s', 'skipped', 'running')
    """
    has_duration = seconds is not None and status != "SKIPPED"
    return status.lower() + (f" in {format_duration(seconds or 0.0)}" if has_duration else "")
