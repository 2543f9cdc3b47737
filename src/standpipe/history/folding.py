"""Folds the facts of a run into its records, one fact after the other. No engine decides anything again.

The facts may end anywhere, as those of a run in progress or of one whose process was killed, and continue with
`RunResumed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from standpipe.history.lineage import Lineage
from standpipe.history.records import Attempt, Status, seconds_of_progress, to_datetime
from standpipe.history.run import RunDetails
from standpipe.history.task import Task
from standpipe.model import events as e
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.values import Value

#: The statuses that a task keeps when the run is resumed; all other tasks continue or are rerun.
_KEPT = {Status.SUCCEEDED, Status.SKIPPED, Status.READY}

#: The statuses of tasks that have not ended.
_OPEN = {Status.READY, Status.RUNNING}

_FINAL = {
    e.TaskSucceeded: Status.SUCCEEDED,
    e.TaskFailed: Status.FAILED,
    e.TaskCancelled: Status.CANCELLED,
}


@dataclass
class _TaskState:
    """What is known about a task so far. `ready` and `started` are None until it was ready or has started.

    `is_group` is true of a nested pipeline, a loop, or an iteration of a loop over a pipeline. `idle` are the seconds
    since its start in which it was not in progress, because the run or the task had ended and was not yet resumed.
    """

    ref: TaskRef
    status: Status = Status.READY
    is_group: bool = False
    item: Value = None
    ready: float | None = None
    started: float | None = None
    ended: float | None = None
    inputs: Mapping[str, Value] = field(default_factory=dict)
    outputs: Mapping[str, Value] = field(default_factory=dict)
    cached_from: str = ""
    skip_reason: str = ""
    failure: e.Failure | None = None
    attempts: list[Attempt] = field(default_factory=list)
    idle: float = 0.0

    def reopen(self) -> None:
        """Discard how the task ended, and mark it as running."""
        self.status, self.ended, self.outputs = Status.RUNNING, None, {}
        self.cached_from, self.skip_reason, self.failure = "", "", None

    def interrupt_attempt(self) -> None:
        """End the running attempt, if there is one, as interrupted."""
        self.attempts[-1:] = _interrupted(self.attempts[-1:])

    def end_attempt(self, status: Status, at: float, report: e.AttemptReport | None, failure: e.Failure | None) -> None:
        """End the running attempt, if there is one."""
        if not self.attempts or self.attempts[-1].status is not Status.RUNNING:
            return
        last, ended = self.attempts[-1], to_datetime(at)
        self.attempts[-1] = replace(
            last,
            status=status,
            ended=ended,
            duration=report.seconds if report else seconds_of_progress(last.started, ended, 0.0),
            failure=failure,
            cpu_seconds=report.cpu_seconds if report else None,
            peak_memory=report.peak_memory if report else None,
            log_bytes=report.log_bytes if report else None,
            log_lines=report.log_lines if report else None,
            warm_imports=report is not None and report.warm_imports,
        )


class RunFold:
    """The state of a run after some of its facts; more can be applied at any time, in their order.

    Args:
        folder: the folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tasks: dict[TaskRef, _TaskState] = {}  # each before those that it contains
        self._earlier: dict[TaskRef, list[Attempt]] = {}  # attempts of tasks that a resume has reset
        self._inputs: Mapping[str, Value] = {}
        self._outputs: Mapping[str, Value] = {}
        self._failures: dict[TaskRef, e.Failure] = {}
        self._resume_count = 0
        self._latest = 0.0  # when the last fact was recorded

    def apply(self, at: float, fact: e.Fact) -> None:
        """Apply the next fact of the run.

        Args:
            at: when the fact was recorded, in seconds since the epoch.
            fact: the fact.
        """
        handler = _HANDLERS.get(type(fact))
        if handler:
            handler(self, at, fact)
        self._latest = at

    def details(self, *, is_over: bool) -> RunDetails:
        """Return the records of the run after the facts so far.

        Args:
            is_over: whether no process works on the run; then tasks that have not ended are interrupted.
        """
        lineage = self._lineage()
        children: dict[TaskRef, list[Task]] = {}  # the last one first
        top_level: list[Task] = []
        for state in reversed(self._tasks.values()):  # each after those that it contains
            task = self._task(state, lineage, tuple(reversed(children.pop(state.ref, []))), is_over=is_over)
            container = state.ref.whole
            (children.setdefault(container, []) if container in self._tasks else top_level).append(task)
        return RunDetails(
            inputs=lineage.convert(self._inputs),
            outputs=lineage.convert(self._outputs),
            tasks=tuple(reversed(top_level)),
            artifacts=lineage.artifacts(),
            failures=tuple(_describe(task, failure) for task, failure in self._failures.items()),
            resume_count=self._resume_count,
        )

    # --- facts --------------------------------------------------------------------------------------------------------

    def _run_started(self, _: float, fact: e.RunStarted) -> None:
        self._inputs = fact.inputs

    def _run_resumed(self, at: float, fact: e.RunResumed) -> None:
        self._resume_count += 1
        self._inputs = fact.inputs
        self._failures.clear()
        reset = set(fact.rerun_tasks)
        for ref, state in list(self._tasks.items()):
            if ref.whole in reset:
                reset.add(ref)
            state.interrupt_attempt()
            if ref in reset or (not state.is_group and state.status not in _KEPT):
                self._earlier[ref] = self._tasks.pop(ref).attempts
            elif state.is_group and state.status not in _KEPT:
                self._reopen(state, at)
            elif state.status is Status.READY and state.started is not None:  # it waits for its next attempt
                state.idle += at - self._latest

    def _run_ended(self, _: float, fact: e.RunEnded) -> None:
        self._outputs = fact.outputs
        self._failures = {failed.task: failed.failure for failed in fact.failures}

    def _group_started(self, at: float, fact: e.DagStarted | e.LoopStarted) -> None:
        self._start_group(fact.task, at).inputs = fact.inputs

    def _iteration_started(self, at: float, fact: e.IterationStarted) -> None:
        self._start_group(fact.task, at).item = fact.item

    def _task_ready(self, at: float, fact: e.TaskReady) -> None:
        state = self._state(fact.task, at)
        state.reopen()
        state.status, state.ready, state.started, state.inputs = Status.READY, at, None, fact.inputs
        state.idle = 0.0

    def _attempt_started(self, at: float, fact: e.AttemptStarted) -> None:
        state, started = self._state(fact.task, at), fact.at or at
        state.interrupt_attempt()
        state.status, state.started = Status.RUNNING, started if state.started is None else state.started
        state.attempts.append(Attempt(fact.attempt + 1, Status.RUNNING, to_datetime(started), self._folder, fact.task))

    def _attempt_failed(self, at: float, fact: e.AttemptFailed) -> None:
        state = self._state(fact.task, at)
        state.status = Status.READY
        state.end_attempt(Status.FAILED, fact.at, fact.report, fact.failure)

    def _task_ended(self, at: float, fact: e.TaskSucceeded | e.TaskFailed | e.TaskCancelled) -> None:
        state = self._state(fact.task, at)
        state.status, state.ended = _FINAL[type(fact)], at
        failure = fact.failure if isinstance(fact, e.TaskFailed) else None
        if isinstance(fact, e.TaskSucceeded):
            state.outputs, state.cached_from = fact.outputs, fact.cached_from
        if failure:
            state.failure = failure
            if not failure.cause_task:
                self._failures[fact.task] = failure
        if state.cached_from and state.attempts and state.attempts[-1].status is Status.RUNNING:
            state.attempts.pop()  # nothing had to run
        state.end_attempt(state.status, at, fact.report, failure)

    def _task_skipped(self, at: float, fact: e.TaskSkipped) -> None:
        state = self._state(fact.task, at)
        state.status, state.ended, state.skip_reason = Status.SKIPPED, at, fact.reason

    # --- tasks --------------------------------------------------------------------------------------------------------

    def _state(self, ref: TaskRef, at: float) -> _TaskState:
        """Return the state of a task, new if needed. Groups around it that had ended before a resume are reopened."""
        state = self._tasks.get(ref)
        if state is None:
            state = self._tasks[ref] = _TaskState(ref, attempts=self._earlier.pop(ref, []))
        group = self._tasks.get(ref.whole)
        while group and group.ended is not None:
            self._reopen(group, at)
            group = self._tasks.get(group.ref.whole)
        return state

    def _reopen(self, group: _TaskState, at: float) -> None:
        """Mark a group as running again. The time since it ended, or since its process did, is not progress."""
        group.idle += at - (self._latest if group.ended is None else group.ended)
        group.reopen()

    def _start_group(self, ref: TaskRef, at: float) -> _TaskState:
        state = self._state(ref, at)
        state.reopen()
        state.is_group, state.started, state.idle = True, at, 0.0
        return state

    # --- records ------------------------------------------------------------------------------------------------------

    def _lineage(self) -> Lineage:
        lineage = Lineage()
        executed = [state for state in self._tasks.values() if not state.is_group]
        for state in executed:
            lineage.add_outputs(state.outputs, str(state.ref))
        lineage.add_run_inputs(self._inputs)
        for state in executed:
            lineage.add_inputs(state.inputs, str(state.ref))
        return lineage

    def _task(self, state: _TaskState, lineage: Lineage, children: tuple[Task, ...], *, is_over: bool) -> Task:
        ref, iteration = state.ref, state.ref.iteration
        is_interrupted = is_over and state.status in _OPEN
        started = state.ready if state.started is None and state.cached_from else state.started
        return Task(
            path=str(ref),
            name=ref.name if iteration is None else str(iteration),
            iteration=iteration,
            item=lineage.convert_value(state.item),
            status=Status.INTERRUPTED if is_interrupted else state.status,
            started=None if started is None else to_datetime(started),
            ended=None if state.ended is None else to_datetime(state.ended),
            inputs=lineage.convert(state.inputs),
            outputs=lineage.convert(state.outputs),
            cached_from=state.cached_from,
            skip_reason=state.skip_reason,
            failure=state.failure,
            attempts=tuple(_interrupted(state.attempts) if is_interrupted else state.attempts),
            children=children,
            _run_folder=self._folder,
            _ref=ref,
            _idle=state.idle,
        )


