"""Runs, tasks, attempts and artifacts as they are looked back at. Times are in UTC, durations in seconds."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Union

from standpipe.errors import ArgumentError, NoSuchTask, StorageError
from standpipe.history.wording import lines_of_run, lines_of_task
from standpipe.model.events import Failure
from standpipe.model.layout import LOG_FILE, attempt_folder, task_folder
from standpipe.model.locations import is_remote
from standpipe.model.refs import TaskRef
from standpipe.model.types import Json
from standpipe.store.locks import ask_to_stop, is_active
from standpipe.support.shell_commands import command


class Status(enum.Enum):
    """Where a run, a task or an attempt stands; the names of tasks' states, and one more."""

    READY = "READY"  # a task that waits for a free slot, or for the time of its next attempt
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"  # it came to no end, and nobody is at it any more


@dataclass(frozen=True)
class Artifact:
    """An artifact of a run, and its lineage.

    `digest` (`sha256:…`) and `size` (bytes) are those of the payload when its task had left it; empty and None if
    nobody has looked at it. `made_by` is the path of the task that made it, None for what was brought to the run;
    `used_by` are those of the tasks that took it. Both name tasks that ran by themselves, never the pipelines and loops
    around them.
    """

    name: str
    type: str
    uri: str
    digest: str
    size: int | None
    metadata: Mapping[str, Json]
    made_by: str | None
    used_by: tuple[str, ...]
    _place: str = field(repr=False)

    @property
    def path(self) -> Path | None:
        """Where its payload is on this machine; None if it is elsewhere."""
        return None if is_remote(self._place) else Path(self._place)


#: An input or output: JSON, an artifact, or a list of artifacts.
Value = Union[Json, Artifact, "list[Artifact]"]


@dataclass(frozen=True)
class Attempt:
    """One attempt at a task. `number` counts from 0, those of a run that was interrupted included.

    `cpu_seconds` and `peak_memory` (bytes) are those of all its processes, None where nobody could tell. `log_bytes`
    and `log_lines` say where its log ended; None for an attempt without a report.
    """

    number: int
    status: Status
    started: datetime
    _run_folder: Path = field(repr=False)
    _task: TaskRef = field(repr=False)
    ended: datetime | None = None
    duration: float | None = None
    failure: Failure | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    log_bytes: int | None = None
    log_lines: int | None = None

    @property
    def folder(self) -> Path:
        """What it left."""
        return attempt_folder(self._run_folder, self._task, self.number)

    @property
    def log(self) -> Path:
        """The file with everything that it printed."""
        return self.folder / LOG_FILE


