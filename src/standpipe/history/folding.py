"""The facts of a run put together, one after the other. No engine decides anything again: what is told here happened.

Facts may break off anywhere, as those of a run that goes on or whose process was killed, and go on with `RunResumed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from standpipe.history.lineage import Lineage
from standpipe.history.records import Attempt, Status, Story, Task, moment
from standpipe.model import events as e
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.values import Value
from standpipe.support.garbage_collection import pause_garbage_collection

#: Where a task stands that keeps its state when the run is resumed; all others go on, or are done again.
_KEPT = {Status.SUCCEEDED, Status.SKIPPED, Status.READY}

_ENDED = {
    e.TaskSucceeded: Status.SUCCEEDED,
    e.TaskFailed: Status.FAILED,
    e.TaskCancelled: Status.CANCELLED,
}


@dataclass
class _Node:
    """What is known of a task so far. `ready` and `started` are None as long as it has not come to that."""

    ref: TaskRef
    status: Status = Status.READY
    is_whole: bool = False  # a DAG, a loop, or an iteration of a loop over a DAG
    item: Value = None
    ready: float | None = None
    started: float | None = None
    ended: float | None = None
    inputs: Mapping[str, Value] = field(default_factory=dict)
    outputs: Mapping[str, Value] = field(default_factory=dict)
    cached: str = ""
    because: str = ""
    failure: e.Failure | None = None
    attempts: list[Attempt] = field(default_factory=list)
    children: list[Task] = field(default_factory=list)

    def reopen(self) -> None:
        """Forgets how it ended."""
        self.status, self.ended, self.outputs = Status.RUNNING, None, {}
        self.cached, self.because, self.failure = "", "", None

    def end_attempt(self, status: Status, at: float | None, report: e.Report | None, failure: e.Failure | None) -> None:
        """Ends the attempt that runs, if one does; `at` is None where it came to no end."""
        if not self.attempts or self.attempts[-1].status is not Status.RUNNING:
            return
        last = self.attempts[-1]
        ended = None if at is None else moment(at)
        self.attempts[-1] = replace(
            last,
            status=status,
            ended=ended,
            duration=report.seconds if report else (ended - last.started).total_seconds() if ended else None,
            failure=failure,
            cpu_seconds=report.cpu_seconds if report else None,
            peak_memory=report.peak_memory if report else None,
            log_bytes=report.log_bytes if report else None,
            log_lines=report.log_lines if report else None,
        )


class _Fold:
    """Takes facts with the times at which they were stored; the public methods are those for each class of facts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nodes: dict[TaskRef, _Node] = {}
        self._earlier: dict[TaskRef, list[Attempt]] = {}  # attempts at tasks that were done again
        self._inputs: Mapping[str, Value] = {}
        self._outputs: Mapping[str, Value] = {}
        self._failures: dict[TaskRef, e.Failure] = {}
        self._resumed = 0

    # --- facts --------------------------------------------------------------------------------------------------------

    def run_started(self, _: float, fact: e.RunStarted) -> None:
        self._inputs = fact.inputs

    def run_resumed(self, _: float, fact: e.RunResumed) -> None:
        self._resumed += 1
        self._inputs = fact.inputs
        self._failures.clear()
        again = set(fact.again)
        for ref, node in list(self._nodes.items()):  # each before those that are in it
            if ref.whole in again:
                again.add(ref)
            node.end_attempt(Status.INTERRUPTED, None, None, None)
            if ref in again or (not node.is_whole and node.status not in _KEPT):
                self._earlier[ref] = self._nodes.pop(ref).attempts
            elif node.is_whole and node.status not in _KEPT:
                node.reopen()

    def run_ended(self, _: float, fact: e.RunEnded) -> None:
        self._outputs = fact.outputs
        self._failures = {failed.task: failed.failure for failed in fact.failures}

    def whole_started(self, at: float, fact: e.DagStarted | e.LoopStarted) -> None:
        self._begun(fact.task, at).inputs = fact.inputs

    def iteration_started(self, at: float, fact: e.IterationStarted) -> None:
        self._begun(fact.task, at).item = fact.item

    def task_ready(self, at: float, fact: e.TaskReady) -> None:
        node = self._node(fact.task)
        node.reopen()
        node.status, node.ready, node.started, node.inputs = Status.READY, at, None, fact.inputs

    def attempt_started(self, at: float, fact: e.AttemptStarted) -> None:
        node, began = self._node(fact.task), fact.at or at
        node.end_attempt(Status.INTERRUPTED, None, None, None)
        node.status, node.started = Status.RUNNING, began if node.started is None else node.started
        node.attempts.append(Attempt(fact.attempt, Status.RUNNING, moment(began), self._folder, fact.task))

    def attempt_failed(self, _: float, fact: e.AttemptFailed) -> None:
        node = self._node(fact.task)
        node.status = Status.READY
        node.end_attempt(Status.FAILED, fact.at, fact.report, fact.failure)

    def task_ended(self, at: float, fact: e.TaskSucceeded | e.TaskFailed | e.TaskCancelled) -> None:
        node = self._node(fact.task)
        node.status, node.ended = _ENDED[type(fact)], at
        failure = fact.failure if isinstance(fact, e.TaskFailed) else None
        if isinstance(fact, e.TaskSucceeded):
            node.outputs, node.cached = fact.outputs, fact.cached
        if failure:
            node.failure = failure
            if not failure.within:
                self._failures[fact.task] = failure
        if node.cached and node.attempts and node.attempts[-1].status is Status.RUNNING:
            node.attempts.pop()  # nothing had to run
        node.end_attempt(node.status, at, fact.report, failure)

    def task_skipped(self, at: float, fact: e.TaskSkipped) -> None:
        node = self._node(fact.task)
        node.status, node.ended, node.because = Status.SKIPPED, at, fact.because

    # --- tasks --------------------------------------------------------------------------------------------------------

    def _node(self, ref: TaskRef) -> _Node:
        """The task, new if need be. What it is in goes on again, if that had ended before the run was resumed."""
        node = self._nodes.get(ref)
        if node is None:
            node = self._nodes[ref] = _Node(ref, attempts=self._earlier.pop(ref, []))
        around = self._nodes.get(ref.whole)
        while around and around.ended is not None:
            around.reopen()
            around = self._nodes.get(around.ref.whole)
        return node

    def _begun(self, ref: TaskRef, at: float) -> _Node:
        node = self._node(ref)
        node.reopen()
        node.is_whole, node.started = True, at
        return node

    # --- the whole ----------------------------------------------------------------------------------------------------

    def story(self, *, is_over: bool) -> Story:
        """What the facts so far tell; if the run `is_over`, what had not ended by then was interrupted."""
        if is_over:
            for node in self._nodes.values():
                self._interrupt(node)
        lineage = self._lineage()
        tasks: list[Task] = []
        for node in reversed(self._nodes.values()):  # children before what they are in
            around = self._nodes.get(node.ref.whole)
            (around.children if around else tasks).append(self._task(node, lineage))
        return Story(
            inputs=lineage.shown(self._inputs),
            outputs=lineage.shown(self._outputs),
            tasks=tuple(reversed(tasks)),
            artifacts=lineage.all(),
            failures=tuple(_sentence(task, failure) for task, failure in self._failures.items()),
            resumed=self._resumed,
        )

    def _interrupt(self, node: _Node) -> None:
        if node.status in (Status.READY, Status.RUNNING):
            node.status = Status.INTERRUPTED
            node.end_attempt(Status.INTERRUPTED, None, None, None)

    def _lineage(self) -> Lineage:
        lineage = Lineage()
        for node in self._nodes.values():
            if not node.is_whole:
                lineage.made(node.outputs, str(node.ref))
        lineage.brought(self._inputs)
        for node in self._nodes.values():
            if not node.is_whole:
                lineage.used(node.inputs, str(node.ref))
        return lineage

    def _task(self, node: _Node, lineage: Lineage) -> Task:
        ref, iteration = node.ref, node.ref.iteration
        started = node.ready if node.started is None and node.cached else node.started
        return Task(
            path=str(ref),
            name=ref.name if iteration is None else str(iteration),
            iteration=iteration,
            item=lineage.value(node.item),
            status=node.status,
            started=None if started is None else moment(started),
            ended=None if node.ended is None else moment(node.ended),
            inputs=lineage.shown(node.inputs),
            outputs=lineage.shown(node.outputs),
            cached_from=node.cached,
            skipped_because=node.because,
            failure=node.failure,
            attempts=tuple(node.attempts),
            children=tuple(reversed(node.children)),
            _run_folder=self._folder,
            _ref=ref,
        )


