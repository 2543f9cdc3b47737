"""When failed tasks are retried. Time only advances where a test says so; no task is run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from standpipe.engine.machine import Machine
from standpipe.engine.retries import MOST_LOST_ATTEMPTS, compute_retry_delay
from standpipe.model.events import AttemptFailed, AttemptStarted, CancelRequested, Failure, RunEnded, StopAttempts
from standpipe.model.plan import Constant, FinalStatus, FromInput, FromTask, Loop, Node, RawItems, Retry
from standpipe.model.states import TaskState
from standpipe.model.types import ParameterInput, ParameterType
from tests.engine.driving import Run, task
from tests.plans import COMPLETED, INT, RUN, dag, group, is_, leaf, node, plan

TWICE = Retry(2)
SLOWLY = Retry(3, 10.0)


def retried(given: Node, retry: Retry | None) -> Node:
    return replace(given, retry=retry)


def attempts(run: Run, path: str) -> list[int]:
    return [fact.attempt for fact in run.facts if isinstance(fact, AttemptStarted) and fact.task == task(path)]


# --- the time between attempts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(4), [0, 0, 0, 0, None]),
        (Retry(4, 10.0), [10, 20, 40, 80, None]),
        (Retry(4, 10.0, 1.5), [10, 15, 22.5, 33.75, None]),
        (Retry(4, 10.0, 3.0, 60.0), [10, 30, None]),
        (Retry(4, 10.0, 2.0, 70.0), [10, 20, 40, None]),
        (Retry(4, 10.0, 2.0, 5.0), [None]),
        (Retry(4, 10.0, 0.5), [10, 5, 2.5, 1.25, None]),
        (Retry(4, 10.0, -2.0), [10, 0, 40, 0, None]),
        (Retry(4, -1.0), [0, 0, 0, 0, None]),
        (Retry(4, 10.0, float("nan")), [10, 0, 0, 0, None]),
        (Retry(4, 10.0, 1e200), [10, None]),
        (Retry(0, 10.0), [None]),
    ],
)
def test_delays_grow_by_their_factor_up_to_the_time_limit(retry: Retry, delays: list[float | None]) -> None:
    now, found = 1000.0, list[float | None]()
    for attempt in range(len(delays)):
        found.append(compute_retry_delay(attempt, retry, 1000.0, now))
        now += found[-1] or 0.0
    assert found == delays


def test_attempts_that_take_long_use_up_the_time() -> None:
    run = Run(plan(dag(retried(node("a"), Retry(3, 10.0, 1.0, 60.0)))))
    run.now = 45.0
    run.end("a", failure="first")
    run.wait(10)
    run.now = 58.0
    run.end("a", failure="second")
    assert run.ended.failures[0].failure == Failure("second", attempts=2)


def test_a_task_waits_for_exactly_its_delay_and_only_its_last_outputs_count() -> None:
    run = Run(plan(dag(retried(node("a"), SLOWLY), node("b", x=FromTask("a", "y")))))
    run.now = 100.0
    run.end("a", failure="first")
    assert run.facts[-1] == AttemptFailed(task("a"), 0, 4, Failure("first"), 100.0, 10.0)
    assert (run.state("a"), run.machine.due) == (TaskState.READY, 110.0)
    run.wait(9.99)
    assert run.names == []
    run.wait(0.01)
    assert (attempts(run, "a"), run.machine.due) == ([0, 1], None)
    run.now = 150.0
    run.end("a", failure="second")
    assert run.machine.due == 170.0
    run.wait(25)
    run.end("a", y=7)
    assert run.inputs("b") == {"x": 7}
    run.end("b", y=1)
    assert run.ended == RunEnded(TaskState.SUCCEEDED, {})


def test_a_lost_attempt_is_retried_without_a_retry_policy_and_does_not_count() -> None:
    run = Run(plan(dag(retried(node("a"), Retry(1)))))
    run.lose("a")
    assert run.facts[-2] == AttemptFailed(task("a"), 0, 3, Failure("lost"), 0.0, 0.0, is_lost=True)
    run.end("a", failure="boom")
    run.lose("a")
    run.end("a", failure="boom")
    assert attempts(run, "a") == [0, 1, 2, 3]
    assert run.ended.failures[0].failure == Failure("boom", attempts=2)


def test_a_task_fails_whose_attempts_are_lost_again_and_again() -> None:
    run = Run(plan(dag(node("a"))))
    for _ in range(MOST_LOST_ATTEMPTS + 1):
        run.lose("a")
    assert attempts(run, "a") == [0, 1, 2, 3]
    assert run.ended.failures[0].failure == Failure("lost")


def test_a_lost_attempt_of_a_cancelled_run_is_not_retried() -> None:
    run = Run(plan(dag(node("a"))))
    run.send(CancelRequested())
    run.lose("a")
    assert run.ended.state is TaskState.CANCELLED


def test_without_a_delay_the_next_attempt_keeps_its_slot() -> None:
    run = Run(plan(dag(retried(node("a"), TWICE), node("b"))), max_parallel=1)
    run.end("a", failure="boom")
    assert (run.names, attempts(run, "a")) == (["a"], [0, 1])


def test_a_delayed_task_releases_its_slot_and_is_first_when_due() -> None:
    tasks = [retried(node("a"), SLOWLY), retried(node("b"), SLOWLY), *(node(f"t{number}") for number in range(3))]
    run = Run(plan(dag(*tasks)), max_parallel=2)
    run.end("b", failure="boom")
    run.now = 1.0
    run.end("a", failure="boom")
    assert run.names == ["t0", "t1"]
    assert run.machine.due is None, "while no slot is free, there is nothing to begin"
    run.now = 50.0
    run.end("t1", y=1)
    assert run.names == ["b", "t0"]
    run.end("t0", y=1)
    assert run.names == ["a", "b"]
    run.end("b", y=1)
    assert run.names == ["a", "t2"]


def test_the_last_failure_is_the_tasks_own_and_names_the_attempt() -> None:
    run = Run(plan(dag(retried(node("a"), TWICE), node("b", "a"))))
    for message in ("first", "second", "third"):
        run.end("a", failure=message)
    assert run.ended.failures[0].failure == Failure("third", attempts=3)
    assert run.ended.failures[0].failure.predicate == "failed in attempt 3 of 3: third"
    assert run.state("b") is TaskState.SKIPPED


@pytest.mark.parametrize("retry", [None, Retry(0), Retry(-1)])
def test_without_retries_the_message_names_no_attempt(retry: Retry | None) -> None:
    run = Run(plan(dag(retried(node("a"), retry))))
    run.end("a", failure="boom")
    assert run.ended.failures[0].failure.predicate == "failed: boom"


def test_a_task_that_fails_before_its_first_attempt_is_not_retried() -> None:
    run = Run(plan(dag(retried(node("a", x=Constant("seven")), TWICE))))
    assert attempts(run, "a") == []
    assert run.ended.failures[0].failure.attempts == 0


# --- groups -----------------------------------------------------------------------------------------------------------


def test_the_retries_of_a_pipeline_are_those_of_all_tasks_in_it_that_have_none_of_their_own() -> None:
    body = group(dag(node("inherits"), retried(node("own"), Retry(1)), retried(node("never"), Retry(0))))
    deep = group(dag(node("if", component="body", when=is_("c", "1"), c=Constant(1))))
    run = Run(plan(dag(retried(node("in", component="deep"), TWICE), node("out")), body=body, deep=deep))
    while run.running:
        run.end(run.names[0], failure="boom")
    counted = {str(fact.task): fact.failure.attempts for fact in run.ended.failures}
    assert counted == {"in/if/inherits": 3, "in/if/own": 2, "in/if/never": 0, "out": 0}


def test_each_iteration_of_a_loop_in_a_condition_retries_by_itself() -> None:
    numbers = {"x": ParameterInput(INT)}
    body = group(dag(retried(node("a", x=FromInput("x")), SLOWLY), y=FromTask("a", "y")), numbers)
    chosen = group(dag(node("loop", component="body", loop=Loop(RawItems((1, 2)), "x")), y=FromTask("loop", "y")))
    branch = node("if", component="chosen", when=is_("c", "1"), c=Constant(1))
    run = Run(plan(dag(branch, y=FromTask("if", "y")), body=body, chosen=chosen))
    run.end("if/loop/0/a", failure="boom")
    run.end("if/loop/1/a", y=20)
    assert run.state("if") is TaskState.RUNNING
    run.wait(10)
    assert run.inputs("if/loop/0/a") == {"x": 1}
    run.end("if/loop/0/a", y=10)
    assert run.ended == RunEnded(TaskState.SUCCEEDED, {"y": [10, 20]})


def test_a_component_that_is_looped_itself_retries_each_item() -> None:
    run = Run(plan(dag(retried(node("loop", loop=Loop(RawItems((1, 2)), "x")), TWICE), y=FromTask("loop", "y"))))
    run.end("loop/1", failure="boom")
    run.end("loop/0", y=10)
    run.end("loop/1", y=20)
    assert run.ended.outputs == {"y": [10, 20]}


def test_an_exit_task_runs_after_the_last_retry_and_gets_its_error() -> None:
    status = {"status": ParameterInput(ParameterType.TASK_FINAL_STATUS, optional=True)}
    tidy = node("tidy", "group", component="tidy", trigger=COMPLETED, status=FinalStatus("group"))
    body = group(dag(retried(node("a"), SLOWLY)))
    run = Run(plan(dag(node("group", component="body"), tidy), body=body, tidy=leaf(status, {})))
    for delay in (10, 20, 40):
        run.end("group/a", failure="boom")
        assert run.names == []
        run.wait(delay)
    run.end("group/a", failure="boom")
    assert run.inputs("tidy")["status"]["error"]["message"] == "its task 'group/a' failed in attempt 4 of 4: boom"


# --- cancel, and replay -----------------------------------------------------------------------------------------------


def test_cancelling_cancels_delayed_retries() -> None:
    run = Run(plan(dag(retried(node("a"), SLOWLY), retried(node("b"), TWICE))))
    run.end("a", failure="boom")
    run.send(CancelRequested())
    assert run.commands[-1] == StopAttempts((task("b"),))
    assert (run.state("a"), run.machine.due) == (TaskState.CANCELLED, None)
    run.end("b", failure="killed")
    run.wait(100)
    assert run.ended == RunEnded(TaskState.CANCELLED, {})


def test_an_exit_task_is_retried_after_a_cancel_until_the_second_one() -> None:
    tidy = retried(node("tidy", "a", trigger=COMPLETED), SLOWLY)
    run = Run(plan(dag(node("a"), tidy)))
    run.send(CancelRequested())
    run.end("a", failure="killed")
    run.end("tidy", failure="boom")
    run.wait(10)
    assert attempts(run, "tidy") == [0, 1]
    run.end("tidy", failure="boom")
    run.send(CancelRequested())
    assert run.ended == RunEnded(TaskState.CANCELLED, {})


def test_a_machine_rebuilt_from_facts_is_due_at_the_same_time() -> None:
    made = plan(dag(retried(node("a"), SLOWLY), retried(node("b"), TWICE)))
    run = Run(made)
    run.now = 5.0
    run.end("a", failure="boom")
    run.end("b", failure="boom")
    run.machine = Machine(made, RUN, max_parallel=2)
    for fact in run.facts:
        run.machine.apply(fact)
    assert run.machine.due == 15.0
    run.wait(10)
    assert run.names == ["a", "b"]
    run.end("a", failure="boom")
    assert run.machine.due == 35.0
    run.end("b", failure="boom")
    assert attempts(run, "b") == [0, 1, 2]