@dataclass(frozen=True)
class Task:
    """A task that the run has reached. Pipelines in it, loops and their iterations are tasks with `children`.

    `path` is its name behind those of the tasks around it; an iteration has its number for a name, from 0, and `item`.
    `cached_from` names the run and task that its outputs come from, if it did not have to run; `skipped_because` says
    why it was skipped. It `started` when its first attempt did, or it began as a whole.
    """

    path: str
    name: str
    iteration: int | None
    item: Value
    status: Status
    started: datetime | None
    ended: datetime | None
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    cached_from: str
    skipped_because: str
    failure: Failure | None
    attempts: tuple[Attempt, ...]
    children: tuple[Task, ...]
    _run_folder: Path
    _ref: TaskRef

    @property
    def folder(self) -> Path:
        """What it left: the folder of its first attempt, or those of its children."""
        return task_folder(self._run_folder, self._ref)

    @property
    def rerun_command(self) -> str:
        """The command that runs just this task again, with the inputs that it had; empty if no attempt began."""
        if not self.attempts:
            return ""
        return command("rerun", self._run_folder.parent, self._run_folder.name, self.path)

    @property
    def duration(self) -> float | None:
        """Seconds from its start to its end; None until it has both."""
        return _between(self.started, self.ended)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The artifacts among its outputs."""
        values = (each for value in self.outputs.values() for each in (value if isinstance(value, list) else (value,)))
        return tuple(value for value in values if isinstance(value, Artifact))

    def __repr__(self) -> str:
        return f"<Task {self.path}: {self.status.value}>"

    def __str__(self) -> str:
        return "\n".join(lines_of_task(self))


@dataclass(frozen=True)
class Story:
    """What the facts of a run tell, put together."""

    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    tasks: tuple[Task, ...]
    artifacts: tuple[Artifact, ...]
    failures: tuple[str, ...]
    resumed: int


@dataclass(frozen=True, eq=False)
class Run:
    """A run as it was when it was looked at; ask again to see how it goes on.

    `created` is when it was asked for, `folder` holds what it left. `repeats` names the run and the task that it runs
    again, and is empty for other runs. The store is read for its tasks when they are first asked for.
    """

    id: str
    pipeline: str
    status: Status
    created: datetime
    started: datetime | None
    ended: datetime | None
    folder: Path
    repeats: str
    _read: Callable[[], Story] = field(repr=False)

    @property
    def duration(self) -> float | None:
        """Seconds from its first start to its last end; None until it has ended."""
        return _between(self.started, self.ended)

    @property
    def inputs(self) -> Mapping[str, Value]:
        """The inputs of the pipeline, defaults included."""
        return self._story.inputs

    @property
    def outputs(self) -> Mapping[str, Value]:
        """The outputs of the pipeline; empty until it has succeeded."""
        return self._story.outputs

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of the pipeline that the run has reached, in that order; others are in their `children`."""
        return self._story.tasks

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All artifacts that tasks made, in that order, and then those that were brought to the run."""
        return self._story.artifacts

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each task that failed by itself."""
        return self._story.failures

    @property
    def resumed(self) -> int:
        """How often the run was resumed."""
        return self._story.resumed

    def all_tasks(self) -> Iterator[Task]:
        """All tasks, each before its children."""
        waiting = [*reversed(self.tasks)]
        while waiting:
            task = waiting.pop()
            yield task
            waiting += reversed(task.children)

    def task(self, path: str) -> Task:
        """The task of that path, such as `loop/3/train`, or the only one of that name.

        Raises:
            ArgumentError: if `path` is no text.
            NoSuchTask: if there is none, or several have that name.
        """
        if not isinstance(path, str):
            raise ArgumentError(f"{path!r} is no task: pass its name or its path, such as 'loop/3/train'.")
        found = self._by_path.get(path)
        if found:
            return found
        named = [task for task in self._by_path.values() if task.name == path]
        if len(named) == 1:
            return named[0]
        raise NoSuchTask(_no_such_task(self.id, path, [task.path for task in named], [*self._by_path]))

    def log(self, task: str | Task, attempt: int | None = None) -> str:
        """What an attempt at a task printed, the last one by default. Bytes that are no UTF-8 are replaced.

        Raises:
            ArgumentError: as `task`, or if `attempt` is no number.
            NoSuchTask: as `task`, or if there was no such attempt.
            StorageError: if the log is not there any more.
        """
        if attempt is not None and not isinstance(attempt, int):
            raise ArgumentError(f"attempt={attempt!r} is no number of an attempt: they count from 0.")
        return _log(task if isinstance(task, Task) else self.task(task), attempt)

    def cancel(self) -> bool:
        """Asks the run to stop, as Ctrl-C would in the process that is at it; returns whether one is.

        Its exit tasks still run. Asked again, it stops without them.

        Raises:
            StorageError: if it cannot be asked.
        """
        goes_on = is_active(self.folder)
        if goes_on:
            ask_to_stop(self.folder)
        return goes_on

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status.value}>"

    def __str__(self) -> str:
        return "\n".join(lines_of_run(self))

    @cached_property
    def _story(self) -> Story:
        return self._read()

    @cached_property
    def _by_path(self) -> Mapping[str, Task]:
        return {task.path: task for task in self.all_tasks()}


def moment(seconds: float) -> datetime:
    """A time that is told in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None


def _no_such_task(run: str, path: str, named: list[str], paths: list[str]) -> str:
    if named:
        return f"{len(named)} tasks of run {run} are named {path!r}: give the path of one, such as {named[0]!r}."
    close = get_close_matches(path, paths, n=5)
    known = f"The closest are {', '.join(close)}; " if close else ""
    return f"Run {run} has not reached a task {path!r}. {known}`standpipe show {run}` shows all that it has."


def _log(task: Task, number: int | None) -> str:
    attempts: dict[Any, Attempt] = {each.number: each for each in task.attempts}
    if not attempts or (number is not None and number not in attempts):
        which = "No attempt" if number is None else f"No attempt {number}"
        where = f"it was cached, from {task.cached_from}" if task.cached_from else "its status is " + task.status.value
        numbers = f"it has {', '.join(map(str, attempts))}" if attempts else where
        hint = " Its children have logs of their own." if task.children else ""
        raise NoSuchTask(f"{which} at task {task.path!r} left a log: {numbers}.{hint}")
    path = attempts[max(attempts) if number is None else number].log
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise StorageError(f"The log of task {task.path!r} is not there any more: {path}.") from None
    except OSError as error:
        raise StorageError(f"The log of task {task.path!r} cannot be read: {error.strerror} ({path}).") from error
