"""Facts become a tree of tasks, at a constant cost for each."""

from __future__ import annotations

import pytest

from standpipe.console.nodes import Loop, Node, State
from standpipe.console.tree import TaskTree
from standpipe.model.events import (
    AttemptStarted,
    Fact,
    IterationStarted,
    LoopStarted,
    RunResumed,
    TaskCancelled,
    TaskReady,
    TaskSucceeded,
)
from standpipe.model.plan import Plan
from tests.console.stories import END, GIBIBYTE, LOOP, RETRY, RUNNING, plan_of, started, succeeded, task, whole


@pytest.fixture
def plan() -> Plan:
    return plan_of(whole)


def tree_of(*parts: object, plan: Plan | None = None) -> TaskTree:
    """Return the tree after lists of facts, one second for each."""
    tree = TaskTree(plan)
    for second, facts in enumerate(parts):
        tree.apply(facts, float(second))  # type: ignore[arg-type]
    return tree


def outline(node: Node) -> dict[str, object]:
    """Return the states of the tasks below a node."""
    return {child.name: outline(child) if child.children else child.state.name for child in node.children.values()}


def test_all_tasks_of_the_plan_are_there_from_the_start_in_the_order_in_which_they_run(plan: Plan) -> None:
    tree = tree_of(plan=plan)
    assert outline(tree.root) == dict.fromkeys(
        ("numbers", "prepare", "sweep", "flaky", "condition-2", "report"), "PENDING"
    )
    assert tree.size == 6


def test_nested_pipelines_are_branches_and_a_loop_is_one_node(plan: Plan) -> None:
    tree = tree_of(RUNNING, RETRY, plan=plan)
    assert outline(tree.root) == {
        "numbers": "CACHED",
        "prepare": {"clean": "SUCCEEDED", "split": "SUCCEEDED"},
        "sweep": "RUNNING",
        "flaky": "RETRYING",
        "condition-2": "PENDING",
        "report": "PENDING",
    }
    loop = tree.root.children[LOOP]
    assert isinstance(loop, Loop)
    assert (loop.total, loop.finished, loop.counts[State.FAILED]) == (40, 10, 1)
    assert [node.name for node in loop.active] == ["10/step", "11/step"]


def test_without_a_plan_tasks_appear_when_they_are_ready() -> None:
    tree = tree_of(RUNNING)
    assert outline(tree.root) == {
        "numbers": "CACHED",
        "prepare": {"step": "SUCCEEDED", "step-2": "RUNNING"},
        LOOP: "RUNNING",
    }


def test_totals_count_tasks_and_not_the_groups_around_them(plan: Plan) -> None:
    tree = tree_of(RUNNING, RETRY, END, plan=plan)
    assert +tree.totals == {State.CACHED: 1, State.SUCCEEDED: 15, State.FAILED: 1, State.SKIPPED: 1}
    assert not tree.running
    assert tree.end == END[-1]


def test_an_attempt_has_a_number_and_a_time_at_which_it_is_due(plan: Plan) -> None:
    tree = tree_of(RUNNING, RETRY, plan=plan)
    flaky = tree.root.children["step-2"]
    assert (flaky.attempt, flaky.max_attempts, flaky.due) == (2, 3, 11.0)
    tree.apply([AttemptStarted(task("step-2"), 1)], 12.0)
    assert (flaky.state, flaky.attempt, flaky.started) == (State.RUNNING, 2, 1.0)


def test_the_memory_of_running_tasks_is_summed_up(plan: Plan) -> None:
    facts: list[Fact] = [TaskReady(task(name), {}, GIBIBYTE) for name in ("numbers", "step-2")]
    tree = tree_of(facts, plan=plan)
    assert tree.requested_memory == 0
    tree.apply([AttemptStarted(task("numbers"), 0), AttemptStarted(task("step-2"), 0)], 1.0)
    assert tree.requested_memory == 2 * 1024**3
    tree.apply([TaskCancelled(task("step-2"))], 2.0)
    assert tree.requested_memory == 1024**3


