from __future__ import annotations

from dataclasses import replace

import pytest

from standpipe.errors import SpecError
from standpipe.ir.check import check
from standpipe.model.expressions import parse
from standpipe.model.plan import (
    Binding,
    Component,
    Constant,
    Dag,
    ExecutorRef,
    FinalStatus,
    FromInput,
    FromTask,
    Importer,
    InputItems,
    Loop,
    Node,
    Plan,
    RawItems,
    Trigger,
)
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    Input,
    Output,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)
from tests.ir.plans import MODEL, training


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
            Node("test", "comp-test", {"rounds": FromTask("train", "model"), "model": FromTask("train", "model")}),
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
            {"score": ()},
            "root.dag.outputs.parameters.score: the component declares this output, and none of its tasks gives it",
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


@pytest.mark.parametrize(
    ("bindings", "expected"),
    [
        ({"model": FromTask("train", "model")}, "inputs.parameters.rounds: the component needs it"),
        ({"rounds": Constant(1)}, "inputs.artifacts.model: the component needs it, and the task gives it nothing"),
    ],
)
def test_what_a_component_needs(bindings: dict[str, Binding], expected: str) -> None:
    assert f"root.dag.tasks.test.{expected}" in message(with_node(Node("test", "comp-test", bindings)))


def test_conditions_speak_of_inputs_of_the_task() -> None:
    def with_condition(text: str) -> Plan:
        bindings = {"extra": FromInput("rate")}
        return with_node(Node("train", "comp-train", bindings, trigger=Trigger(condition=parse(text))))

    check(with_condition("inputs.parameter_values['extra'] == 1 && !(inputs.parameter_values['lr'] < -2)"))
    assert message(with_condition("true || !(double(inputs.parameter_values['rat']) > 1)")) == (
        "root.dag.tasks.train.triggerPolicy.condition: there is no input of the task called 'rat' (there: extra, lr)"
    )


def looped(loop: Loop, outputs: dict[str, Output] | None = None, **bindings: Binding) -> Plan:
    """The training pipeline with a loop over a component that takes an item of every kind."""
    texts, numbers = ParameterInput(ParameterType.STRING), ParameterInput(ParameterType.NUMBER_INTEGER)
    lists, models = ParameterInput(ParameterType.LIST), ArtifactInput(MODEL, is_list=True)
    inputs: dict[str, Input] = {
        "item": texts,
        "model": ArtifactInput(MODEL),
        "list": lists,
        "models": models,
        "number": numbers,
    }
    optional = {name: replace(item, optional=True) for name, item in inputs.items() if name != loop.item_input}
    component = Component(ExecutorRef("exec-train"), {**inputs, **optional}, outputs or {})
    plan = with_component("comp-loop", component)
    dag = plan.root.body
    assert isinstance(dag, Dag)
    return with_root_dag(
        replace(dag, nodes={**dag.nodes, "loop": Node("loop", "comp-loop", bindings, loop=loop)}), plan
    )


def test_sound_loops() -> None:
    check(looped(Loop(RawItems((1,)), "item"), {"all": ParameterOutput(ParameterType.LIST)}))
    check(looped(Loop(RawItems((1,)), "item"), {"as older SDKs say it": ParameterOutput(ParameterType.STRING)}))
    check(looped(Loop(InputItems("list"), "item"), list=Constant([1])))
    check(looped(Loop(InputItems("item"), "number"), {"all": ArtifactOutput(MODEL, True)}, item=Constant("[1]")))
    check(looped(Loop(InputItems("models"), "model"), models=FromTask("train", "model")))


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (
            looped(Loop(RawItems((1,)), "it")),
            "root.dag.tasks.loop.parameterIterator.itemInput: there is no input of the component called 'it' "
            "(there: item, list, model, models, number)",
        ),
        (
            looped(Loop(InputItems("list"), "item")),
            "root.dag.tasks.loop.parameterIterator.items.inputParameter: there is no input of the task called 'list' "
            "(there: none)",
        ),
        (
            looped(Loop(InputItems("extra"), "item"), extra=Constant([1])),
            "root.dag.tasks.loop.parameterIterator.items.inputParameter: there is no input among the parameters of the "
            "component called 'extra' (there: item, list, number)",
        ),
        (
            looped(Loop(InputItems("models"), "item"), models=FromTask("train", "model")),
            "root.dag.tasks.loop.parameterIterator.items.inputParameter: there is no input among the parameters of the "
            "component called 'models' (there: item, list, number)",
        ),
        (
            looped(Loop(InputItems("number"), "item"), number=Constant(1)),
            "root.dag.tasks.loop.parameterIterator.items.inputParameter: the items of a loop are a list, "
            "and the input 'number' is none",
        ),
        (
            looped(Loop(InputItems("model"), "models"), model=FromTask("train", "model")),
            "root.dag.tasks.loop.artifactIterator.items.inputArtifact: the items of a loop are a list, "
            "and the input 'model' is none",
        ),
    ],
)
def test_loops(plan: Plan, expected: str) -> None:
    assert message(plan) == expected


@pytest.mark.parametrize(
    "lost",
    [
        FromInput("loop-item-param-3"),
        FromTask("test", "score-loop-item-subvar-a"),
        FromTask("test", "pipelinechannel--condition-branches-1-oneof-2"),
        FromInput("pipelinechannel--texts"),
    ],
)
def test_what_the_sdk_loses_is_the_tasks_own_problem(lost: Binding) -> None:
    check(with_node(Node("later", "comp-train", {"pipelinechannel--x": lost})))


def test_the_uri_of_an_importer_is_a_parameter_of_its_component() -> None:
    plan = training()
    executors = {**plan.executors, "exec-train": Importer(FromInput("uri"), MODEL)}

    assert message(replace(plan, executors=executors)) == (
        "deploymentSpec.executors.exec-train.importer.artifactUri.runtimeParameter: there is no input among the "
        "parameters of the component called 'uri' (there: lr)"
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
