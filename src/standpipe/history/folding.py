"""Folds the facts of a run into its records, one fact after the other: their progress, values, attempts and lineage.

Records are kept until a fact changes them, so that a viewer can follow a run of many tasks at little cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from standpipe.errors import TaskFailure
from standpipe.history.display_names import NO_DISPLAY_NAMES
from standpipe.history.lineage import Lineage, TaskValues, may_have_artifacts
from standpipe.history.progress import OPEN, RUNNING, ProgressFold, TaskProgress
from standpipe.history.records import Attempt, Status, seconds_of_progress, to_datetime
from standpipe.history.run import RunDetails
from standpipe.history.task import Task
from standpipe.model import events as e
from standpipe.model.refs import TaskRef
from standpipe.model.values import Value

#: The values of a task that has none, which all tasks share.
_NO_VALUES: Mapping[str, Value] = {}

#: Makes a named tuple of all its fields in half the time of a call of the class: a run has several for each task.
_make: Any = tuple.__new__


class _Attempt(NamedTuple):
    """What is known about an attempt; times are in seconds since the epoch."""

    number: int
    status: Status
    started: float
    ended: float | None = None
    report: e.AttemptReport | None = None
    failure: e.Failure | None = None

    def record(self, folder: Path, task: TaskRef) -> Attempt:
        """Return the record of this attempt at a task of the run in a folder."""
        started = to_datetime(self.started)
        if self.ended is None:
            return Attempt(self.number, self.status, started, folder, task)
        ended, report = to_datetime(self.ended), self.report
        return Attempt(
            self.number,
            self.status,
            started,
            folder,
            task,
            ended=ended,
            duration=report.seconds if report else seconds_of_progress(started, ended, 0.0),
            failure=self.failure,
            cpu_seconds=report.cpu_seconds if report else None,
            peak_memory=report.peak_memory if report else None,
            log_bytes=report.log_bytes if report else None,
            log_lines=report.log_lines if report else None,
            warm_imports=report is not None and report.warm_imports,
        )


class _TaskState(TaskProgress):
    """What is known about a task so far.

    `children` are the tasks in it. `may_have_artifacts` is true if one of its values is an artifact, or looks like one.
    `record` is None if it is to be made of what is known; then that of the group is None, too.
    """

    __slots__ = ("attempts", "children", "inputs", "may_have_artifacts", "outputs", "record")

    group: _TaskState | None

    def __init__(self, ref: TaskRef, group: _TaskState | None, attempts: tuple[_Attempt, ...]) -> None:
        super().__init__(ref, group)
        self.children: list[_TaskState] = []
        self.may_have_artifacts = False
        self.record: Task | None = None
        self.inputs = self.outputs = _NO_VALUES
        self.attempts = attempts

    def change(self) -> None:
        """Note that its record, and those of the groups around it, are no longer what is known."""
        self.record = None
        group = self.group
        while group is not None and group.record is not None:
            group.record = None
            group = group.group

    def reopen(self) -> None:
        """Discard how the task ended, and mark it as running."""
        super().reopen()
        self.outputs = _NO_VALUES

    def values(self) -> TaskValues:
        """Return its values, for the lineage of their artifacts."""
        return TaskValues(self.ref, self.is_group, self.item, self.inputs, self.outputs)

    def interrupt_attempt(self) -> None:
        """End the running attempt, if there is one, as interrupted."""
        self.attempts = _interrupted(self.attempts)

    def end_attempt(self, status: Status, at: float, report: e.AttemptReport | None, failure: e.Failure | None) -> None:
        """End the running attempt, if there is one."""
        if self.attempts and self.attempts[-1].status is RUNNING:
            *others, last = self.attempts
            self.attempts = (*others, _make(_Attempt, (last.number, status, last.started, at, report, failure)))


class RunFold(ProgressFold[_TaskState]):
    """The state of a run after some of its facts; more can be applied at any time, in their order.

    Args:
        folder: the folder of the run.
        display_name: returns the display name of a task, empty if it has none.
    """

    def __init__(self, folder: Path, display_name: Callable[[TaskRef], str] = NO_DISPLAY_NAMES) -> None:
        super().__init__(self._new_state, display_name)
        self._folder = folder
        self._top_level: list[_TaskState] = []
        self._latest_state: _TaskState  # the one that the last fact is about
        self._was_over = False
        self._earlier: dict[TaskRef, tuple[_Attempt, ...]] = {}  # attempts of tasks that a resume has reset
        self._inputs: Mapping[str, Value] = {}
        self._outputs: Mapping[str, Value] = {}
        self._pauses: list[tuple[float, float]] = []

    def details(self, *, is_over: bool) -> RunDetails:
        """Return the records of the run after the facts so far.

        Args:
            is_over: whether no process works on the run; then tasks that have not ended are interrupted.
        """
        if is_over is not self._was_over:
            self._was_over = is_over
            for state in self._tasks.values():
                if state.status in OPEN:
                    state.change()
        holders = [state for state in self._tasks.values() if state.may_have_artifacts]
        lineage = Lineage(self._inputs, self._outputs, [state.values() for state in holders], self._folder.parent)
        for state in holders:
            state.change()  # another task may have taken its artifacts
        for state in reversed(self._tasks.values()):  # each after those that it contains
            if state.record is None:
                state.record = self._task(state, lineage, is_over=is_over)
        failed = self._failures.items()
        return RunDetails(
            tasks=_records(self._top_level),
            failures=tuple(self.failures()),
            stop_reason=self.stop_reason,
            failed_tasks=tuple(_task_failure(task, failure) for task, failure in failed),
            pauses=tuple((to_datetime(start), to_datetime(end)) for start, end in self._pauses),
            lineage=lineage,
        )

    # --- facts --------------------------------------------------------------------------------------------------------

    def _run_started(self, at: float, fact: e.RunStarted) -> None:
        self._inputs = fact.inputs

    def _run_resumed(self, at: float, fact: e.RunResumed) -> None:
        self._pauses.append((self._latest, at))
        self._inputs = fact.inputs
        for state in self._tasks.values():
            state.interrupt_attempt()
        super()._run_resumed(at, fact)
        self._top_level.clear()
        for state in self._tasks.values():
            state.record = None
            state.children.clear()
            self._siblings(state).append(state)

    def _reset(self, ref: TaskRef) -> None:
        self._earlier[ref] = self._tasks.pop(ref).attempts

    def _run_ended(self, at: float, fact: e.RunEnded) -> None:
        super()._run_ended(at, fact)
        self._outputs = fact.outputs

    def _group_started(self, at: float, fact: e.DagStarted | e.LoopStarted | e.IterationStarted) -> None:
        super()._group_started(at, fact)
        if isinstance(fact, e.IterationStarted):
            self._note_artifacts({"": fact.item})
        else:
            self._latest_state.inputs = fact.inputs
            self._note_artifacts(fact.inputs)

    def _task_ready(self, at: float, fact: e.TaskReady) -> None:
        super()._task_ready(at, fact)
        self._latest_state.inputs = fact.inputs
        self._note_artifacts(fact.inputs)

    def _attempt_started(self, at: float, fact: e.AttemptStarted) -> None:
        super()._attempt_started(at, fact)
        state = self._latest_state
        if state.attempts:
            state.interrupt_attempt()
        attempt = _make(_Attempt, (fact.attempt + 1, RUNNING, fact.at or at, None, None, None))
        state.attempts = (*state.attempts, attempt)

    def _attempt_failed(self, at: float, fact: e.AttemptFailed) -> None:
        super()._attempt_failed(at, fact)
        self._latest_state.end_attempt(Status.FAILED, fact.at, fact.report, fact.failure)

    def _task_ended(self, at: float, fact: e.TaskSucceeded | e.TaskFailed | e.TaskCancelled) -> None:
        super()._task_ended(at, fact)
        state = self._latest_state
        if isinstance(fact, e.TaskSucceeded):
            state.outputs = fact.outputs
            self._note_artifacts(fact.outputs)
        if not state.attempts:
            return
        if state.cached_from and state.attempts[-1].status is RUNNING:
            state.attempts = state.attempts[:-1]  # nothing had to run
        state.end_attempt(state.status, at, fact.report, fact.failure if isinstance(fact, e.TaskFailed) else None)

    # --- records ------------------------------------------------------------------------------------------------------

    def _state(self, ref: TaskRef, at: float) -> _TaskState:
        """Return the state of a task, which is about to change."""
        state = self._tasks.get(ref)
        if self._was_resumed:
            state = super()._state(ref, at)
            state.change()
        elif state is None:
            group = self._tasks.get(ref.whole)
            state = self._tasks[ref] = self._new_state(ref, group)
            if group is not None and group.record is not None:
                state.change()
        elif state.record is not None:
            state.change()
        self._latest_state = state
        return state

    def _new_state(self, ref: TaskRef, group: _TaskState | None) -> _TaskState:
        attempts = self._earlier.pop(ref, ()) if self._earlier else ()
        state = _TaskState(ref, group, attempts)
        self._siblings(state).append(state)
        return state

    def _siblings(self, state: _TaskState) -> list[_TaskState]:
        return self._top_level if state.group is None else state.group.children

    def _note_artifacts(self, values: Mapping[str, Value]) -> None:
        """Note that the task of the latest fact has artifacts, if there are some among values that it has got."""
        if values and may_have_artifacts(values):
            self._latest_state.may_have_artifacts = True

    def _task(self, state: _TaskState, lineage: Lineage, *, is_over: bool) -> Task:
        """Return the record of a task, of which some fields are made later; each assignment is one of a large run's."""
        is_interrupted = is_over and state.status in OPEN
        started = state.ready if state.started is None and state.cached_from else state.started  # as `first_start`
        attempts = _interrupted(state.attempts) if is_interrupted else state.attempts
        times = (state.ready, started, state.ended)
        values = (state.item, state.inputs, state.outputs)
        record = Task.__new__(Task)
        fields = record.__dict__
        fields["_unmade"] = _make(
            _UnmadeFields, (state.ref, self._folder, self._display_name, lineage, *values, *times, attempts)
        )
        fields["status"] = Status.INTERRUPTED if is_interrupted else state.status
        fields["cached_from"] = state.cached_from
        fields["skip_reason"] = state.skip_reason
        fields["failure"] = state.failure
        fields["children"] = _records(state.children) if state.children else ()
        fields["_run_folder"] = self._folder
        fields["_ref"] = state.ref
        fields["_idle"] = state.idle
        fields["_attempt"] = state.attempt
        return record


