"""Resumed runs: which tasks are kept and rerun, and that the run ends as an undisturbed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.engine.machine import Machine
from standpipe.engine.reruns import Difference, find_removed_tasks, select_reruns
from standpipe.model.component_changes import compare_components
from standpipe.model.events import (
    AttemptStarted,
    CancelRequested,
    Fact,
    Resume,
    RunResumed,
    TaskFailed,
    TaskSucceeded,
)
from standpipe.model.plan import Constant, FinalStatus, FromInput, FromTask, Loop, Node, Plan, RawItems, Retry
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.model.types import ParameterInput, ParameterType
from tests.engine.changed_plans import changed
from tests.engine.driving import Run, task
from tests.engine.random_plans import Maker, behaviour
from tests.engine.test_against_reference import ARGUMENTS, SEEDS, Driven
from tests.plans import COMPLETED, RUN, dag, group, leaf, node, plan
from tests.reference import Behaviour, Interpreter

INT, LIST = ParameterType.NUMBER_INTEGER, ParameterType.LIST


def nothing(old: str, new: str) -> str:
    """Report that no component has changed."""
    return ""


def folded(made: Plan, facts: list[Fact], later: Mapping[str, Plan] | None = None) -> Machine:
    machine = Machine(made, RUN, max_parallel=3, later=later)
    for fact in facts:
        machine.apply(fact)
    return machine


def resume_run(run: Driven, now: Plan | None = None, different: Difference = nothing) -> dict[TaskRef, str]:
    """Rebuild a run from its facts and resume it; return what is rerun."""
    first, now = run.plan, now or run.plan
    run.machine = folded(first, run.facts, {"now": now})
    again = select_reruns(run.machine.root, now, different, {})
    left = find_removed_tasks(run.machine.root, now)
    run.plan, run.running = now, []
    run.send(Resume((*again, *left), "now"))
    return again


def steady(failing: int, seed: int) -> Behaviour:
    """Return a behaviour whose outputs do not depend on the attempt; `failing` percent of the tasks always fail."""
    plain = behaviour(0)
    failures = Random(seed)
    fails: dict[TaskRef, bool] = {}

    def behave(ref: TaskRef, component: Any, inputs: Mapping[str, Any], attempt: int) -> dict[str, Any] | None:
        if fails.setdefault(ref, failures.randrange(100) < failing):
            return None
        return plain(ref, component, inputs, 0)

    return behave


def to_the_end(run: Driven, until: Callable[[], bool] = lambda: False) -> None:
    while not run.is_over and not until():
        run.advance()


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(1, 40), st.lists(st.integers(0, 15), max_size=4))
def test_a_killed_run_ends_as_an_undisturbed_one(seed: int, tasks: int, kills: list[int]) -> None:
    random = Random(seed)
    made = Maker(random, tasks).plan()
    expected = Interpreter(made, steady(0, seed))
    ended = expected.run(ARGUMENTS)
    run = Driven(made, steady(0, seed), random, 3)
    for steps in kills:
        for _ in range(steps):
            if not run.is_over:
                run.advance()
        if run.is_over:
            break
        resume_run(run)
    to_the_end(run)

    assert run.ended.state is ended.state
    assert repr(run.ended.outputs) == repr(ended.outputs)
    assert states(run) == expected.states
    if not run.facts_of(TaskFailed):  # else tasks that ignore upstream failures see another final state
        assert_nothing_that_succeeded_runs_again(run.facts)


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(1, 40), st.sampled_from([5, 20, 50]), st.booleans())
def test_a_failed_or_cancelled_run_ends_as_an_undisturbed_one_once_resumed(
    seed: int, tasks: int, failing: int, stopped: bool
) -> None:
    random = Random(seed)
    made = Maker(random, tasks).plan()
    expected = Interpreter(made, steady(0, seed))
    ended = expected.run(ARGUMENTS)
    run = Driven(made, steady(failing, seed), random, 3)
    if stopped:
        for _ in range(random.randrange(20)):
            if not run.is_over:
                run.advance()
        if not run.is_over:
            run.send(CancelRequested())
    to_the_end(run)
    run.behave = steady(0, seed)
    again = resume_run(run)
    assert all(again.values())
    to_the_end(run)

    assert run.ended.state is ended.state
    assert repr(run.ended.outputs) == repr(ended.outputs)
    assert states(run) == expected.states


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.integers(1, 30), st.integers(1, 3), st.sampled_from([0, 0, 20]), st.sampled_from([3, 10, 10**6]))
def test_a_resumed_run_of_a_changed_pipeline_ends_as_a_new_run(
    seed: int, tasks: int, changes: int, failing: int, steps: int
) -> None:
    random = Random(seed)
    made = Maker(random, tasks).plan()
    now = made
    for _ in range(changes):
        now = changed(now, random)
    expected = Interpreter(now, steady(0, seed))
    ended = expected.run(ARGUMENTS)
    run = Driven(made, steady(failing, seed), random, 3)
    while not run.is_over and steps:
        run.advance()
        steps -= 1
    run.behave = steady(0, seed)
    resume_run(run, now, different=compare_components(made, now))
    to_the_end(run)

    assert run.ended.state is ended.state
    assert repr(run.ended.outputs) == repr(ended.outputs)
    assert states(run) == expected.states


def states(run: Driven) -> dict[TaskRef, TaskState]:
    """Return the states of all tasks of the run."""
    return {each.ref: each.state for each in run.machine.root.walk() if each.position}


def assert_nothing_that_succeeded_runs_again(facts: list[Fact]) -> None:
    done: set[TaskRef] = set()
    for fact in facts:
        if isinstance(fact, TaskSucceeded):
            done.add(fact.task)
        assert not isinstance(fact, AttemptStarted) or fact.task not in done


class Resumed(Run):
    """A run driven by hand that resumes another one."""

    def __init__(self, before: Run, first: Plan, now: Plan, reasons: Mapping[TaskRef, str], different: Any) -> None:
        self.rerun_tasks = {
            str(ref): why
            for ref, why in select_reruns(folded(first, before.facts).root, now, different, reasons).items()
        }
        self.machine = folded(first, before.facts, {"now": now})
        self.now, self.facts, self.running, self.commands = before.now, list(before.facts), {}, []
        self.send(Resume(tuple(map(task, self.rerun_tasks)), "now"))


def resumed(
    before: Run,
    first: Plan,
    now: Plan | None = None,
    reasons: Mapping[str, str] | None = None,
    different: Any = nothing,
) -> Resumed:
    return Resumed(before, first, now or first, {task(name): why for name, why in (reasons or {}).items()}, different)


CHAIN = plan(dag(node("a"), node("b", "a"), node("c", "b"), node("other"), y=FromTask("c", "y")))


def test_a_failed_task_is_rerun_with_its_dependents_and_nothing_else() -> None:
    run = Run(CHAIN)
    run.end("a", y=1)
    run.end("other", y=2)
    run.end("b", failure="boom")
    assert run.state("c") is TaskState.SKIPPED
    run = resumed(run, CHAIN)
    assert run.rerun_tasks == {"b": "it failed", "c": "its upstream task 'b' has to run"}
    assert run.names == ["b"]
    run.end("b", y=3)
    run.end("c", y=4)
    assert (run.ended.state, run.ended.outputs, run.ended.failures) == (TaskState.SUCCEEDED, {"y": 4}, ())


def test_a_resume_continues_the_numbers_of_attempts_and_resets_the_retry_index() -> None:
    made = plan(dag(replace(node("a"), retry=Retry(1))))
    run = Run(made)
    run.end("a", failure="boom")
    run.end("a", failure="boom")
    run = resumed(run, made)
    assert (run.running[task("a")].attempt, run.running[task("a")].retry_index) == (2, 0)
    run.end("a", failure="boom")
    assert (run.running[task("a")].attempt, run.running[task("a")].retry_index) == (3, 1)
    run.end("a", failure="boom")
    assert run.ended.failures[0].failure.attempts == 2


def test_a_delayed_retry_is_still_delayed_after_a_resume() -> None:
    made = plan(dag(replace(node("a"), retry=Retry(1, 10.0))))
    run = Run(made)
    run.end("a", failure="boom")
    run = resumed(run, made)
    assert run.rerun_tasks == {}
    assert run.names == []
    assert run.machine.due == 10.0
    run.wait(10.0)
    assert run.running[task("a")].retry_index == 1


def test_a_delayed_retry_keeps_the_retries_that_are_left_on_another_day() -> None:
    made = plan(dag(replace(node("a"), retry=Retry(3, 10.0, 1.0, 100.0))))
    run = Run(made)
    run.now = 60.0
    run.end("a", failure="boom")
    run.now = 100_000.0
    run = resumed(run, made)
    run.now += 25.0
    run.end("a", failure="boom")
    assert run.machine.due == run.now + 10.0, "60 and 25 seconds have passed"
    run.wait(10.0)
    run.end("a", failure="boom")
    assert run.ended.failures[0].failure.attempts == 3, "another delay would be more than 100 seconds"


def test_a_named_task_is_rerun_with_its_dependents() -> None:
    run = Run(CHAIN)
    for name in ("a", "other", "b", "c"):
        run.end(name, y=1)
    assert run.ended.state is TaskState.SUCCEEDED
    run = resumed(run, CHAIN, reasons={"b": "you asked for it"})
    assert run.rerun_tasks == {"b": "you asked for it", "c": "its upstream task 'b' has to run"}
    run.end("b", y=5)
    run.end("c", y=6)
    assert run.ended.outputs == {"y": 6}


def test_a_run_that_has_succeeded_ends_again_at_once() -> None:
    run = Run(CHAIN)
    for name in ("a", "other", "b", "c"):
        run.end(name, y=1)
    run = resumed(run, CHAIN)
    assert (run.rerun_tasks, run.ended.outputs) == ({}, {"y": 1})


INNER = group(dag(node("x"), node("z", "x"), y=FromTask("z", "y")))
NESTED = plan(dag(node("in", component="inner"), node("after", "in"), y=FromTask("after", "y")), inner=INNER)


def done(made: Plan, *names: str) -> Run:
    run = Run(made)
    for name in names:
        run.end(name, y=1)
    return run


def test_a_changed_component_in_a_nested_pipeline_is_rerun_with_its_dependents() -> None:
    run = done(NESTED, "in/x", "in/z", "after")
    now = replace(
        NESTED,
        components={**NESTED.components, "new": leaf(), "inner": group(dag(
            node("x"), node("z", "x", component="new"), y=FromTask("z", "y")
        ))},
    )  # fmt: skip
    run = resumed(run, NESTED, now, different=lambda old, new: "" if old == new else "its code has changed")
    assert run.rerun_tasks == {"in/z": "its code has changed", "after": "its upstream task 'in' has to run"}
    assert run.names == ["in/z"]
    run.end("in/z", y=7)
    run.end("after", y=8)
    assert run.ended.outputs == {"y": 8}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (node("b", "a", x=Constant(5)), "its inputs have changed"),
        (node("b", "a", x=Constant(5), when="1 == 1"), "its inputs have changed"),
        (node("b", "a", when="1 == 1"), "its condition has changed"),
        (node("b", "a", loop=Loop(RawItems((1,)), "x")), "its loop has changed"),
    ],
)
def test_a_task_whose_node_has_changed_is_rerun(changed: Node, why: str) -> None:
    run = done(CHAIN, "a", "other", "b", "c")
    now = plan(dag(node("a"), changed, node("c", "b"), node("other"), y=FromTask("c", "y")))
    assert resumed(run, CHAIN, now).rerun_tasks == {"b": why, "c": "its upstream task 'b' has to run"}


def test_changed_settings_that_affect_no_result_rerun_nothing() -> None:
    run = done(CHAIN, "a", "other")
    now = plan(dag(node("a"), replace(node("b", "a"), retry=Retry(1)), node("c", "b"), node("other")))
    run.end("b", failure="boom")
    run = resumed(run, CHAIN, now)
    assert list(run.rerun_tasks) == ["b", "c"]
    run.end("b", failure="boom")
    assert run.names == ["b"]  # its retry


def test_new_tasks_run_and_removed_tasks_are_forgotten() -> None:
    run = done(CHAIN, "a", "other", "b", "c")
    now = plan(dag(node("a"), node("new", "a"), node("c", "new"), y=FromTask("new", "y")))
    run = resumed(run, CHAIN, now)
    assert run.rerun_tasks == {"c": "its upstream task 'new' has to run"}
    assert run.names == ["new"]
    run.end("new", y=9)
    run.end("c", y=9)
    assert run.ended.outputs == {"y": 9}


def test_a_pipeline_with_other_outputs_gives_them_without_rerunning_its_tasks() -> None:
    run = done(NESTED, "in/x")
    run.end("in/z", y=2)
    run.end("after", y=3)
    inner = group(dag(node("x"), node("z", "x"), y=FromTask("x", "y")))
    now = plan(dag(node("in", component="inner"), node("after", "in"), y=FromTask("in", "y")), inner=inner)
    run = resumed(run, NESTED, now)
    assert run.rerun_tasks == {
        "after": "its upstream task 'in' has to run"
    }  # it may have used a former output of the pipeline
    run.end("after", y=3)
    assert run.ended.outputs == {"y": 1}


def test_an_additional_output_of_a_pipeline_does_not_rerun_its_dependents() -> None:
    run = done(NESTED, "in/x", "in/z", "after")
    inner = group(dag(node("x"), node("z", "x"), y=FromTask("z", "y"), more=FromTask("x", "y")))
    run = resumed(run, NESTED, replace(NESTED, components={**NESTED.components, "inner": inner}))
    assert (run.rerun_tasks, run.ended.outputs) == ({}, {"y": 1})


@pytest.mark.parametrize(
    "inputs",
    [
        {"i": ParameterInput(INT, default=2)},
        {"i": ParameterInput(INT, default=1), "more": ParameterInput(INT, default=1)},
        {},
    ],
)
def test_a_nested_pipeline_with_other_declared_inputs_is_rerun_as_a_whole(inputs: dict[str, ParameterInput]) -> None:
    def with_inputs(declared: Mapping[str, ParameterInput]) -> Plan:
        bindings: dict[str, Any] = {"x": FromInput("i")} if "i" in declared else {}
        inner = group(dag(node("x", **bindings)), declared)
        return plan(dag(node("in", component="inner"), node("after", "in")), inner=inner)

    made = with_inputs({"i": ParameterInput(INT, default=1)})
    again = {"in": "its declared inputs have changed", "after": "its upstream task 'in' has to run"}
    run = resumed(done(made, "in/x", "after"), made, with_inputs(inputs))
    assert run.rerun_tasks == again
    assert run.inputs("in/x").get("x") == (inputs["i"].default if inputs else None)


def test_an_exit_task_is_rerun_when_its_upstream_task_was_resumed() -> None:
    made = plan(
        dag(node("work"), node("tidy", trigger=COMPLETED, component="status", status=FinalStatus("work"))),
        status=leaf({"status": ParameterInput(ParameterType.TASK_FINAL_STATUS)}),
    )
    run = Run(made)
    run.end("work", failure="boom")
    run.end("tidy", y=1)
    run = resumed(run, made)
    assert list(run.rerun_tasks) == ["work", "tidy"]
    run.end("work", y=1)
    assert run.inputs("tidy")["status"]["state"] == "SUCCEEDED"


def loop_plan(parallelism: int = 0) -> Plan:
    body = group(dag(node("a", x=FromInput("i")), node("b", "a"), y=FromTask("b", "y")), {"i": ParameterInput(LIST)})
    over = Loop(RawItems((1, 2, 3, 4)), "i", parallelism)
    return plan(dag(node("loop", component="body", loop=over), node("end", "loop")), body=body)


def test_iterations_that_have_succeeded_are_kept() -> None:
    made = loop_plan()
    run = Run(made)
    for number in range(4):
        run.end(f"loop/{number}/a", y=number)
    for number in (0, 2, 3):
        run.end(f"loop/{number}/b", y=number)
    run.end("loop/1/b", failure="boom")
    run = resumed(run, made)
    assert run.rerun_tasks == {"loop/1/b": "it failed", "end": "its upstream task 'loop' has to run"}
    run.end("loop/1/b", y=1)
    run.end("end", y=1)
    assert run.ended.state is TaskState.SUCCEEDED


def test_a_changed_parallelism_applies_and_reruns_nothing() -> None:
    run = done(loop_plan(parallelism=1), "loop/0/a", "loop/0/b")
    run = resumed(run, loop_plan(parallelism=1), loop_plan(parallelism=2))
    assert run.rerun_tasks == {"loop/1/a": "it was interrupted"}
    assert run.names == ["loop/1/a", "loop/2/a"]


def test_the_parts_of_a_loop_that_is_rerun_are_not_listed() -> None:
    made = loop_plan()
    run = resumed(done(made, "loop/0/a"), made, reasons={"loop": "you asked for it"})
    assert run.rerun_tasks == {"loop": "you asked for it"}


def test_an_iteration_that_has_become_a_pipeline_is_rerun_with_the_dependents_of_its_loop() -> None:
    def over(component: str) -> Plan:
        loop = node("loop", component=component, loop=Loop(RawItems((1,)), "x"))
        body = group(dag(node("a", x=FromInput("x")), y=FromTask("a", "y")), leaf().inputs)
        return plan(dag(loop, node("end", "loop")), body=body)

    different = {("leaf", "body"): "its kind of component has changed"}
    run = resumed(
        done(over("leaf"), "loop/0", "end"),
        over("leaf"),
        over("body"),
        different=lambda old, new: different.get((old, new), ""),
    )
    assert run.rerun_tasks == {
        "loop/0": "its kind of component has changed",
        "end": "its upstream task 'loop' has to run",
    }
    assert run.names == ["loop/0/a"]


def test_finished_iterations_do_not_count_towards_the_parallelism() -> None:
    made = loop_plan(parallelism=2)
    run = Run(made)
    run.end("loop/1/a", y=1)
    run.end("loop/1/b", y=1)  # so that 0 and 2 are active
    run = resumed(run, made)
    assert run.names == ["loop/0/a", "loop/2/a"]
    run.end("loop/0/a", y=1)
    run.end("loop/0/b", y=1)
    assert run.names == ["loop/2/a", "loop/3/a"]


def test_a_new_input_of_the_run_needs_a_default() -> None:
    run = done(CHAIN, "a", "other")
    declared = {"new": ParameterInput(LIST, default=[1])}
    now = plan(dag(*CHAIN.root.body.nodes.values()), inputs=declared)  # type: ignore[union-attr]
    assert next(
        fact.inputs for fact in resumed(run, CHAIN, now).facts if isinstance(fact, RunResumed)
    ) == {"new": [1]}  # fmt: skip
    without = plan(dag(*CHAIN.root.body.nodes.values()), inputs={"new": ParameterInput(LIST)})  # type: ignore[union-attr]
    with pytest.raises(Exception, match="its input 'new' has no value"):
        resumed(run, CHAIN, without)


def test_other_upstream_tasks_are_a_reason_if_one_of_them_was_skipped() -> None:
    never = node("never", when="1 == 2")
    before = plan(dag(never, node("a"), node("b", "never")))
    run = done(before, "a")
    assert (run.state("b"), run.ended.state) == (TaskState.SKIPPED, TaskState.SUCCEEDED)
    run = resumed(run, before, plan(dag(never, node("a", "never"), node("b", "a"))))
    assert run.rerun_tasks == {"a": "its upstream tasks have changed", "b": "its upstream tasks have changed"}
    assert run.state("a") is run.state("b") is TaskState.SKIPPED


def test_a_new_dependent_of_a_task_that_has_succeeded_is_kept() -> None:
    run = done(CHAIN, "a", "other", "b", "c")
    now = plan(dag(node("a"), node("b", "a", "other"), node("c", "b"), node("other"), y=FromTask("c", "y")))
    assert resumed(run, CHAIN, now).rerun_tasks == {}
