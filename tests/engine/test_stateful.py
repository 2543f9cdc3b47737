"""Random events in random order, by hypothesis: the invariants of runs hold after each.

After every step the run is rebuilt from its facts alone. The rebuilt machine must be in the same state (see `snapshot`)
and decide the same.
"""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from standpipe.engine.machine import Machine, Step
from standpipe.engine.reruns import select_reruns
from standpipe.engine.tasks import ExecutorTask, Task
from standpipe.model.events import (
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    EndRun,
    Event,
    Fact,
    Failure,
    Resume,
    RunCancelled,
    RunEnded,
    RunResumed,
    Start,
    StartAttempt,
    StopAttempts,
    TaskCancelled,
    TaskFailed,
    TimePassed,
)
from standpipe.model.plan import Plan
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from tests.engine.driving import ignores_upstream_failure
from tests.engine.random_plans import Maker, behaviour
from tests.plans import RUN

BEHAVE = behaviour(failing=0)
INDEX = st.integers(0, 1000)
RUN_OF: dict[str, Any] = {"seed": st.integers(0, 2**32), "tasks": st.integers(1, 25), "max_parallel": st.integers(1, 4)}


def snapshot(machine: Machine) -> dict[str, Any]:
    """Return all state of a machine that its decisions depend on, in values that can be compared.

    Values are compared as text, which distinguishes 1, 1.0 and True.
    """
    tasks = {
        str(task.ref): (task.state, repr(task.inputs), repr(task.outputs), task.failure, *attempts(task))
        for task in machine.root.walk()
    }
    return {"tasks": tasks, "due": machine.due}


def attempts(task: Task) -> tuple[float, ...]:
    """Return the state of a task that is about its attempts."""
    if not isinstance(task, ExecutorTask):
        return ()
    return (task.next_attempt, task.retry_index, task.first_started_at, task.due_at)


def rebuilt(plan: Plan, max_parallel: int, facts: list[Fact]) -> Machine:
    machine = Machine(plan, RUN, max_parallel=max_parallel)
    for fact in facts:
        machine.apply(fact)
    return machine


