"""The ends of logs, for what is read without the run: reports and files for CI."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from standpipe.history import Attempt, Run, Status, Task
from standpipe.history.log_files import describe_problem
from standpipe.model.frozen import frozen
from standpipe.support.terminal_text import strip_controls
from standpipe.support.untrusted_files import UntrustedFileError, open_below

#: In which order the logs are: those that explain a failure first.
_ORDER = (Status.FAILED, Status.INTERRUPTED, Status.CANCELLED, Status.RUNNING)


@frozen
class LogTail:
    """The end of the log of the last attempt of a task.

    `text` has no commands for terminals. `is_cut` is whether the log has more before it. `problem` says why it cannot
    be read; empty if it can.
    """

    path: str
    state: str
    attempt: int
    text: str = ""
    is_cut: bool = False
    problem: str = ""


def read_tails(run: Run, *, most: int, lines: int, size: int, total: int) -> Iterator[LogTail]:
    """Yield the ends of the logs of a run that are not empty, those of failed tasks first.

    Args:
        run: the run.
        most: how many logs are read.
        lines: the most lines of one.
        size: the most bytes of one.
        total: the most bytes of all.
    """
    for task in by_urgency(task for task in run.all_tasks() if task.attempts and task.attempts[-1].log_bytes != 0):
        if most <= 0 or total <= 0:
            return
        tail = read_tail(task, run.folder.parent, lines=lines, size=min(size, total))
        if tail.text or tail.problem:
            most, total = most - 1, total - len(tail.text.encode(errors="replace"))
            yield tail


def by_urgency(tasks: Iterable[Task]) -> list[Task]:
    """Return tasks in their order, but those that failed or were stopped first."""
    return sorted(tasks, key=lambda task: _ORDER.index(task.status) if task.status in _ORDER else len(_ORDER))


def read_tail(task: Task, root: Path, *, lines: int, size: int) -> LogTail:
    """Return the end of the log of the last attempt of a task.

    Args:
        task: a task that had an attempt.
        root: the pipeline root, below which no link is followed.
        lines: the most lines.
        size: the most bytes.
    """
    attempt = task.attempts[-1]
    try:
        content, is_cut = _read_end(attempt, root, size)
    except (OSError, UntrustedFileError) as error:
        has_printed_nothing = isinstance(error, FileNotFoundError) and attempt.status is Status.RUNNING
        problem = "" if has_printed_nothing else describe_problem(error, attempt)
        return LogTail(task.path, task.status.value, attempt.number, problem=problem)
    text = strip_controls(content.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n"))
    kept = text.splitlines()
    if is_cut and len(kept) > 1:
        del kept[0]  # of which the beginning is missing
    is_cut = is_cut or len(kept) > lines
    return LogTail(task.path, task.status.value, attempt.number, "\n".join(kept[-lines:]), is_cut)


def _read_end(attempt: Attempt, root: Path, size: int) -> tuple[bytes, bool]:
    file = open_below(attempt.log, root)
    try:
        length = os.fstat(file).st_size
        start = max(0, length - size)
        return os.pread(file, min(size, length), start), start > 0
    finally:
        os.close(file)
