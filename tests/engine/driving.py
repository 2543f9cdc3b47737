"""Runs whose events a test sends itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from standpipe.engine.machine import Machine
from standpipe.model.events import (
    AttemptEnded,
    Fact,
    Failure,
    RunEnded,
    Start,
    StartAttempt,
    TaskSkipped,
    TimePassed,
)
from standpipe.model.plan import Plan, TriggerStrategy
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.model.values import Value
from tests.plans import RUN


def task(path: str) -> TaskRef:
    """Return the reference of a path: `a/2/b` is task b in iteration 2 of loop a."""
    steps: list[tuple[str, int | None]] = []
    for part in path.split("/"):
        if part.isdecimal():
            steps[-1] = (steps[-1][0], int(part))
        else:
            steps.append((part, None))
    return TaskRef(tuple(steps))


def ignores_upstream_failure(plan: Plan, ref: TaskRef) -> bool:
    """Return whether a task, or one around it, runs however its upstream tasks end."""
    component = plan.root
    for name, _ in ref.path:
        node = component.body.nodes[name]  # type: ignore[union-attr]
        if node.trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED:
            return True
        component = plan.components[node.component]
    return False


class Run:
    """A run on a machine. Each attempt that starts is active until the test ends it."""

    def __init__(self, plan: Plan, max_parallel: int = 100, **arguments: Value) -> None:
        self.machine = Machine(plan, RUN, max_parallel=max_parallel)
        self.now = 0.0
        self.facts: list[Fact] = []
        self.running: dict[TaskRef, StartAttempt] = {}
        self.commands: list[object] = []
        self.send(Start(arguments))

    def send(self, event: object) -> None:
        self._handle(event)
        while self.machine.due == 0.0:
            self._handle(TimePassed())

    def _handle(self, event: object) -> None:
        step = self.machine.handle(event, self.now)  # type: ignore[arg-type]
        self.facts += step.facts
        self.commands += step.commands
        for command in step.commands:
            if isinstance(command, StartAttempt):
                self.running[command.task] = command

    def end(self, path: str, failure: str = "", **outputs: Value) -> None:
        del self.running[task(path)]
        self.send(AttemptEnded(task(path), outputs, Failure(failure) if failure else None))

    def lose(self, path: str) -> None:
        """End the running attempt at a task, lost with its machine."""
        self.send(AttemptEnded(task(path), failure=Failure("lost"), is_lost=True))

    def wait(self, seconds: float) -> None:
        """Advance the time by some seconds, without other events."""
        self.now += seconds
        self.send(TimePassed())

    def inputs(self, path: str) -> Mapping[str, Any]:
        return self.running[task(path)].inputs

    @property
    def ended(self) -> RunEnded:
        assert isinstance(self.facts[-1], RunEnded)
        return self.facts[-1]

    @property
    def names(self) -> list[str]:
        return sorted(str(ref) for ref in self.running)

    @property
    def failures(self) -> list[tuple[str, str]]:
        return [(str(fact.task), fact.failure.message) for fact in self.ended.failures]

    def state(self, path: str) -> TaskState:
        return self.machine.state_of(task(path))

    def because(self, path: str) -> str:
        """Return the reason why a task was skipped."""
        return next(fact.reason for fact in self.facts if isinstance(fact, TaskSkipped) and fact.task == task(path))