class Runs(RuleBasedStateMachine):
    """A run: random events as rules, and its facts so far."""

    @initialize(**RUN_OF)
    def a_run_begins(self, seed: int, tasks: int, max_parallel: int) -> None:
        self.plan = Maker(Random(seed), tasks, retried=80).plan()
        self.max_parallel = max_parallel
        self.now = 1000.0
        self.facts: list[Fact] = []
        self.machine = rebuilt(self.plan, self.max_parallel, self.facts)
        self.twin = rebuilt(self.plan, self.max_parallel, self.facts)
        self.running: dict[TaskRef, StartAttempt] = {}
        self.started: set[tuple[TaskRef, int]] = set()
        self.final: dict[str, tuple[Any, ...]] = {}
        self.resumed = 0
        self.send(Start({"n": 3, "l": [3, 1]}))

    # --- events

    @precondition(lambda self: self.running)
    @rule(index=INDEX)
    def an_attempt_succeeds(self, index: int) -> None:
        command = self.ended(index)
        outputs = BEHAVE(command.task, self.plan.components[command.component], command.inputs, command.attempt)
        self.send(AttemptEnded(command.task, outputs or {}))

    @precondition(lambda self: self.running)
    @rule(index=INDEX)
    def an_attempt_fails(self, index: int) -> None:
        self.send(AttemptEnded(self.ended(index).task, failure=Failure("boom")))

    @precondition(lambda self: not self.is_over)
    @rule(seconds=st.sampled_from([0.0, 0.5, 9.0, 10.0, 5000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.send(TimePassed())

    @precondition(lambda self: self.machine.due is not None and not self.is_over)
    @rule()
    def the_next_attempt_is_due(self) -> None:
        self.wait()

    @precondition(lambda self: self.machine.due is not None and not self.is_over)
    @rule()
    def the_user_cancels_while_a_retry_is_delayed(self) -> None:
        self.send(CancelRequested())

    @precondition(lambda self: not self.is_over)
    @rule()
    def the_user_cancels(self) -> None:
        self.send(CancelRequested())

    @precondition(lambda self: not self.is_over and not self.is_cancelled)
    @rule(seed=INDEX)
    def tasks_cannot_be_set_up(self, seed: int) -> None:
        refs = [task.ref for task in self.machine.root.walk() if isinstance(task, ExecutorTask)]
        chosen = Random(seed).sample(refs, min(len(refs), 2))
        static = [TaskRef(tuple((name, None) for name, _ in ref.path)) for ref in chosen]
        running = {*self.running}
        self.send(CancelRequested("it stops", tuple(TaskFailed(ref, Failure("no image")) for ref in static)))
        states = {ref: self.machine.state_of(ref) for ref in chosen if ref not in running}
        exit_tasks = {ref for ref in chosen if ignores_upstream_failure(self.plan, ref)}
        waiting = {ref for ref, state in states.items() if state is TaskState.READY}
        assert waiting <= exit_tasks, "what was ready has failed"

    @precondition(lambda self: self.resumed < 3)
    @rule()
    def the_run_is_resumed(self) -> None:
        self.resumed += 1
        done = {task.ref for task in self.machine.root.walk() if task.state is TaskState.SUCCEEDED}
        again = select_reruns(self.machine.root, self.plan, lambda old, new: "", {})
        assert self.has_failed or done.isdisjoint(again), "what has succeeded is only rerun after a failure"
        self.machine = rebuilt(self.plan, self.max_parallel, self.facts)
        self.running, self.final = {}, {}
        self.send(Resume(tuple(again)))

    @precondition(lambda self: self.is_over)
    @rule(**RUN_OF)
    def a_new_run_begins(self, seed: int, tasks: int, max_parallel: int) -> None:
        self.a_run_begins(seed, tasks, max_parallel)

    def teardown(self) -> None:
        """Check from any state that the run ends when all attempts end."""
        while hasattr(self, "plan") and not self.is_over:
            if self.running:
                self.an_attempt_succeeds(0)
            else:
                self.wait()
            self.something_can_always_happen()

    # --- invariants

    @invariant()
    def max_parallel_is_respected(self) -> None:
        assert len(self.running) <= self.max_parallel

    @invariant()
    def final_states_do_not_change(self) -> None:
        tasks = self.state["tasks"]
        assert {task: tasks[task] for task in self.final} == self.final
        self.final = {task: kept for task, kept in tasks.items() if kept[0].is_final}

    @invariant()
    def something_can_always_happen(self) -> None:
        assert self.is_over or self.running or self.machine.due is not None

    @invariant()
    def all_tasks_are_final_when_the_run_has_ended(self) -> None:
        if self.is_over:
            assert not self.running
            assert all(kept[0].is_final for kept in self.state["tasks"].values())

    @invariant()
    def a_run_fails_if_a_task_failed_that_cannot_be_set_up(self) -> None:
        if self.is_over and self.is_cancelled and (end := self.facts[-1]):
            assert isinstance(end, RunEnded)
            causes = [fact for fact in end.failures if fact.failure.message.endswith("no image")]
            assert end.state is TaskState.FAILED or not causes

    @invariant()
    def started_attempts_are_running(self) -> None:
        assert all(self.machine.state_of(task) is TaskState.RUNNING for task in self.running)

    @invariant()
    def expected_attempts_have_not_started_and_change_nothing(self) -> None:
        before = snapshot(self.machine)
        expected = [attempt.task for attempt in self.machine.expect_attempts(3)]
        assert snapshot(self.machine) == before
        assert len(set(expected)) == len(expected) <= 3
        assert {task for task, _ in self.machine.running_attempts} == set(self.running)
        known = [before["tasks"][str(task)][0] for task in expected if str(task) in before["tasks"]]
        assert not any(state.is_final or state is TaskState.RUNNING for state in known)
        assert not (self.is_over and expected)

    # --- helpers

    @property
    def is_over(self) -> bool:
        return bool(self.facts) and isinstance(self.facts[-1], RunEnded)

    @property
    def is_cancelled(self) -> bool:
        since = max((at for at, fact in enumerate(self.facts) if isinstance(fact, RunResumed)), default=0)
        return any(isinstance(fact, RunCancelled) for fact in self.facts[since:])

    @property
    def has_failed(self) -> bool:
        return any(isinstance(fact, (TaskFailed, TaskCancelled)) for fact in self.facts)

    def wait(self) -> None:
        assert self.machine.due is not None
        self.now = max(self.now, self.machine.due)
        self.send(TimePassed())

    def ended(self, index: int) -> StartAttempt:
        return self.running.pop([*self.running][index % len(self.running)])

    def send(self, event: Event) -> None:
        """Send an event to the machine and to its twin, which was rebuilt from the facts; both must decide the same.

        The twin is rebuilt after each event, and must then be in the same state as the machine.
        """
        step = self.machine.handle(event, self.now)
        self.take(step)
        assert repr(self.twin.handle(event, self.now)) == repr(step)
        self.twin = rebuilt(self.plan, self.max_parallel, self.facts)
        self.state = snapshot(self.machine)
        assert snapshot(self.twin) == self.state

    def take(self, step: Step) -> None:
        self.facts += step.facts
        self.check_commands(step)
        for command in step.commands:
            if isinstance(command, StartAttempt):
                assert command.task not in self.running
                self.running[command.task] = command

    def check_commands(self, step: Step) -> None:
        """Check that the commands match the facts: a start for each attempt that began, and the end of the run."""
        begun = [(fact.task, fact.attempt) for fact in step.facts if isinstance(fact, AttemptStarted)]
        starts = [command for command in step.commands if isinstance(command, StartAttempt)]
        assert [(command.task, command.attempt) for command in starts] == begun
        assert len({*begun}) == len(begun)
        assert not self.started & {*begun}, "an attempt begins once"
        self.started |= {*begun}
        since = max((at for at, fact in enumerate(self.facts) if isinstance(fact, RunResumed)), default=0)
        cancels = sum(isinstance(fact, RunCancelled) for fact in self.facts[since:])
        late = begun if cancels else []
        assert all(ignores_upstream_failure(self.plan, task) for task, _ in late), "after a cancel, exit tasks only"
        assert cancels < 2 or not late
        for command in step.commands:
            if isinstance(command, StopAttempts):
                assert set(command.tasks) <= self.running.keys(), "only what runs is stopped"
        ends = [fact for fact in step.facts if isinstance(fact, RunEnded)]
        assert len([command for command in step.commands if isinstance(command, EndRun)]) == len(ends)
        assert not ends or step.facts[-1] is ends[0]


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