#: What takes each class of facts; those that are not here change nothing that is told.
_TAKES: dict[type, Callable[[_Fold, float, Any], None]] = {
    e.RunStarted: _Fold.run_started,
    e.RunResumed: _Fold.run_resumed,
    e.RunEnded: _Fold.run_ended,
    e.DagStarted: _Fold.whole_started,
    e.LoopStarted: _Fold.whole_started,
    e.IterationStarted: _Fold.iteration_started,
    e.TaskReady: _Fold.task_ready,
    e.AttemptStarted: _Fold.attempt_started,
    e.AttemptFailed: _Fold.attempt_failed,
    e.TaskSucceeded: _Fold.task_ended,
    e.TaskFailed: _Fold.task_ended,
    e.TaskCancelled: _Fold.task_ended,
    e.TaskSkipped: _Fold.task_skipped,
}


def fold(facts: Sequence[tuple[float, e.Fact]], folder: Path, *, is_over: bool) -> Story:
    """What the facts of a run tell.

    Args:
        facts: each with when it was stored, in seconds since the epoch.
        folder: the run's own.
        is_over: whether nobody is at the run any more.
    """
    folded = _Fold(folder)
    with pause_garbage_collection():
        for at, fact in facts:
            take = _TAKES.get(type(fact))
            if take:
                take(folded, at, fact)
        return folded.story(is_over=is_over)


def _sentence(task: TaskRef, failure: e.Failure) -> str:
    return f"{'The pipeline' if task == ROOT else f'Task {str(task)!r}'} {failure.predicate}"
