"""The record of a run, and its text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from standpipe.errors import ArgumentError, NoSuchTask, StorageError, TaskFailure
from standpipe.history.attempts import find_attempt
from standpipe.history.lineage import Lineage
from standpipe.history.outline import limit_failures, render_run
from standpipe.history.records import Artifact, Status, Value, seconds_of_progress
from standpipe.history.task import Task, render_tree, task_metrics
from standpipe.history.totals import scalar_metrics
from standpipe.history.values_text import describe_metrics, describe_values
from standpipe.model.layout import PULLED_FOLDER
from standpipe.store.locks import ask_to_stop, is_active
from standpipe.support.notebooks import to_html
from standpipe.support.properties import cached_property
from standpipe.support.terminal_text import strip_controls
from standpipe.support.untrusted_files import UntrustedFileError, read_file

#: The most bytes of a log that are returned as text; for larger ones there are pagers.
_MAX_LOG = 1024**3


#: How a run is, and its number in the run store.
RunState = tuple[Status, datetime | None, int]


@dataclass(frozen=True)
class RunDetails:
    """What the facts of a run say about it, beyond its status. `lineage` has its inputs, outputs and artifacts."""

    tasks: tuple[Task, ...]
    failures: tuple[str, ...]
    stop_reason: str
    failed_tasks: tuple[TaskFailure, ...]
    pauses: tuple[tuple[datetime, datetime], ...]
    lineage: Lineage


@dataclass(frozen=True, eq=False)
class Run:
    """A run at the moment when it was read; `refresh` returns it as it is now.

    `created` is when the run was requested, `folder` holds its outputs and logs. `rerun_of` names the run and the task
    that it reruns, and is empty for other runs. Its tasks are read from the run store when they are first used.
    """

    id: str
    pipeline: str
    status: Status
    created: datetime
    started: datetime | None
    ended: datetime | None
    folder: Path
    rerun_of: str
    _idle: float = field(repr=False)
    _number: int = field(repr=False)
    _read: Callable[[], RunDetails] = field(repr=False)
    _refresh: Callable[[], Run] = field(repr=False)
    _read_ahead: Callable[[], bool] = field(repr=False)

    @property
    def duration(self) -> float | None:
        """The seconds for which it was in progress, those before it was resumed included; None until it has ended."""
        return seconds_of_progress(self.started, self.ended, self._idle)

    def elapsed(self, now: datetime) -> float | None:
        """Return its `duration`, or that of a run in progress at a time; None if it has not started or is interrupted.

        Args:
            now: the present time.
        """
        return seconds_of_progress(self.started, now, self._idle) if self.status is Status.RUNNING else self.duration

    @property
    def inputs(self) -> Mapping[str, Value]:
        """The inputs of the pipeline, defaults included."""
        return self._details.lineage.inputs

    @property
    def outputs(self) -> Mapping[str, Value]:
        """The outputs of the pipeline; empty until it has succeeded."""
        return self._details.lineage.outputs

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of the pipeline that the run has reached, in that order; others are in their `children`."""
        return self._details.tasks

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All artifacts that tasks produced, in that order, then those that were passed to the run."""
        return self._details.lineage.artifacts

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each task that failed by itself; one more if the run was stopped for another reason."""
        return self._details.failures

    @property
    def stop_reason(self) -> str:
        """Why Standpipe stopped the run, as a clause about the run; empty if it did not, or if a user cancelled it."""
        return self._details.stop_reason

    @property
    def failed_tasks(self) -> tuple[TaskFailure, ...]:
        """The tasks that failed by themselves, each with the reason."""
        return self._details.failed_tasks

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """The numbers in `Metrics` artifacts, by the path of the task that produced them and the name of the metric."""
        return scalar_metrics((artifact.producer, artifact.type, artifact.metadata) for artifact in self.artifacts)

    @property
    def resume_count(self) -> int:
        """How often the run was resumed."""
        return len(self._details.pauses)

    @property
    def pauses(self) -> tuple[tuple[datetime, datetime], ...]:
        """The start and the end of each time in which it was not in progress, because it was not yet resumed."""
        return self._details.pauses

    def all_tasks(self) -> Iterator[Task]:
        """Yield all tasks, each before its children."""
        pending = [*reversed(self.tasks)]
        while pending:
            task = pending.pop()
            yield task
            pending += reversed(task.children)

    def task(self, path: str) -> Task:
        """Return the task with that path, such as `for-loop-1/3/train`, or the only task with that name.

        Raises:
            ArgumentError: if `path` is not a string.
            NoSuchTask: if there is no such task, or several tasks have that name.
        """
        if not isinstance(path, str):
            raise ArgumentError(
                f"Invalid task {path!r}: expected the name or the path of a task, such as 'for-loop-1/3/train'."
            )
        match = self._by_path.get(path)
        if match:
            return match
        named = [task for task in self._by_path.values() if task.name == path]
        if len(named) == 1:
            return named[0]
        raise NoSuchTask(_no_such_task(self, path, [task.path for task in named], [*self._by_path]))

    def log(self, task: str | Task, attempt: int | None = None) -> str:
        """Return the log of an attempt of a task, by default the last one. Bytes that are not UTF-8 are replaced.

        Raises:
            ArgumentError: as `task`, or if `attempt` is not a number.
            NoSuchTask: as `task`, or if there was no such attempt.
            StorageError: if the log was removed or cannot be read.
        """
        if attempt is not None and not isinstance(attempt, int):
            raise ArgumentError(f"Invalid attempt {attempt!r}: expected a number; attempts are numbered from 1.")
        return _read_log(task if isinstance(task, Task) else self.task(task), attempt, self.folder.parent)

    def cancel(self) -> bool:
        """Request that the run is cancelled, as Ctrl-C does in its own process; return whether it is in progress.

        Its exit tasks still run. A second request cancels them, too.

        Raises:
            StorageError: if the request cannot be written.
        """
        is_in_progress = is_active(self.folder)
        if is_in_progress:
            ask_to_stop(self.folder)
        return is_in_progress

    @property
    def is_pulled(self) -> bool:
        """Whether another system executes it, or has executed it (`standpipe pull`)."""
        return os.path.lexists(self.folder / PULLED_FOLDER)

    def refresh(self) -> Run:
        """Return the run as it is now. Only facts that are new since this one are read from the run store.

        Raises:
            NoSuchRun: if the run is no longer in the run store.
            StorageError: if the run store cannot be read.
        """
        return self._refresh()

    def read_ahead(self) -> bool:
        """Read a part of what its tasks are made of, for a program that has other work to do in between.

        Returns:
            Whether all of it has been read.

        Raises:
            StorageError: if the run store cannot be read.
        """
        return self._read_ahead()

    def _repr_html_(self) -> str:
        return to_html(self)

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status.value}>"

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self, *, all_tasks: bool = False) -> str:
        """Return the run as text: its status, its tasks as a tree, and why they failed.

        Args:
            all_tasks: whether every task has a line, and every failure, also of many that are only counted otherwise.
        """
        failures = self.failures if all_tasks else limit_failures(self.failures)
        lines = (*render_tree(self.tasks, all_tasks=all_tasks), *self._values(), *failures)
        return strip_controls(render_run(self.id, self.status.value, self.duration, self.rerun_of, lines))

    def _values(self) -> Iterator[str]:
        """Yield the lines of its inputs, outputs and metrics, as `RunProgress.outline` has them."""
        yield from describe_values("inputs", self.inputs, self.id)
        yield from describe_values("outputs", self.outputs, self.id)
        yield from describe_metrics(task_metrics(self.all_tasks()))

    @cached_property
    def _details(self) -> RunDetails:
        return self._read()

    @cached_property
    def _by_path(self) -> Mapping[str, Task]:
        return {task.path: task for task in self.all_tasks()}


