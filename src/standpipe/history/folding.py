"""Folds the facts of a run into its records, one fact after the other: their progress, values, attempts and lineage.

Records are kept until a fact changes them, so that a viewer can follow a run of many tasks at little cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from standpipe.history.lineage import Lineage
from standpipe.history.progress import OPEN, ProgressFold, TaskProgress
from standpipe.history.records import Attempt, Status, seconds_of_progress, to_datetime
from standpipe.history.run import RunDetails
from standpipe.history.task import Task
from standpipe.model import events as e
from standpipe.model.refs import TaskRef
from standpipe.model.values import Value

#: The values of a task that has none, which all tasks share.
_NO_VALUES: Mapping[str, Value] = {}


class _TaskState(TaskProgress):
    """What is known about a task so far.

    `children` are the tasks in it, and `position` is its number among all tasks. `record` is None if it is to be made
    of what is known; then that of the group is None, too.
    """

    __slots__ = ("attempts", "children", "inputs", "item", "outputs", "position", "record")

    group: _TaskState | None

    def __init__(self, ref: TaskRef, group: _TaskState | None, attempts: list[Attempt], position: int) -> None:
        super().__init__(ref, group)
        self.children: list[_TaskState] = []
        self.position = position
        self.record: Task | None = None
        self.item: Value = None
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

    def interrupt_attempt(self) -> None:
        """End the running attempt, if there is one, as interrupted."""
        self.attempts[-1:] = _interrupted(self.attempts[-1:])

    def end_attempt(self, status: Status, at: float, report: e.AttemptReport | None, failure: e.Failure | None) -> None:
        """End the running attempt, if there is one."""
        if not self.attempts or self.attempts[-1].status is not Status.RUNNING:
            return
        last, ended = self.attempts[-1], to_datetime(at)
        self.attempts[-1] = Attempt(  # `replace` takes twice as long
            last.number,
            status,
            last.started,
            last._run_folder,
            last._task,
            ended=ended,
            duration=report.seconds if report else seconds_of_progress(last.started, ended, 0.0),
            failure=failure,
            cpu_seconds=report.cpu_seconds if report else None,
            peak_memory=report.peak_memory if report else None,
            log_bytes=report.log_bytes if report else None,
            log_lines=report.log_lines if report else None,
            warm_imports=report is not None and report.warm_imports,
        )


class RunFold(ProgressFold[_TaskState]):
    """The state of a run after some of its facts; more can be applied at any time, in their order.

    Args:
        folder: the folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(self._new_state)
        self._folder = folder
        self._top_level: list[_TaskState] = []
        self._latest_state: _TaskState  # the one that the last fact is about
        self._lineage: Lineage[_TaskState] | None = Lineage(_TaskState.change)  # None if it has to start over
        self._was_over = False
        self._earlier: dict[TaskRef, list[Attempt]] = {}  # attempts of tasks that a resume has reset
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
        details = self._details(self._lineage, is_over=is_over) if self._lineage is not None else None
        if details is None or self._lineage is None or not self._lineage.is_exact:
            self._lineage = self._start_over()
            details = self._details(self._lineage, is_over=is_over)
        return details

    def _details(self, lineage: Lineage[_TaskState], *, is_over: bool) -> RunDetails:
        for state in reversed(self._tasks.values()):  # each after those that it contains
            if state.record is None:
                state.record = self._task(state, lineage, is_over=is_over)
        return RunDetails(
            inputs=lineage.convert(self._inputs),
            outputs=lineage.convert(self._outputs),
            tasks=_records(self._top_level),
            artifacts=lineage.artifacts(),
            failures=tuple(self.failures()),
            pauses=tuple((to_datetime(start), to_datetime(end)) for start, end in self._pauses),
        )

    # --- facts --------------------------------------------------------------------------------------------------------

    def _run_started(self, at: float, fact: e.RunStarted) -> None:
        self._inputs = fact.inputs
        if self._lineage is not None:
            self._lineage.add_run_inputs(fact.inputs)

    def _run_resumed(self, at: float, fact: e.RunResumed) -> None:
        self._pauses.append((self._latest, at))
        self._inputs = fact.inputs
        for state in self._tasks.values():
            state.interrupt_attempt()
        super()._run_resumed(at, fact)
        self._lineage = None
        self._top_level.clear()
        for state in self._tasks.values():
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
            self._latest_state.item = fact.item
        else:
            self._latest_state.inputs = fact.inputs

    def _task_ready(self, at: float, fact: e.TaskReady) -> None:
        super()._task_ready(at, fact)
        state = self._latest_state
        if state.inputs or state.is_group:
            self._lineage = None  # it has other inputs than before
        state.inputs = fact.inputs
        if self._lineage is not None:
            self._lineage.add_inputs(fact.inputs, str(fact.task), state.position)

    def _attempt_started(self, at: float, fact: e.AttemptStarted) -> None:
        super()._attempt_started(at, fact)
        state = self._latest_state
        state.interrupt_attempt()
        started = to_datetime(fact.at or at)
        state.attempts.append(Attempt(fact.attempt + 1, Status.RUNNING, started, self._folder, fact.task))

    def _attempt_failed(self, at: float, fact: e.AttemptFailed) -> None:
        super()._attempt_failed(at, fact)
        self._latest_state.end_attempt(Status.FAILED, fact.at, fact.report, fact.failure)

    def _task_ended(self, at: float, fact: e.TaskSucceeded | e.TaskFailed | e.TaskCancelled) -> None:
        super()._task_ended(at, fact)
        state = self._latest_state
        if isinstance(fact, e.TaskSucceeded):
            state.outputs = fact.outputs
            if self._lineage is not None and not state.is_group:
                self._lineage.add_outputs(fact.outputs, str(fact.task), state.position)
        if state.cached_from and state.attempts and state.attempts[-1].status is Status.RUNNING:
            state.attempts.pop()  # nothing had to run
        state.end_attempt(state.status, at, fact.report, fact.failure if isinstance(fact, e.TaskFailed) else None)

    # --- records ------------------------------------------------------------------------------------------------------

    def _state(self, ref: TaskRef, at: float) -> _TaskState:
        """Return the state of a task, which is about to change."""
        state = self._latest_state = super()._state(ref, at)
        state.change()
        return state

    def _new_state(self, ref: TaskRef, group: _TaskState | None) -> _TaskState:
        attempts = self._earlier.pop(ref, []) if self._earlier else []
        state = _TaskState(ref, group, attempts, len(self._tasks))
        self._siblings(state).append(state)
        return state

    def _siblings(self, state: _TaskState) -> list[_TaskState]:
        return self._top_level if state.group is None else state.group.children

    def _start_over(self) -> Lineage[_TaskState]:
        """Return the lineage of all tasks, and discard all records."""
        lineage: Lineage[_TaskState] = Lineage(_TaskState.change)
        for position, state in enumerate(self._tasks.values()):
            state.position, state.record = position, None
        executed = [state for state in self._tasks.values() if not state.is_group]
        for state in executed:
            lineage.add_outputs(state.outputs, str(state.ref), state.position)
        lineage.add_run_inputs(self._inputs)
        for state in executed:
            lineage.add_inputs(state.inputs, str(state.ref), state.position)
        return lineage

    def _task(self, state: _TaskState, lineage: Lineage[_TaskState], *, is_over: bool) -> Task:
        ref, started = state.ref, state.first_start
        is_interrupted = is_over and state.status in OPEN
        return Task(
            path=str(ref),
            name=state.name,
            iteration=ref.iteration,
            item=lineage.convert_value(state.item, state),
            status=Status.INTERRUPTED if is_interrupted else state.status,
            ready=None if state.ready is None else to_datetime(state.ready),
            started=None if started is None else to_datetime(started),
            ended=None if state.ended is None else to_datetime(state.ended),
            inputs=lineage.convert(state.inputs, state),
            outputs=lineage.convert(state.outputs, state),
            cached_from=state.cached_from,
            skip_reason=state.skip_reason,
            failure=state.failure,
            attempts=tuple(_interrupted(state.attempts) if is_interrupted else state.attempts),
            children=_records(state.children),
            _run_folder=self._folder,
            _ref=ref,
            _idle=state.idle,
        )


def _records(states: list[_TaskState]) -> tuple[Task, ...]:
    return tuple([state.record for state in states])  # type: ignore[misc]  # each is made before that of its group


def _interrupted(attempts: list[Attempt]) -> list[Attempt]:
    """Return the attempts with the last one as interrupted, if it is running."""
    if not attempts or attempts[-1].status is not Status.RUNNING:
        return attempts
    return [*attempts[:-1], replace(attempts[-1], status=Status.INTERRUPTED)]
