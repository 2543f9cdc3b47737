"""Folds the facts of a run into the progress of its tasks: statuses, times and failures, without values and attempts.

It is what an outline shows, and costs a run little enough to be kept up to date while the run is recorded. The records
in `history.folding` add the rest. No engine decides anything again: the facts may end anywhere, as those of a run in
progress or of one whose process was killed, and continue with `RunResumed`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, get_args

from standpipe.errors import InternalError
from standpipe.history.display_names import NO_DISPLAY_NAMES
from standpipe.history.outline import MAX_SIBLINGS, Line, limit_failures, select_lines
from standpipe.history.records import Status
from standpipe.history.render import explain_status, name_task
from standpipe.history.totals import RunTotals, Scalars, TotalsCounter, metrics_of, numbers_of
from standpipe.history.values_text import describe_metrics, describe_values
from standpipe.model import events as e
from standpipe.model.refs import ROOT, RunId, TaskRef
from standpipe.model.values import Value
from standpipe.support.code_locations import name_line
from standpipe.support.terminal_text import strip_controls

#: Python 3.11 looks up a member of an enum by a function in Python, which a fold would call for each fact.
READY, RUNNING = Status.READY, Status.RUNNING

#: The statuses that a task keeps when the run is resumed; all other tasks continue or are rerun.
_KEPT = {Status.SUCCEEDED, Status.SKIPPED, READY}

#: The statuses of tasks that have not ended.
OPEN = {READY, RUNNING}

#: The classes of facts that have a `task`.
ABOUT_TASKS = frozenset(get_args(e.TaskFact))

_FINAL = {
    e.TaskSucceeded: Status.SUCCEEDED,
    e.TaskFailed: Status.FAILED,
    e.TaskCancelled: Status.CANCELLED,
}


class TaskProgress:
    """How far a task has come. `ready` and `started` are None until it was ready or has started.

    `group` is the nested pipeline, loop or iteration that it is in, None for a task of the pipeline. `is_group` is true
    of one of those. `idle` are the seconds since its start in which it was not in progress, because the run or the task
    had ended and was not yet resumed. `attempt` is the number of its last attempt, from 1; 0 if it had none. `item` is
    that of an iteration.
    """

    __slots__ = (
        *("attempt", "cached_from", "ended", "failure", "group", "idle", "is_group", "item"),
        *("ready", "ref", "skip_reason", "started", "status"),
    )

    def __init__(self, ref: TaskRef, group: TaskProgress | None) -> None:
        self.ref = ref
        self.group = group
        self.status = READY
        self.is_group = False
        self.ready: float | None = None
        self.started: float | None = None
        self.ended: float | None = None
        self.idle = 0.0
        self.attempt = 0
        self.item: Value = None
        self.cached_from = ""
        self.skip_reason = ""
        self.failure: e.Failure | None = None

    @property
    def name(self) -> str:
        """Its name; that of an iteration is its number."""
        return self.ref.name if self.ref.iteration is None else str(self.ref.iteration)

    @property
    def first_start(self) -> float | None:
        """When it started; when it was ready, if its outputs come from the cache."""
        return self.ready if self.started is None and self.cached_from else self.started

    def reopen(self) -> None:
        """Discard how the task ended, and mark it as running."""
        self.status, self.ended = RUNNING, None
        self.cached_from, self.skip_reason, self.failure = "", "", None

    def line(self, depth: int, status: Status, display_name: str) -> Line:
        """Return its line in an outline."""
        started, ended = self.first_start, self.ended
        seconds = None
        if started is not None and ended is not None:  # of whole microseconds, as `records.seconds_of_progress`
            seconds = round(max(0.0, round(ended, 6) - round(started, 6) - self.idle), 6)
        note = explain_status(self.cached_from, self.skip_reason, self.failure, self.attempt)
        name = name_task(self.name, display_name, self.ref.iteration, self.item)
        return Line(depth, strip_controls(name), status.value, seconds, strip_controls(note))


P = TypeVar("P", bound=TaskProgress)


class ProgressFold(Generic[P]):
    """The progress of a run after some of its facts; more can be applied at any time, in their order.

    Args:
        new_task: returns what is known at first of a task in a group, None for a task of the pipeline.
        display_name: returns the display name of a task, empty if it has none.
    """

    def __init__(
        self, new_task: Callable[[TaskRef, P | None], P], display_name: Callable[[TaskRef], str] = NO_DISPLAY_NAMES
    ) -> None:
        self._new_task = new_task
        self._display_name = display_name
        self._handlers = {kind: getattr(self, name) for kind, name in _METHODS.items()}
        self._tasks: dict[TaskRef, P] = {}  # each before those that it contains
        self._failures: dict[TaskRef, e.Failure] = {}
        self._stop: e.RunCancelled | None = None
        self._latest = 0.0  # when the last fact was recorded
        self._was_resumed = False

    def apply(self, at: float, fact: e.Fact) -> None:
        """Apply the next fact of the run.

        Args:
            at: when the fact was recorded, in seconds since the epoch.
            fact: the fact.
        """
        handler = self._handlers.get(type(fact))
        if handler:
            handler(at, fact)
        self._latest = at

    def failures(self) -> list[str]:
        """Return one sentence for each task that failed by itself, and one that says why the run was stopped.

        The latter is left out if these tasks are why.
        """
        sentences = [_describe(task, failure) for task, failure in self._failures.items()]
        if self.stop_reason and not (sentences and self._stop and self._stop.failures):
            sentences.append(f"The run was stopped: {self.stop_reason}.")
        return sentences

    @property
    def stop_reason(self) -> str:
        """Why the run was stopped, as a clause; empty if it was not, or if the user cancelled it."""
        return self._stop.reason if self._stop else ""

    def lines(self, *, is_over: bool) -> list[Line]:
        """Return the outline of the run after the facts so far; see `history.outline`.

        Args:
            is_over: whether no process works on the run; then tasks that have not ended are interrupted.
        """
        children = self._children()

        def status(state: P) -> Status:
            return Status.INTERRUPTED if is_over and state.status in OPEN else state.status

        return list(
            select_lines(
                children.get(ROOT, []),
                lambda state: children.get(state.ref, []),
                lambda state: status(state).value,
                lambda state, depth: state.line(depth, status(state), self._display_name(state.ref)),
            )
        )

    def _children(self) -> dict[TaskRef, list[P]]:
        """Return the tasks in each group, those of the pipeline by `ROOT`."""
        children: dict[TaskRef, list[P]] = {}
        for state in self._tasks.values():
            children.setdefault(state.group.ref if state.group else ROOT, []).append(state)
        return children

    # --- facts --------------------------------------------------------------------------------------------------------

    def _run_started(self, at: float, fact: e.RunStarted) -> None:
        """Nothing is known of tasks yet."""

    def _run_resumed(self, at: float, fact: e.RunResumed) -> None:
        self._was_resumed, self._stop = True, None
        self._failures.clear()
        reset = set(fact.rerun_tasks)
        for ref, state in list(self._tasks.items()):
            if ref.whole in reset:
                reset.add(ref)
            if ref in reset or (not state.is_group and state.status not in _KEPT):
                self._reset(ref)
            elif state.is_group and state.status not in _KEPT:
                self._reopen(state, at)
            elif state.status is READY and state.started is not None:  # it waits for its next attempt
                state.idle += at - self._latest

    def _reset(self, ref: TaskRef) -> None:
        """Discard what is known of a task, which starts again from nothing."""
        del self._tasks[ref]

    def _run_cancelled(self, _: float, fact: e.RunCancelled) -> None:
        if fact.reason:
            self._stop = fact

    def _run_ended(self, _: float, fact: e.RunEnded) -> None:
        self._failures = {failed.task: failed.failure for failed in fact.failures}

    def _group_started(self, at: float, fact: e.DagStarted | e.LoopStarted | e.IterationStarted) -> None:
        state = self._state(fact.task, at)
        state.reopen()
        state.is_group, state.started, state.idle = True, at, 0.0
        if isinstance(fact, e.IterationStarted):
            state.item = fact.item

    def _task_ready(self, at: float, fact: e.TaskReady) -> None:
        state = self._state(fact.task, at)
        if state.ready is not None:
            state.reopen()
        state.status, state.ready, state.started, state.idle = READY, at, None, 0.0

    def _attempt_started(self, at: float, fact: e.AttemptStarted) -> None:
        state = self._state(fact.task, at)
        state.status, state.attempt = RUNNING, fact.attempt + 1
        if state.started is None:
            state.started = fact.at or at

    def _attempt_failed(self, at: float, fact: e.AttemptFailed) -> None:
        self._state(fact.task, at).status = READY

    def _task_ended(self, at: float, fact: e.TaskSucceeded | e.TaskFailed | e.TaskCancelled) -> None:
        state = self._state(fact.task, at)
        state.status, state.ended = _FINAL[type(fact)], at
        if isinstance(fact, e.TaskSucceeded):
            state.cached_from = fact.cached_from
        elif isinstance(fact, e.TaskFailed):
            state.failure = fact.failure
            if not fact.failure.cause_task:
                self._failures[fact.task] = fact.failure

    def _task_skipped(self, at: float, fact: e.TaskSkipped) -> None:
        state = self._state(fact.task, at)
        state.status, state.ended, state.skip_reason = Status.SKIPPED, at, fact.reason

    # --- tasks --------------------------------------------------------------------------------------------------------

    def _state(self, ref: TaskRef, at: float) -> P:
        """Return the state of a task, new if needed. Groups around it that had ended before a resume are reopened."""
        state = self._tasks.get(ref)
        if state is None:
            state = self._tasks[ref] = self._new_task(ref, self._tasks.get(ref.whole))
        if self._was_resumed:
            group = state.group
            while group is not None and group.ended is not None:
                self._reopen(group, at)
                group = group.group
        return state

    def _reopen(self, group: TaskProgress, at: float) -> None:
        """Mark a group as running again. The time since it ended, or since its process did, is not progress."""
        group.idle += at - (self._latest if group.ended is None else group.ended)
        group.reopen()


#: The method for each class of facts; facts of other classes change nothing in the records.
_METHODS = {
    e.RunStarted: "_run_started",
    e.RunResumed: "_run_resumed",
    e.RunCancelled: "_run_cancelled",
    e.RunEnded: "_run_ended",
    e.DagStarted: "_group_started",
    e.LoopStarted: "_group_started",
    e.IterationStarted: "_group_started",
    e.TaskReady: "_task_ready",
    e.AttemptStarted: "_attempt_started",
    e.AttemptFailed: "_attempt_failed",
    e.TaskSucceeded: "_task_ended",
    e.TaskFailed: "_task_ended",
    e.TaskCancelled: "_task_ended",
    e.TaskSkipped: "_task_skipped",
}


class RunProgress(ProgressFold[TaskProgress]):
    """The progress of a run that is recorded, for its outline in the run store.

    Args:
        run: the id of the run.
        display_name: returns the display name of a task, empty if it has none.
    """

    def __init__(self, run: RunId = "", display_name: Callable[[TaskRef], str] = NO_DISPLAY_NAMES) -> None:
        super().__init__(TaskProgress, display_name)
        self._run = run
        self._inputs: Mapping[str, Value] = {}
        self._outputs: Mapping[str, Value] = {}
        self._scalars: dict[TaskRef, Scalars] = {}  # of the tasks that have some

    def outline(self) -> str:
        """Return the outline of the run, which has ended, as JSON: lines, failures, totals, and lines of values."""
        lines = [line.fields() for line in self.lines(is_over=True)]
        failures = [*map(strip_controls, limit_failures(self.failures()))]
        totals = self.totals(is_over=True).fields()
        return json.dumps([lines, failures, totals, [*map(strip_controls, self._values())]], separators=(",", ":"))

    def _values(self) -> Iterator[str]:
        """Yield the lines of the run's inputs, outputs and metrics, as `Run.to_text` has them."""
        yield from describe_values("inputs", self._inputs, self._run)
        yield from describe_values("outputs", self._outputs, self._run)
        yield from describe_metrics(self._counter(is_over=True).totals().metrics)

    def totals(self, *, is_over: bool) -> RunTotals:
        """Return the numbers of tasks in each status, and the metrics, after the facts so far.

        Args:
            is_over: whether no process works on the run; then tasks that have not ended are interrupted.
        """
        counter = self._counter(is_over=is_over)
        counter.add_scalars(numbers_of(self._outputs))
        return counter.totals()

    def _counter(self, *, is_over: bool) -> TotalsCounter:
        counter = TotalsCounter()
        for state in self._tasks.values():
            if not state.is_group:
                status = Status.INTERRUPTED if is_over and state.status in OPEN else state.status
                counter.add_task(status.value, is_cached=bool(state.cached_from))
        for scalars in self._scalars.values():
            counter.add_scalars(scalars)
        return counter

    def _reset(self, ref: TaskRef) -> None:
        super()._reset(ref)
        self._scalars.pop(ref, None)

    def _task_ended(self, at: float, fact: e.TaskSucceeded | e.TaskFailed | e.TaskCancelled) -> None:
        super()._task_ended(at, fact)
        if isinstance(fact, e.TaskSucceeded) and fact.outputs and not self._tasks[fact.task].is_group:
            scalars = metrics_of(fact.outputs)
            if scalars:
                self._scalars[fact.task] = scalars

    def _run_ended(self, at: float, fact: e.RunEnded) -> None:
        super()._run_ended(at, fact)
        self._outputs = fact.outputs

    def _run_started(self, at: float, fact: e.RunStarted) -> None:
        self._inputs = fact.inputs

    def _run_resumed(self, at: float, fact: e.RunResumed) -> None:
        super()._run_resumed(at, fact)
        self._inputs, self._outputs = fact.inputs, {}