def test_loops_in_loops_are_nodes_of_the_loop_while_they_run() -> None:
    inner = task("outer/1/inner")
    tree = tree_of(
        [
            LoopStarted(task("outer"), {}, (1, 2)),
            IterationStarted(task("outer/1"), 2),
            LoopStarted(inner, {}, (1, 2, 3)),
            *started("outer/1/inner/2"),
        ]
    )
    outer = tree.root.children["outer"]
    (node,) = outer.active
    assert isinstance(node, Loop)
    assert (node.name, [child.name for child in node.active]) == ("1/inner", ["2"])
    tree.apply(succeeded("outer/1/inner/2"), 1.0)
    assert (node.finished, list(node.active)) == (1, [])
    tree.apply([TaskSucceeded(inner, {}), *succeeded("outer/1")], 2.0)
    assert not outer.active
    assert tree.size == 1


def test_a_long_loop_leaves_nothing_behind() -> None:
    tree = tree_of([LoopStarted(task("loop"), {}, (*range(1000),))])
    for index in range(1000):
        tree.apply(started(f"loop/{index}"), 1.0)
        tree.apply(succeeded(f"loop/{index}"), 2.0)
    loop = tree.root.children["loop"]
    assert isinstance(loop, Loop)
    assert (loop.finished, tree.size, tree.totals[State.SUCCEEDED]) == (1000, 1, 1000)


def test_a_resumed_run_begins_with_what_was_kept(plan: Plan) -> None:
    tree = TaskTree(plan)
    tree.restore((*RUNNING, *RETRY, *END))
    assert (+tree.totals, tree.end) == ({}, None)

    tree.apply([RunResumed((task(f"{LOOP}/9/step"), task("step-4")))], 0.0)
    assert tree.kept == 15
    assert outline(tree.root)["sweep"] == "RUNNING"
    assert outline(tree.root)["report"] == "PENDING"
    tree.apply(started(f"{LOOP}/9/step"), 1.0)
    assert [node.name for node in tree.root.children[LOOP].active] == ["9/step"]
    assert outline(tree.root)["numbers"] == "CACHED"


def test_an_interrupted_run_has_no_running_tasks_when_it_is_resumed(plan: Plan) -> None:
    tree = TaskTree(plan)
    tree.restore(RUNNING)
    tree.apply([RunResumed(())], 0.0)
    assert not tree.running
    assert outline(tree.root)["prepare"] == {"clean": "SUCCEEDED", "split": "PENDING"}
    assert [node.name for node in tree.root.active] == ["prepare", "sweep"], "they continue"


def test_iterations_that_were_cancelled_are_not_finished() -> None:
    tree = tree_of(
        [
            LoopStarted(task("loop"), {}, (1, 2, 3)),
            *started("loop/0"),
            *succeeded("loop/0"),
            TaskCancelled(task("loop/1")),
            TaskCancelled(task("loop/2")),
            TaskCancelled(task("loop")),
        ]
    )
    loop = tree.root.children["loop"]
    assert isinstance(loop, Loop)
    assert (loop.state, loop.finished) == (State.CANCELLED, 1)


def test_iterations_that_are_rerun_are_no_longer_finished() -> None:
    tree = TaskTree()
    tree.restore([LoopStarted(task("loop"), {}, (1, 2)), *started("loop/0"), *succeeded("loop/0")])
    loop = tree.root.children["loop"]
    assert isinstance(loop, Loop)
    assert loop.finished == 1
    tree.apply([RunResumed((task("loop/0"),))], 0.0)
    assert loop.finished == 0


def test_tasks_that_the_pipeline_no_longer_has_are_removed(plan: Plan) -> None:
    tree = TaskTree(plan)
    tree.restore([*started("former"), *succeeded("former")])
    assert "former" in tree.root.children
    tree.apply([RunResumed((task("former"),))], 0.0)
    assert "former" not in tree.root.children
    assert tree.root.counts[State.SUCCEEDED] == 0
