"""The logs of a run's attempts as streams of lines: each call continues where the one before it has stopped.

Nothing reads a whole log at once: a log may be longer than the memory, and may grow meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from standpipe.errors import NoSuchTask, StandpipeError
from standpipe.history.attempts import find_attempt
from standpipe.history.log_files import describe_problem, describe_truncation, find_tail, read_on
from standpipe.history.records import Attempt, Status
from standpipe.history.run import Run
from standpipe.history.task import Task
from standpipe.model.plan import Dag, Plan
from standpipe.store.changes import StoreChanges
from standpipe.store.reading import plan_digest, read_plan, run_row

#: How often logs are read for new lines, and the longest time between two looks at the run, in seconds.
_INTERVAL = 0.2
_CHECK_INTERVAL = 1.0

#: How many times as long as it reads a run and its logs it waits: the records of a run of 10,000 tasks take long.
_IDLE_SHARE = 4.0

#: The statuses of a task that has no attempt any more.
FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.SKIPPED, Status.CANCELLED})


@dataclass(frozen=True)
class LogPart:
    """Lines of one attempt, in their order. `problem` says what else a reader has to know of the log."""

    task: str
    attempt: int
    lines: tuple[str, ...] = ()
    problem: str = ""
    is_unreadable: bool = False


class LogStream:
    """What the logs of a run, of a group of tasks or of one task have that was not read yet.

    Of a single task, the log of its last attempt is read, and those of attempts that start later.

    Args:
        path: the path or the name of a task or group; empty for all tasks.
        attempt: the number of the only attempt that is read; None for those described above.
        tail: the most lines of each log that are read when it is read first; None for all.
    """

    def __init__(self, path: str = "", attempt: int | None = None, tail: int | None = None) -> None:
        self._path = path
        self._attempt = attempt
        self._tail = tail
        self._offsets: dict[tuple[str, int], int] = {}
        self._complete: set[tuple[str, int]] = set()
        self._first: int | None = None  # the first attempt of a single task that is read

    def read(self, run: Run) -> Iterator[LogPart]:
        """Yield what is new, in the order in which the attempts started.

        Args:
            run: the run as it is now.

        Raises:
            NoSuchTask: if the run has no such task, or the task no such attempt.
        """
        for task, attempt in self._attempts(run):
            if (task.path, attempt.number) not in self._complete:
                yield from self._read_attempt(run, task, attempt)

    def _attempts(self, run: Run) -> list[tuple[Task, Attempt]]:
        task = run.task(self._path) if self._path else None
        if task is None or task.children:
            if self._attempt is not None:
                raise NoSuchTask(_no_attempts(run, task, self._attempt))
            return list_attempts(run, task)
        if self._attempt is not None:
            return [(task, find_attempt(task, self._attempt))]
        if self._first is None and task.attempts:
            self._first = task.attempts[-1].number
        return [(task, each) for each in task.attempts if each.number >= (self._first or 0)]

    def _read_attempt(self, run: Run, task: Task, attempt: Attempt) -> Iterator[LogPart]:
        key, root = (task.path, attempt.number), run.folder.parent
        has_ended = attempt.status is not Status.RUNNING
        try:
            yield from self._read_file(key, attempt.log, root, has_ended=has_ended)
            note = describe_truncation(attempt, self._offsets[key]) if has_ended else ""
        except (OSError, StandpipeError) as error:
            if isinstance(error, FileNotFoundError) and (not has_ended or attempt.log_bytes == 0):
                return  # it has not printed anything, or not yet
            self._complete.add(key)
            yield LogPart(*key, problem=describe_problem(error, attempt), is_unreadable=True)
            return
        if has_ended:
            self._complete.add(key)
        if note:
            yield LogPart(*key, problem=note)

    def _read_file(self, key: tuple[str, int], path: Path, root: Path, *, has_ended: bool) -> Iterator[LogPart]:
        """Yield the whole lines of a log up to its end; also the last one without an end if the attempt has ended."""
        if key not in self._offsets:
            self._offsets[key] = 0 if self._tail is None else find_tail(path, root, self._tail)
        while True:
            piece = read_on(path, root, self._offsets[key])
            is_end = piece.stop >= piece.size
            rest = (piece.rest,) if piece.rest and is_end and has_ended else ()
            self._offsets[key] = piece.stop if rest else piece.end
            if piece.lines or rest:
                yield LogPart(*key, (*piece.lines, *rest))
            if is_end:
                return


def follow(run: Run, stream: LogStream, path: str = "") -> Iterator[LogPart]:
    """Yield what logs have, and what is added to them until the run has ended, or the task or group.

    Args:
        run: the run, which may be in progress in another process.
        stream: reads the logs.
        path: the path or the name of the task or group that `stream` reads; it may not have been reached yet.

    Raises:
        NoSuchTask: as `LogStream.read`, but for what may still come.
        NoSuchRun: if the run is deleted meanwhile.
        StorageError: if the run store cannot be read.
    """
    changes = StoreChanges(run.folder.parent)
    next_check = 0.0
    while True:
        begin = time.monotonic()
        has_ended = run.status is not Status.RUNNING or _has_ended(run, path)
        try:
            yield from stream.read(run)
        except NoSuchTask:
            if has_ended or not _may_come(run, path):
                raise
        if has_ended:
            return
        time.sleep(max(_INTERVAL, _IDLE_SHARE * (time.monotonic() - begin)))
        if changes.poll() or time.monotonic() >= next_check:  # a process that is killed leaves no trace in the store
            run, next_check = run.refresh(), time.monotonic() + _CHECK_INTERVAL


def _has_ended(run: Run, path: str) -> bool:
    task = _find(run, path)
    return task is not None and task.status in FINAL


def _find(run: Run, path: str) -> Task | None:
    try:
        return run.task(path) if path else None
    except NoSuchTask:
        return None


def _may_come(run: Run, path: str) -> bool:
    """Return whether a run in progress may still reach a task, or another attempt of it."""
    if _find(run, path) is not None:
        return True
    if any(task.name == path for task in run.all_tasks()):
        return False  # several have the name
    root = run.folder.parent
    digest = plan_digest(root, run_row(root, run.id))
    return not digest or path.rpartition("/")[2] in _node_names(read_plan(root, digest))


def _node_names(plan: Plan) -> set[str]:
    bodies = (component.body for _, component in plan.components_by_path())
    return {name for body in bodies if isinstance(body, Dag) for name in body.nodes}


def list_attempts(run: Run, group: Task | None) -> list[tuple[Task, Attempt]]:
    """Return all attempts of a run, or of a group, by the times at which they started."""
    tasks = run.all_tasks() if group is None else _within(group)
    attempts = [(task, attempt) for task in tasks for attempt in task.attempts]
    return sorted(attempts, key=lambda each: each[1].started)


def _within(group: Task) -> Iterator[Task]:
    pending = [group]
    while pending:
        task = pending.pop()
        yield task
        pending += reversed(task.children)


def _no_attempts(run: Run, task: Task | None, number: int) -> str:
    subject = f"{task.path!r} is a group of tasks" if task else f"Run {run.id} has many tasks"
    return f"Which attempt {number}? {subject}: name one task, as in `standpipe logs {run.id} TASK --attempt {number}`."