def _no_such_task(run: Run, path: str, named: list[str], paths: list[str]) -> str:
    if named:
        return f"{len(named)} tasks of run {run.id} are named {path!r}: use the path of one, such as {named[0]!r}."
    from standpipe.support.near_misses import close_meanings  # only a mistake needs these
    from standpipe.support.shell_commands import standpipe_command

    names = {each.rpartition("/")[2]: each for each in reversed(paths)}
    close = close_meanings(path, {**names, **{each: each for each in paths}}, most=5)
    suggestion = f"The closest are {', '.join(close)}; " if close else ""
    command = standpipe_command("show", run.folder.parent, run.id)
    return f"Run {run.id} has not reached a task {path!r}. {suggestion}`{command}` lists all tasks."


def _read_log(task: Task, number: int | None, root: Path) -> str:
    path = find_attempt(task, number).log
    try:
        text = read_file(path, root, _MAX_LOG).decode(errors="replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise StorageError(f"The log of task {task.path!r} was removed: {path}.") from None
    except UntrustedFileError as error:
        raise StorageError(f"The log of task {task.path!r} cannot be read: {error}") from error
    except OSError as error:
        raise StorageError(f"The log of task {task.path!r} cannot be read: {error.strerror} ({path}).") from error


def state_of(run: Run) -> RunState:
    """Return what changes when a run gets other facts, also after its end: a pull may replace them."""
    return run.status, run.ended, run._number
