from __future__ import annotations

from dataclasses import replace

import pytest
from tests.ir.plans import training

from standpipe.errors import SpecError
from standpipe.ir.check import check
from standpipe.model.plan import Component, Dag, ExecutorRef, FinalStatus, FromInput, FromTask, Node, Plan


def with_root_dag(dag: Dag, plan: Plan | None = None) -> Plan:
    plan = plan or training()
    return replace(plan, root=replace(plan.root, body=dag))


def with_node(node: Node) -> Plan:
    """The training pipeline, one task replaced or added."""
    dag = training().root.body
    assert isinstance(dag, Dag)
    return with_root_dag(replace(dag, nodes={**dag.nodes, node.name: node}))


def with_outputs(outputs: dict[str, tuple[FromTask, ...]]) -> Plan:
    dag = training().root.body
    assert isinstance(dag, Dag)
    return with_root_dag(replace(dag, outputs=outputs))


def with_component(name: str, component: Component) -> Plan:
    return replace(training(), components={**training().components, name: component})


def message(plan: Plan) -> str:
    with pytest.raises(SpecError) as caught:
        check(plan)
    return str(caught.value)


def test_a_sound_plan() -> None:
    check(training())


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            Node("train", "comp-x"),
            "root.dag.tasks.train.componentRef.name: there is no component called 'comp-x' "
            "(there: comp-test, comp-train)",
        ),
        (
            Node("train", "comp-train", after=("test", "later")),
            "root.dag.tasks.train.dependentTasks[1]: there is no task of this DAG called 'later' (there: test, train)",
        ),
        (
            Node("train", "comp-train", {"lr": FromInput("rat")}),
            "root.dag.tasks.train.inputs.parameters.lr: there is no input of the component called 'rat' (there: rate)",
        ),
        (
            Node("train", "comp-train", {"lr": FromTask("tset", "score")}),
            "root.dag.tasks.train.inputs.parameters.lr: there is no task of this DAG called 'tset' "
            "(there: test, train)",
        ),
        (
            Node("train", "comp-train", {"lr": FromTask("test", "scores")}),
            "root.dag.tasks.train.inputs.parameters.lr: there is no output of task 'test' called 'scores' "
            "(there: score)",
        ),
        (
            Node("train", "comp-train", {"lr": FinalStatus("tset")}),
            "root.dag.tasks.train.inputs.parameters.lr: there is no task of this DAG called 'tset' "
            "(there: test, train)",
        ),
        (
            Node("test", "comp-test", {"model": FromInput("rate")}),
            "root.dag.tasks.test.inputs.artifacts.model: it wants one of the artifacts, and gets one of the parameters",
        ),
        (
            Node("test", "comp-test", {"rounds": FromTask("train", "model")}),
            "root.dag.tasks.test.inputs.parameters.rounds: it wants one of the parameters, "
            "and gets one of the artifacts",
        ),
        (
            Node("test", "comp-test", {"undeclared": FromTask("train", "model")}),
            "root.dag.tasks.test.inputs.parameters.undeclared: it wants one of the parameters, "
            "and gets one of the artifacts",
        ),
        (
            Node("train", "comp-train", after=("test",)),
            "root.dag.tasks.test: tasks wait for each other: test -> train -> test",
        ),
        (
            Node("alone", "comp-train", {"lr": FinalStatus("alone")}),
            "root.dag.tasks.alone: tasks wait for each other: alone -> alone",
        ),
    ],
)
def test_tasks(node: Node, expected: str) -> None:
    assert message(with_node(node)) == expected


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({}, "root.dag.outputs.parameters.score: the component declares this output, and none of its tasks gives it"),
        (
            {"score": (FromTask("test", "score"),), "more": ()},
            "root.dag.outputs.more: there is no output of the component called 'more' (there: score)",
        ),
        (
            {"score": (FromTask("test", "score"), FromTask("x", "score"))},
            "root.dag.outputs.parameters.score: there is no task of this DAG called 'x' (there: test, train)",
        ),
        (
            {"score": (FromTask("train", "model"),)},
            "root.dag.outputs.parameters.score: it is one of the parameters, and gets one of the artifacts",
        ),
    ],
)
def test_outputs(outputs: dict[str, tuple[FromTask, ...]], expected: str) -> None:
    assert message(with_outputs(outputs)) == expected


def test_an_unknown_executor() -> None:
    assert message(with_component("comp-x", Component(ExecutorRef("exec-x")))) == (
        "components.comp-x.executorLabel: there is no executor called 'exec-x' (there: exec-test, exec-train)"
    )


def test_a_nested_dag_sees_its_own_tasks_only() -> None:
    inner = Component(Dag({"a": Node("a", "comp-train", {"lr": FromTask("test", "score")})}))

    assert message(with_component("comp-inner", inner)).startswith(
        "components.comp-inner.dag.tasks.a.inputs.parameters.lr: there is no task of this DAG called 'test'"
    )


def test_components_that_contain_each_other() -> None:
    a, b = (Component(Dag({"t": Node("t", name)})) for name in ("comp-b", "comp-a"))
    plan = replace(training(), components={**training().components, "comp-a": a, "comp-b": b})

    assert message(plan) == "components.comp-a: components contain each other: comp-a -> comp-b -> comp-a"


def test_a_cycle_is_told_in_the_order_in_which_it_waits() -> None:
    needs = {"a": "c", "c": "b", "b": "a"}
    dag = Dag({name: Node(name, "comp-train", after=(needs[name],)) for name in "cba"})

    assert message(with_root_dag(dag, replace(training(), root=Component(dag)))) == (
        "root.dag.tasks.a: tasks wait for each other: a -> c -> b -> a"
    )
