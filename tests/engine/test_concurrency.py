"""How many tasks the engine expects to run at the same time as one that it starts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from standpipe.engine.machine import Machine
from standpipe.model.events import AttemptEnded, Start, StartAttempt
from standpipe.model.plan import (
    Command,
    Component,
    Constant,
    Container,
    Executor,
    ExecutorRef,
    FromInput,
    FromTask,
    Importer,
    InputItems,
    Loop,
    Node,
    Plan,
    RawItems,
    Resources,
)
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Capacity
from standpipe.model.templates import parse_text
from standpipe.model.types import ArtifactType, ParameterInput, ParameterOutput, ParameterType
from tests.plans import INT, RUN, dag, group, node, plan

NUMBER = {"x": ParameterInput(INT)}
LIST = {"x": ParameterInput(INT, optional=True), "items": ParameterInput(ParameterType.LIST, optional=True)}
MACHINE = Capacity(4, 1024, ("0", "1"))


def over(count: int, parallelism: int = 0) -> Loop:
    return Loop(RawItems(tuple(range(count))), "x", parallelism)


def estimates(
    plan: Plan, *, max_parallel: int = 100, capacity: Capacity = MACHINE, order: random.Random | None = None
) -> Mapping[str, int]:
    """Return what the engine expects for each task of a run whose tasks end in the order of their starts.

    Args:
        plan: the Plan. Each task outputs 1.
        max_parallel: the most tasks at once.
        capacity: what the machine has.
        order: chooses which of the running tasks ends next instead.
    """
    machine = Machine(plan, RUN, max_parallel=max_parallel, capacity=capacity)
    step = machine.handle(Start({}), 0)
    running: list[TaskRef] = []
    expected = {}
    while True:
        for command in step.commands:
            if isinstance(command, StartAttempt):
                running.append(command.task)
                expected[str(command.task)] = command.concurrency
        if not running:
            return expected
        ended = running.pop(order.randrange(len(running)) if order else 0)
        step = machine.handle(AttemptEnded(ended, {"y": 1}), 0)


def in_loop(loop: Loop, **components: Component) -> Plan:
    """Return a Plan with a loop over the component `body`, which has the input `x`."""
    return plan(dag(node("loop", component="body", loop=loop)), inputs={}, **components)


def test_a_task_of_a_chain_is_alone() -> None:
    chain = plan(dag(node("a"), node("b", "a"), node("c", "b")))
    assert estimates(chain) == {"a": 1, "b": 1, "c": 1}


def test_tasks_that_can_start_together_count() -> None:
    diamond = plan(dag(node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c")))
    assert estimates(diamond) == {"a": 1, "b": 2, "c": 2, "d": 1}


def test_branches_count_however_fast_each_of_them_is() -> None:
    train = (node(f"train{name}", "load") for name in "abc")
    judge = (node(f"judge{name}", f"train{name}") for name in "abc")
    branches = plan(dag(node("load"), *train, *judge))
    assert set(list(estimates(branches).values())[1:]) == {3}


def test_a_task_runs_beside_others_until_the_first_task_needs_it() -> None:
    tasks = (node("long"), node("a"), node("b", "a"), node("c", "b"), node("end", "long", "c"))
    assert estimates(plan(dag(*tasks))) == {"long": 2, "a": 2, "b": 2, "c": 2, "end": 1}


def test_a_task_that_nothing_needs_is_expected_to_end_before_the_next_step() -> None:
    tasks = (node("a"), node("plot", "a"), node("b", "a"), node("c", "b"))
    assert estimates(plan(dag(*tasks))) == {"a": 1, "plot": 2, "b": 2, "c": 1}


@pytest.mark.parametrize(
    ("loop", "max_parallel", "expected"),
    [(over(5), 100, 5), (over(1), 100, 1), (over(5, 2), 100, 2), (over(5, 9), 100, 5), (over(50), 16, 16)],
)
def test_iterations_count_as_many_as_may_run_at_once(loop: Loop, max_parallel: int, expected: int) -> None:
    looped = plan(dag(node("loop", loop=loop)))
    assert set(estimates(looped, max_parallel=max_parallel).values()) == {expected}


def test_loops_in_loops_multiply() -> None:
    inner = group(dag(node("inner", loop=over(3))), NUMBER)
    assert set(estimates(in_loop(over(4), body=inner)).values()) == {12}


def test_all_tasks_of_an_iteration_count_with_those_of_the_other_iterations() -> None:
    body = group(dag(node("a"), node("b", "a"), node("c", "a")), NUMBER)
    expected = estimates(in_loop(over(4), body=body))
    assert {name.rpartition("/")[2]: number for name, number in expected.items()} == {"a": 4, "b": 8, "c": 8}


def test_a_loop_counts_for_the_tasks_beside_it() -> None:
    beside = plan(dag(node("loop", loop=over(4)), node("a"), node("b", "a", "loop")))
    expected = estimates(beside)
    assert (expected["a"], expected["b"]) == (5, 1)
    assert {number for name, number in expected.items() if name not in "ab"} == {5}


def test_a_nested_pipeline_counts_its_busiest_step() -> None:
    inner = group(dag(node("a"), node("b", "a"), node("c", "a")))
    nested = plan(dag(node("inner", component="inner"), node("other")), inner=inner)
    assert estimates(nested) == {"inner/a": 2, "inner/b": 3, "inner/c": 3, "other": 3}


def test_a_loop_of_unknown_size_counts_as_a_large_one_until_it_has_started() -> None:
    items = Loop(InputItems("items"), "x")
    loop = node("loop", loop=items, component="each", items=Constant([1, 2]))
    each = Component(ExecutorRef("exec"), LIST, {"y": ParameterOutput(INT)})
    known = plan(dag(loop, node("a")), each=each)
    assert estimates(known, max_parallel=16)["a"] == 3
    later = node("loop", "b", loop=items, component="each", items=Constant([1, 2]))
    unknown = plan(dag(node("a"), node("b"), later, node("end", "a", "loop")), each=each)
    expected = estimates(unknown, max_parallel=16)
    assert expected["a"] == 16
    assert expected["b"] == 2


def test_a_branch_that_is_skipped_does_not_count() -> None:
    branches = [
        node(name, "a", component="branch", when=f"inputs.parameter_values['x'] == {value}", x=FromTask("a", "y"))
        for name, value in (("if", 1), ("else", 2))
    ]
    body = group(dag(node("b")), NUMBER)
    assert estimates(plan(dag(node("a"), *branches), branch=body)) == {"a": 1, "if/b": 1}


def test_branches_that_both_run_count() -> None:
    branches = [
        node(name, "a", component="branch", when="inputs.parameter_values['x'] == 1", x=FromTask("a", "y"))
        for name in ("one", "two")
    ]
    body = group(dag(node("b")), NUMBER)
    assert estimates(plan(dag(node("a"), *branches), branch=body)) == {"a": 1, "one/b": 2, "two/b": 2}


def test_importers_do_not_count() -> None:
    executors: dict[str, Executor] = {
        "exec": Container("image", Command()),
        "import": Importer("s3://data", ArtifactType("system.Dataset")),
    }
    importer = Component(ExecutorRef("import"))
    root = dag(node("a"), node("get", component="importer"))
    both = plan(root, importer=importer)
    assert estimates(Plan("test", both.root, both.components, executors))["a"] == 1


def with_resources(root: Any, **quantities: str) -> Plan:
    """Return a Plan whose component `heavy` has resources."""
    resources = Resources(**{name: parse_text(text) for name, text in quantities.items()})  # type: ignore[arg-type]
    heavy = Component(ExecutorRef("heavy"), {"x": ParameterInput(INT, optional=True)}, {"y": ParameterOutput(INT)})
    both = plan(root, heavy=heavy)
    executors = {**both.executors, "heavy": Container("image", Command(), resources=resources)}
    return Plan("test", both.root, both.components, executors)


@pytest.mark.parametrize(
    ("quantities", "expected"),
    [
        ({"cpu_request": "2"}, 2),
        ({"cpu_limit": "3"}, 1),
        ({"cpu_request": "0.5", "cpu_limit": "2"}, 6),
        ({"memory_request": "512"}, 2),
        ({"accelerator_type": "nvidia.com/gpu"}, 2),
        ({"accelerator_type": "nvidia.com/gpu", "accelerator_count": "2"}, 1),
    ],
)
def test_iterations_count_as_many_as_have_resources(quantities: dict[str, str], expected: int) -> None:
    looped = with_resources(dag(node("loop", component="heavy", loop=over(6))), **quantities)
    assert set(estimates(looped).values()) == {expected}


def test_a_task_with_an_accelerator_still_counts_the_tasks_beside_it() -> None:
    gpus = with_resources(
        dag(node("loop", component="heavy", loop=over(6)), node("other")), accelerator_type="nvidia.com/gpu"
    )
    assert {number for name, number in estimates(gpus).items() if name != "other"} == {3}


def test_requested_cores_are_kept_however_many_tasks_there_are() -> None:
    cores = with_resources(dag(node("a", component="heavy"), *(node(f"b{i}") for i in range(9))), cpu_request="2")
    assert estimates(cores)["a"] == 2


def test_the_order_in_which_tasks_end_changes_nothing() -> None:
    body = group(dag(node("a"), node("b", "a"), node("c", "a"), node("d", "b")), NUMBER)
    tasks = (node("first"), node("loop", "first", component="body", loop=over(3, 2)), node("side"), node("e", "side"))
    many = plan(dag(*tasks), body=body)
    orders = [estimates(many, max_parallel=3, order=random.Random(seed)) for seed in range(20)]
    assert all(each == orders[0] for each in orders)


def nested(depth: int) -> dict[str, Component]:
    components = {"level0": group(dag(node("a"), node("b")), NUMBER)}
    for level in range(1, depth):
        inner: Node = node("in", component=f"level{level - 1}", x=FromInput("x"))
        components[f"level{level}"] = group(dag(inner), NUMBER)
    return components


def test_deep_pipelines_count_beside_others() -> None:
    deep = plan(dag(node("in", component="level1999", x=Constant(1)), node("other")), inputs={}, **nested(2000))
    assert estimates(deep)["other"] == 3
