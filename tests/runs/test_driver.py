"""The driver of a run, with attempts that are functions."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from queue import SimpleQueue

import pytest

from standpipe.engine.machine import Machine
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptStarted,
    Fact,
    Failure,
    RunCancelled,
    RunEnded,
    Start,
    StartAttempt,
    TaskReady,
    TaskSucceeded,
)
from standpipe.model.plan import FromTask, Loop, Plan, RawItems, Retry, Trigger, TriggerStrategy
from standpipe.model.ports import Attempt, FactSink
from standpipe.model.states import TaskState
from standpipe.runs.clock import Clock, SystemClock
from standpipe.runs.driver import Driver
from tests.clock import FastClock
from tests.engine.driving import task
from tests.plans import RUN, dag, group, node, plan


def drive(
    made: Plan, attempt: Attempt, *sinks: FactSink, max_parallel: int = 4, clock: Clock | None = None
) -> RunEnded:
    machine = Machine(made, RUN, max_parallel=max_parallel)
    return Driver(machine, attempt, sinks, clock=clock).run(Start({}))


class Kept:
    """A sink that stores all facts, and the facts of each call."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.calls: list[Sequence[Fact]] = []

    def __call__(self, facts: Sequence[Fact]) -> None:
        self.facts += facts
        self.calls.append(tuple(facts))


def test_retries_start_after_their_delays() -> None:
    began: list[float] = []
    clock = FastClock()

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        began.append(clock.now())
        failure = Failure("boom") if command.attempt < 2 else None
        return AttemptEnded(command.task, {"y": command.attempt}, failure)

    kept = Kept()
    retried = replace(node("a"), retry=Retry(5, 50, 3.0))
    assert drive(plan(dag(retried)), attempt, kept, clock=clock).state is TaskState.SUCCEEDED
    assert [after - before for before, after in pairwise(began)] == [50, 150]
    failed = [fact for fact in kept.facts if isinstance(fact, AttemptFailed)]
    assert [(fact.attempt, fact.delay, fact.at) for fact in failed] == [(0, 50, began[0]), (1, 150, began[1])]


def test_the_system_clock_tells_the_time_and_waits() -> None:
    clock = SystemClock()
    before = clock.now()

    assert abs(before - time.time()) < 60
    assert clock.wait(SimpleQueue(), before + 0.01, 60) is None
    assert before + 0.01 <= clock.now() < before + 30


def test_a_run_is_cancelled_at_its_timeout() -> None:
    clock = FastClock()
    began = clock.now()

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        return AttemptEnded(command.task, failure=Failure("boom"))

    retried = replace(node("a"), retry=Retry(1, 5000, 1.0, 5000))
    machine = Machine(plan(dag(retried)), RUN, max_parallel=1)
    kept = Kept()
    driver = Driver(machine, attempt, (kept,), timeout=1000, clock=clock)
    assert driver.run(Start({})).state is TaskState.CANCELLED
    assert driver.timed_out
    assert clock.now() == began + 1000
    (cancelled,) = (fact for fact in kept.facts if isinstance(fact, RunCancelled))
    assert cancelled == RunCancelled("it had not ended after 1000 s (PipelineConfig(active_deadline_seconds=...))")


#: A task that waits until it is cancelled, and an exit task of it.
HANDLED = plan(
    dag(
        node("exit-handler-1", component="body"),
        node(
            "tidy",
            "exit-handler-1",
            trigger=Trigger(TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED),
        ),
    ),
    body=group(dag(node("a"))),
)


@pytest.mark.parametrize("requested_after", [None, 0.5, 3.0])
def test_exit_tasks_run_after_a_deadline_and_one_cancel_request_of_the_user(requested_after: float | None) -> None:
    clock = FastClock(in_steps=True)
    began = clock.now()
    ended: list[str] = []
    requests = [] if requested_after is None else [began + requested_after]

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        cancelled = threading.Event()
        cancel.on_set(cancelled.set)
        if command.task.name == "a":
            assert cancelled.wait(30)
            return AttemptEnded(command.task, failure=Failure("cancelled"))
        while clock.now() < began + 4:
            assert not cancelled.wait(0.001), "an exit task is not stopped"
        ended.append(command.task.name)
        return AttemptEnded(command.task, {"y": 1})

    def cancel_requested() -> bool:
        if is_time := bool(requests) and clock.now() >= requests[0]:
            requests.clear()
        return is_time

    machine = Machine(HANDLED, RUN, max_parallel=1)
    driver = Driver(machine, attempt, (), timeout=2, clock=clock, cancel_requested=cancel_requested)
    assert driver.run(Start({})).state is TaskState.CANCELLED
    assert (ended, requests) == (["tidy"], [])
    assert driver.timed_out is (requested_after != 0.5)


def test_a_second_request_of_the_user_after_a_deadline_stops_exit_tasks() -> None:
    clock = FastClock()
    requests = iter([False, False, True, True])
    deadline = clock.now() + 1000

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        cancelled = threading.Event()
        cancel.on_set(cancelled.set)
        assert cancelled.wait(30)
        return AttemptEnded(command.task, failure=Failure("cancelled"))

    def cancel_requested() -> bool:
        return clock.now() >= deadline and next(requests, False)

    machine = Machine(HANDLED, RUN, max_parallel=1)
    driver = Driver(machine, attempt, (), timeout=1000, clock=clock, cancel_requested=cancel_requested)
    assert driver.run(Start({})).state is TaskState.CANCELLED
    assert driver.timed_out


