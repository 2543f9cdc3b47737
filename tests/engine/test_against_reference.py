"""The engine compared with a simple interpreter: the tasks that ran, their inputs, states and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.engine.machine import Machine
from standpipe.model.events import (
    AttemptEnded,
    CancelRequested,
    DagStarted,
    Event,
    Fact,
    Failure,
    IterationStarted,
    LoopStarted,
    RunEnded,
    Start,
    StartAttempt,
    TaskCancelled,
    TaskFailed,
    TaskReady,
    TaskSkipped,
    TaskSucceeded,
    TimePassed,
)
from standpipe.model.plan import Plan
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from tests.engine.driving import ignores_upstream_failure
from tests.engine.random_plans import Maker, behaviour
from tests.plans import RUN
from tests.reference import Behaviour, Interpreter

ENDS = {TaskSucceeded: TaskState.SUCCEEDED, TaskFailed: TaskState.FAILED, TaskSkipped: TaskState.SKIPPED}
ARGUMENTS = {"n": 3, "l": [3, 1]}


class Driven:
    """A run whose attempts end in random order. Time advances if nothing runs, or at random."""

    def __init__(self, plan: Plan, behave: Behaviour, order: Random, max_parallel: int) -> None:
        self.plan, self.behave, self.order = plan, behave, order
        self.attempts: dict[TaskRef, tuple[Any, int]] = {}
        self.running: list[StartAttempt] = []
        self.facts: list[Fact] = []
        self.most = 0
        self.now = 0.0
        self.machine = Machine(plan, RUN, max_parallel=max_parallel)
        self.send(Start(ARGUMENTS))

    def send(self, event: Event) -> None:
        step = self.machine.handle(event, self.now)
        self.facts += step.facts
        started = [command for command in step.commands if isinstance(command, StartAttempt)]
        self.running += started
        self.attempts.update({command.task: (command.inputs, command.attempt + 1) for command in started})
        self.most = max(self.most, len(self.running))

    def advance(self) -> None:
        """End an attempt, or advance the time to the next retry."""
        due = self.machine.due
        if due is not None and (not self.running or self.order.randrange(3) == 0):
            self.now = max(self.now, due)
            self.send(TimePassed())
            return
        command = self.running.pop(self.order.randrange(len(self.running)))
        component = self.plan.components[command.component]
        outputs = self.behave(command.task, component, command.inputs, command.attempt)
        self.send(AttemptEnded(command.task, outputs or {}, Failure("boom") if outputs is None else None))

    @property
    def is_over(self) -> bool:
        return isinstance(self.facts[-1], RunEnded)

    @property
    def ended(self) -> RunEnded:
        assert isinstance(self.facts[-1], RunEnded)
        return self.facts[-1]

    @property
    def states(self) -> dict[TaskRef, TaskState]:
        return {fact.task: ENDS[type(fact)] for fact in self.facts_of(*ENDS)}

    def facts_of(self, *kinds: type) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kinds)]


SEEDS = st.integers(0, 2**32)

#: How many tasks one event starts at most: small, so that other events come between.
STARTS = st.sampled_from([1, 3, 1000])


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(1, 40), st.sampled_from([0, 0, 2, 10]), st.integers(1, 5), st.integers(0, 40), STARTS)
def test_engine_and_reference_agree(
    seed: int, tasks: int, failing: int, max_parallel: int, rebuilt_after: int, starts: int
) -> None:
    with patch("standpipe.engine.machine._MOST_STARTS", starts):
        _check_against_reference(seed, tasks, failing, max_parallel, rebuilt_after)


def _check_against_reference(seed: int, tasks: int, failing: int, max_parallel: int, rebuilt_after: int) -> None:
    random = Random(seed)
    plan = Maker(random, tasks).plan()
    reference = Interpreter(plan, behaviour(failing))
    expected = reference.run(ARGUMENTS)

    run = Driven(plan, behaviour(failing), random, max_parallel)
    while not run.is_over:
        run.advance()
        rebuilt_after -= 1
        if not rebuilt_after:  # from here on, a machine that was rebuilt from the facts decides
            run.machine = Machine(plan, RUN, max_parallel=max_parallel)
            for fact in run.facts:
                run.machine.apply(fact)

    assert _told(run.attempts) == _told(reference.attempts)
    assert run.states == reference.states
    assert run.ended.state is expected.state
    assert repr(run.ended.outputs) == repr(expected.outputs)
    assert run.most <= max_parallel


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 40), st.integers(0, 10), st.integers(1, 5), STARTS)
def test_a_cancelled_run_ends_and_starts_nothing_but_exit_tasks(
    seed: int, tasks: int, until: int, max_parallel: int, starts: int
) -> None:
    with patch("standpipe.engine.machine._MOST_STARTS", starts):
        _check_cancelled(seed, tasks, until, max_parallel)


def _check_cancelled(seed: int, tasks: int, until: int, max_parallel: int) -> None:
    random = Random(seed)
    run = Driven(Maker(random, tasks).plan(), behaviour(10), random, max_parallel)
    while until and not run.is_over:
        run.advance()
        until -= 1
    cancels = 0
    while not run.is_over:
        before = dict(run.attempts)
        if cancels < 2 and random.randrange(2):
            run.send(CancelRequested())
            cancels += 1
        if not run.is_over:
            run.advance()
        new = {ref for ref, attempt in run.attempts.items() if attempt != before.get(ref)}
        assert not cancels or all(ignores_upstream_failure(run.plan, ref) for ref in new)
        assert cancels < 2 or not new
    assert run.ended.state is TaskState.CANCELLED or cancels == 0 or not run.facts_of(TaskCancelled)
    begun = {fact.task for fact in run.facts_of(DagStarted, LoopStarted, IterationStarted, TaskReady)}
    assert begun <= {fact.task for fact in run.facts_of(*ENDS, TaskCancelled)}


def _told(attempts: Mapping[TaskRef, tuple[Mapping[str, Any], int]]) -> dict[str, tuple[str, int]]:
    """Return the inputs of all attempted tasks as text, which distinguishes 1 from 1.0, and the number of attempts.

    The reference writes no messages, so the message of a final status is left out.
    """
    return {
        str(ref): (repr(sorted({**inputs, **_status(inputs)}.items())), number)
        for ref, (inputs, number) in attempts.items()
    }


def _status(inputs: Mapping[str, Any]) -> dict[str, Any]:
    status = inputs.get("status")
    return {"status": (status["state"], status["pipelineTaskName"])} if status else {}