#: The handler of each class of facts; facts of other classes change nothing in the records.
_HANDLERS: dict[type, Callable[[RunFold, float, Any], None]] = {
    e.RunStarted: RunFold._run_started,
    e.RunResumed: RunFold._run_resumed,
    e.RunEnded: RunFold._run_ended,
    e.DagStarted: RunFold._group_started,
    e.LoopStarted: RunFold._group_started,
    e.IterationStarted: RunFold._iteration_started,
    e.TaskReady: RunFold._task_ready,
    e.AttemptStarted: RunFold._attempt_started,
    e.AttemptFailed: RunFold._attempt_failed,
    e.TaskSucceeded: RunFold._task_ended,
    e.TaskFailed: RunFold._task_ended,
    e.TaskCancelled: RunFold._task_ended,
    e.TaskSkipped: RunFold._task_skipped,
}


def _interrupted(attempts: list[Attempt]) -> list[Attempt]:
    """Return the attempts with the last one as interrupted, if it is running."""
    if not attempts or attempts[-1].status is not Status.RUNNING:
        return attempts
    return [*attempts[:-1], replace(attempts[-1], status=Status.INTERRUPTED)]


def _describe(task: TaskRef, failure: e.Failure) -> str:
    return f"{'The pipeline' if task == ROOT else f'Task {str(task)!r}'} {failure.predicate}"