def test_other_tasks_run_during_a_delay_that_is_longer_than_the_longest_wait() -> None:
    done = threading.Event()

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        if command.task.name == "fails":
            return AttemptEnded(command.task, failure=Failure("boom"))
        if command.task.name == "last":
            done.set()
            os.kill(os.getpid(), signal.SIGINT)
        return AttemptEnded(command.task, {"y": 1})

    retried = replace(node("fails"), retry=Retry(1, 1e12, backoff_max_duration=1e12))
    with pytest.raises(KeyboardInterrupt):
        drive(plan(dag(retried, node("first"), node("last", "first"))), attempt)
    assert done.is_set()


def test_facts_are_recorded_before_the_attempts_that_follow_from_them() -> None:
    kept = Kept()

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        assert any(isinstance(fact, AttemptStarted) and fact.task == command.task for fact in kept.facts)
        assert command.task.name == "a" or any(isinstance(fact, TaskSucceeded) for fact in kept.facts)
        return AttemptEnded(command.task, {"y": 1})

    assert drive(plan(dag(node("a"), node("b", "a"))), attempt, kept).state is TaskState.SUCCEEDED


def test_tasks_of_a_long_loop_run_before_all_its_iterations_are_ready() -> None:
    kept = Kept()
    known: list[int] = []

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        known.append(sum(isinstance(fact, TaskReady) for fact in list(kept.facts)) if len(known) < 2 else 0)
        return AttemptEnded(command.task, {"y": 1})

    long_loop = plan(dag(node("loop", loop=Loop(RawItems(tuple(range(5000))), "x")), y=FromTask("loop", "y")))
    ended = drive(long_loop, attempt, kept, max_parallel=2)
    assert ended.outputs == {"y": [1] * 5000}
    assert 0 < known[0] < 5000
    assert max(map(len, kept.calls)) < 2500


def test_facts_of_simultaneous_events_reach_the_sinks_in_one_call() -> None:
    release = threading.Event()
    ended = threading.Barrier(5)

    class Slow(Kept):
        def __call__(self, facts: Sequence[Fact]) -> None:
            super().__call__(facts)
            if any(isinstance(fact, TaskSucceeded) for fact in facts) and not release.is_set():
                release.set()
                ended.wait(5)
                time.sleep(0.05)  # until the last one is in the queue

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        if command.task.name != "first":
            release.wait(5)
            ended.wait(5)
        return AttemptEnded(command.task, {"y": 1})

    kept = Slow()
    drive(plan(dag(node("first"), *(node(f"t{number}") for number in range(4)))), attempt, kept, max_parallel=5)
    assert [len(call) for call in kept.calls] == [1 + 2 * 5, 1, 5]


def test_facts_before_an_internal_error_are_recorded() -> None:
    release = threading.Event()

    class Slow(Kept):
        def __call__(self, facts: Sequence[Fact]) -> None:
            super().__call__(facts)
            if TaskSucceeded(task("a"), {"y": 1}) in facts:
                release.set()
                time.sleep(0.05)  # until the ends of the other tasks are in the queue

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        if command.task.name == "b":
            release.wait(5)
        if command.task.name == "defect":
            release.wait(5)
            time.sleep(0.02)
            raise RuntimeError("a defect")
        return AttemptEnded(command.task, {"y": 1})

    kept = Slow()
    with pytest.raises(RuntimeError, match="a defect"):
        drive(plan(dag(node("a"), node("b"), node("defect"))), attempt, kept)
    assert TaskSucceeded(task("b"), {"y": 1}) in kept.facts


def test_a_signal_at_the_end_of_a_run_is_not_repeated_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standpipe.runs.driver._PATIENCE", 0.1)

    def interrupt(facts: Sequence[Fact]) -> None:
        if any(isinstance(fact, RunEnded) for fact in facts):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        drive(plan(dag(node("a"))), lambda command, cancel: AttemptEnded(command.task, {"y": 1}), interrupt)
    time.sleep(0.3)  # an interrupt out of nowhere would end it


def test_a_task_that_ends_when_it_is_cancelled_is_handled() -> None:
    release = threading.Event()

    def stop(facts: Sequence[Fact]) -> None:
        if any(isinstance(fact, TaskSucceeded) for fact in facts):
            signal.raise_signal(signal.SIGINT)
            release.set()
            time.sleep(0.05)  # until its end is in the queue, after the cancel request

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        if command.task.name == "b":
            release.wait(5)
        return AttemptEnded(command.task, {"y": 1})

    kept = Kept()
    with pytest.raises(KeyboardInterrupt):
        drive(plan(dag(node("a"), node("b"))), attempt, kept, stop)
    assert isinstance(kept.facts[-1], RunEnded)
    assert kept.facts[-1].state is TaskState.SUCCEEDED