#: The step of a task's path that is an iteration: the name of the loop, and the number.
_Step = tuple[str, int | None]


class NewRunProgress(RunProgress):
    """The progress of a run from its first fact on, never resumed, for a third of the cost of each iteration.

    Of a loop with more iterations than have lines, those that succeed are only counted, and with all that is in them
    they need no fold. So the facts of an iteration are held until it ends, and folded at the end of the run if it did
    not succeed. That is done for loops of the pipeline itself, not for those in its nested pipelines.
    """

    def __init__(self, run: RunId = "", display_name: Callable[[TaskRef], str] = NO_DISPLAY_NAMES) -> None:
        super().__init__(run, display_name)
        self._succeeded: dict[str, int] = {}  # how many iterations, by the name of the loop
        self._held: dict[_Step, list[Any]] = {}  # times and facts in turns, as that is smaller than pairs
        self._totals = TotalsCounter()  # of the iterations that succeeded

    def apply(self, at: float, fact: e.Fact) -> None:
        """Apply the next fact of the run; see `ProgressFold.apply`."""
        if fact.__class__ in ABOUT_TASKS:
            path = fact.task.path  # type: ignore[union-attr]  # the class says that it has one
            step = path[0]
            held = self._held.get(step)
            if held is None and step[1] is not None and step[0] in self._succeeded:
                held = self._held[step] = []
            if held is not None:
                if fact.__class__ is e.TaskSucceeded and len(path) == 1:
                    del self._held[step]
                    self._succeeded[step[0]] += 1
                    self._totals.add_iteration(held, fact)
                else:
                    held += (at, fact)
                return
        elif isinstance(fact, e.RunResumed):
            raise InternalError("The whole progress of a run is needed to resume it.")
        elif isinstance(fact, e.RunEnded):
            self._fold_held()
        super().apply(at, fact)

    def _fold_held(self) -> None:
        """Fold the facts of the iterations that did not succeed."""
        for held in self._held.values():
            for at, fact in zip(held[::2], held[1::2], strict=True):
                super().apply(at, fact)
        self._held.clear()

    def _group_started(self, at: float, fact: e.DagStarted | e.LoopStarted | e.IterationStarted) -> None:
        super()._group_started(at, fact)
        if isinstance(fact, e.LoopStarted) and len(fact.task.path) == 1 and len(fact.items) > MAX_SIBLINGS:
            self._succeeded[fact.task.name] = 0

    def _counter(self, *, is_over: bool) -> TotalsCounter:
        counter = super()._counter(is_over=is_over)
        counter.add(self._totals)
        return counter

    def _children(self) -> dict[TaskRef, list[TaskProgress]]:
        children = super()._children()
        for name, count in self._succeeded.items():
            loop = TaskRef(((name, None),))
            iteration = TaskProgress(loop, self._tasks[loop])  # stands for each: they have no line of their own
            iteration.status = Status.SUCCEEDED
            children.setdefault(loop, []).extend([iteration] * count)
        return children


def _describe(task: TaskRef, failure: e.Failure) -> str:
    subject = "The pipeline" if task == ROOT else f"Task {str(task)!r}"
    return f"{name_line(failure.location)}{subject} {failure.predicate}"