class _UnmadeFields(NamedTuple):
    """What the fields of the record of a task are made of when they are first used; see `Task.__getattr__`."""

    ref: TaskRef
    folder: Path
    find_display_name: Callable[[TaskRef], str]
    lineage: Lineage
    stored_item: Value
    stored_inputs: Mapping[str, Value]
    stored_outputs: Mapping[str, Value]
    ready_at: float | None
    started_at: float | None
    ended_at: float | None
    stored_attempts: tuple[_Attempt, ...]

    @property
    def path(self) -> str:
        return str(self.ref)

    @property
    def name(self) -> str:
        return self.ref.name if self.ref.iteration is None else str(self.ref.iteration)

    @property
    def display_name(self) -> str:
        return self.find_display_name(self.ref)

    @property
    def iteration(self) -> int | None:
        return self.ref.iteration

    @property
    def item(self) -> Value:
        return self.lineage.convert_value(self.stored_item)

    @property
    def ready(self) -> datetime | None:
        return None if self.ready_at is None else to_datetime(self.ready_at)

    @property
    def started(self) -> datetime | None:
        return None if self.started_at is None else to_datetime(self.started_at)

    @property
    def ended(self) -> datetime | None:
        return None if self.ended_at is None else to_datetime(self.ended_at)

    @property
    def inputs(self) -> Mapping[str, Value]:
        return self.lineage.convert(self.stored_inputs)

    @property
    def outputs(self) -> Mapping[str, Value]:
        return self.lineage.convert(self.stored_outputs)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return tuple([attempt.record(self.folder, self.ref) for attempt in self.stored_attempts])


def _records(states: list[_TaskState]) -> tuple[Task, ...]:
    return tuple([state.record for state in states])  # type: ignore[misc]  # each is made before that of its group


def _task_failure(task: TaskRef, failure: e.Failure) -> TaskFailure:
    location = failure.location if failure.location and failure.location.has_file else None
    place = (location.file, location.line) if location else ()
    return TaskFailure(str(task), failure.message, failure.hint, *place)


def _interrupted(attempts: tuple[_Attempt, ...]) -> tuple[_Attempt, ...]:
    """Return the attempts with the last one as interrupted, if it is running."""
    if not attempts or attempts[-1].status is not RUNNING:
        return attempts
    return (*attempts[:-1], attempts[-1]._replace(status=Status.INTERRUPTED))
