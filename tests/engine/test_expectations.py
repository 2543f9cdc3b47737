"""The attempts that a machine expects next. That they do start in that order is what the first test compares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from standpipe.model.events import CancelRequested, StartAttempt
from standpipe.model.plan import (
    Command,
    Component,
    Constant,
    Container,
    ExecutorRef,
    FromInput,
    FromTask,
    InputItems,
    Loop,
    Plan,
    RawItems,
    Resources,
)
from standpipe.model.templates import InputParameter, Template
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType
from standpipe.model.values import ArtifactValue
from tests.engine.driving import Run, task
from tests.plans import COMPLETED, dag, group, is_, leaf, node, plan

DATASET = ArtifactType("system.Dataset", "0.0.1")
DATA = ArtifactValue("data", DATASET, "/root-of-all/data")
WRITER = leaf({}, {"data": ArtifactOutput(DATASET)})
READER = leaf({"data": ArtifactInput(DATASET)})


def expected(run: Run, limit: int = 10) -> list[str]:
    return [str(attempt.task) for attempt in run.machine.expect_attempts(limit)]


@pytest.mark.parametrize(
    "pipeline",
    [
        plan(dag(node("a"), node("b", x=FromTask("a", "y")), node("c", "b"), node("d", "c"))),
        plan(dag(*(node(f"t{number}") for number in range(5)))),
        plan(dag(node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c"))),
        plan(dag(node("loop", component="leaf", loop=Loop(RawItems((1, 2, 3, 4)), "x")), node("end", "loop"))),
        plan(dag(node("loop", component="leaf", loop=Loop(RawItems((1, 2, 3, 4)), "x", 1)), node("end", "loop"))),
        plan(
            dag(node("loop", component="body", loop=Loop(RawItems((1, 2, 3)), "x", 1)), node("end", "loop")),
            body=group(dag(node("in")), {"x": leaf().inputs["x"]}),
        ),
        plan(dag(node("a"), node("inner", "a", component="body")), body=group(dag(node("in"), node("also")))),
        plan(dag(node("inner", component="body"), node("end", "inner")), body=group(dag(node("in")))),
        plan(dag(node("a"), node("exit", "a", trigger=COMPLETED))),
    ],
    ids=["chain", "queue", "diamond", "loop", "sequential-loop", "loop-of-dags", "opens-dag", "ends-dag", "exit-task"],
)
def test_what_starts_when_an_attempt_succeeds_was_expected(pipeline: Plan) -> None:
    run = Run(pipeline, max_parallel=1)
    while run.running:
        predictions = expected(run, 1)
        (current,) = run.names
        run.end(current, y=1)
        assert run.names == predictions


def test_no_more_are_expected_than_asked_for() -> None:
    run = Run(plan(dag(node("a"), node("b", "a"), node("c", "b"), node("d", "c"))))
    assert expected(run, 2) == ["b", "c"]
    assert expected(run, 0) == []


def test_a_ready_task_is_expected_as_it_will_start() -> None:
    run = Run(plan(dag(node("a"), node("b", x=Constant(7)))), max_parallel=1)
    assert run.machine.expect_attempts(1) == [
        StartAttempt(task("b"), "leaf", {"x": 7}, caching=node("b").caching),
    ]
    assert list(run.machine.running_attempts) == [(task("a"), 0)]


def test_a_task_with_a_condition_is_not_expected() -> None:
    run = Run(plan(dag(node("a"), node("b", when=is_("x", "1"), x=FromTask("a", "y")), node("c", "a"))))
    assert expected(run) == ["c"]


def test_a_task_that_waits_for_one_with_a_condition_is_not_expected() -> None:
    maybe = node("maybe", when=is_("x", "1"), x=FromTask("a", "y"))
    assert expected(Run(plan(dag(node("a"), maybe, node("b", "maybe"))))) == []


def test_an_artifact_must_exist() -> None:
    chain = dag(
        node("write", component="writer"),
        node("other", "write"),
        node("read", component="reader", data=FromTask("write", "data")),
        node("late", "other", component="reader", data=FromTask("write", "data")),
    )
    run = Run(plan(chain, writer=WRITER, reader=READER), max_parallel=1)
    assert expected(run) == ["other"]
    run.end("write", data=DATA)
    late = run.machine.expect_attempts(10)[-1]
    assert (str(late.task), late.inputs) == ("late", {"data": DATA})


def test_the_artifacts_of_a_pipeline_and_of_a_loop_are_known() -> None:
    body = group(
        dag(node("first"), node("read", "first", component="reader", data=FromInput("data"))),
        {"data": ArtifactInput(DATASET), "x": leaf().inputs["x"]},
    )
    looped = node("loop", component="body", loop=Loop(RawItems((1,)), "x"), data=FromInput("data"))
    inputs = {"data": ArtifactInput(DATASET)}
    run = Run(plan(dag(looped), inputs=inputs, body=body, reader=READER), data=DATA)
    (attempt,) = run.machine.expect_attempts(10)
    assert attempt.inputs == {"data": DATA}


def test_an_item_that_is_an_artifact_is_an_input() -> None:
    looped = node("loop", component="reader", loop=Loop(InputItems("items"), "data", 1), items=FromInput("items"))
    inputs = {"items": ArtifactInput(DATASET, is_list=True)}
    reader = replace(READER, inputs={**READER.inputs, **inputs})
    other = replace(DATA, uri="/root-of-all/other")
    run = Run(plan(dag(looped), inputs=inputs, reader=reader), items=[DATA, other])
    (attempt,) = run.machine.expect_attempts(10)
    assert attempt.inputs["data"] == other


def test_nothing_is_expected_of_a_cancelled_run() -> None:
    run = Run(plan(dag(node("a"), node("b", "a"))))
    run.send(CancelRequested())
    assert expected(run) == []


@pytest.mark.parametrize(
    ("limit", "names"),
    [("2", ["b"]), ("many", []), (Template((InputParameter("x"),)), [])],
    ids=["fixed", "invalid", "depends-on-a-value"],
)
def test_the_resources_must_be_known(limit: object, names: list[str]) -> None:
    pipeline = plan(dag(node("a"), node("b", component="big", x=FromTask("a", "y"))), big=leaf())
    big = Component(ExecutorRef("big"), leaf().inputs, leaf().outputs)
    executor = Container("image", Command(), resources=Resources(cpu_limit=limit))  # type: ignore[arg-type]
    pipeline = replace(
        pipeline,
        components={**pipeline.components, "big": big},
        executors={**pipeline.executors, "big": executor},
    )
    run = Run(pipeline)
    assert expected(run) == names
    assert [attempt.resources.cpu_limit for attempt in run.machine.expect_attempts(1)] == [2.0] * len(names)


def test_tasks_that_are_ready_come_before_those_that_wait_for_others() -> None:
    joins = [node(f"join{number}", "a", "b") for number in range(100)]
    run = Run(
        plan(dag(node("a"), node("b", "a"), *joins, *(node(f"t{number}") for number in range(100)))), max_parallel=1
    )
    assert expected(run, 2) == ["t0", "t1"]
