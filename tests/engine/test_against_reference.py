"""The engine beside an obvious interpreter: which tasks ran, with what inputs, how all ended, and with what outputs."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.random_plans import Maker, behaviour
from tests.plans import RUN
from tests.reference import Behaviour, Interpreter

from standpipe.engine.machine import Machine
from standpipe.model.events import (
    AttemptEnded,
    Fact,
    Failure,
    RunEnded,
    Start,
    StartAttempt,
    TaskFailed,
    TaskSkipped,
    TaskSucceeded,
)
from standpipe.model.plan import Plan
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState

ENDS = {TaskSucceeded: TaskState.SUCCEEDED, TaskFailed: TaskState.FAILED, TaskSkipped: TaskState.SKIPPED}
ARGUMENTS = {"n": 3, "l": [3, 1]}


class Driven:
    """A run whose attempts end in random order."""

    def __init__(self, plan: Plan, behave: Behaviour, order: Random, max_parallel: int) -> None:
        self.plan, self.behave, self.order = plan, behave, order
        self.attempts: dict[TaskRef, Any] = {}
        self.running: list[StartAttempt] = []
        self.facts: list[Fact] = []
        self.most = 0
        self.machine = Machine(plan, RUN, max_parallel=max_parallel)
        self.send(Start(ARGUMENTS))

    def send(self, event: Start | AttemptEnded) -> None:
        step = self.machine.handle(event)
        self.facts += step.facts
        started = [command for command in step.commands if isinstance(command, StartAttempt)]
        self.running += started
        self.attempts.update({command.task: command.inputs for command in started})
        self.most = max(self.most, len(self.running))

    def end_one(self) -> None:
        command = self.running.pop(self.order.randrange(len(self.running)))
        outputs = self.behave(command.task, self.plan.components[command.component], command.inputs)
        self.send(AttemptEnded(command.task, outputs or {}, Failure("boom") if outputs is None else None))

    @property
    def ended(self) -> RunEnded:
        assert isinstance(self.facts[-1], RunEnded)
        return self.facts[-1]

    @property
    def states(self) -> dict[TaskRef, TaskState]:
        return {fact.task: ENDS[type(fact)] for fact in self.facts if isinstance(fact, tuple(ENDS))}  # type: ignore[attr-defined]


SEEDS = st.integers(0, 2**32)


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(1, 40), st.sampled_from([0, 0, 2, 10]), st.integers(1, 5), st.integers(0, 40))
def test_engine_and_reference_agree(seed: int, tasks: int, failing: int, max_parallel: int, rebuilt_after: int) -> None:
    random = Random(seed)
    plan = Maker(random, tasks).plan()
    reference = Interpreter(plan, behaviour(failing))
    expected = reference.run(ARGUMENTS)

    run = Driven(plan, behaviour(failing), random, max_parallel)
    while run.running:
        run.end_one()
        rebuilt_after -= 1
        if not rebuilt_after:  # from then on a machine decides that knows of the run by its facts
            run.machine = Machine(plan, RUN, max_parallel=max_parallel)
            for fact in run.facts:
                run.machine.apply(fact)

    assert _told(run.attempts) == _told(reference.attempts)
    assert run.states == reference.states
    assert run.ended.state is expected.state
    assert repr(run.ended.outputs) == repr(expected.outputs)
    assert run.most <= max_parallel


def _told(attempts: Mapping[TaskRef, Mapping[str, Any]]) -> dict[str, str]:
    """The inputs of all attempts, as text, which tells 1 from 1.0 and from True.

    Of a final status it holds what both sides know: the reference writes no messages.
    """
    return {str(ref): repr(sorted({**inputs, **_status(inputs)}.items())) for ref, inputs in attempts.items()}


def _status(inputs: Mapping[str, Any]) -> dict[str, Any]:
    status = inputs.get("status")
    return {"status": (status["state"], status["pipelineTaskName"])} if status else {}
