from __future__ import annotations

from dataclasses import replace

import pytest

from standpipe.errors import SpecError
from standpipe.model.expressions import parse
from standpipe.model.findings import Finding
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
from standpipe.model.validation import RULES, require_valid, validate
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
        require_valid(plan)
    return str(caught.value)


def test_a_sound_plan() -> None:
    require_valid(training())


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            Node("train", "comp-x"),
            "root.dag.tasks.train.componentRef.name: unknown component: 'comp-x'. Use one of: comp-test, comp-train.",
        ),
        (
            Node("train", "comp-train", after=("test", "later")),
            "root.dag.tasks.train.dependentTasks[1]: unknown task of this DAG: 'later'. Use one of: test, train.",
        ),
        (
            Node("train", "comp-train", {"lr": FromInput("rat")}),
            "root.dag.tasks.train.inputs.parameters.lr: unknown input of the component: 'rat'. Use one of: rate.",
        ),
        (
            Node("train", "comp-train", {"lr": FromTask("tset", "score")}),
            "root.dag.tasks.train.inputs.parameters.lr: unknown task of this DAG: 'tset'. Use one of: test, train.",
        ),
        (
            Node("train", "comp-train", {"lr": FromTask("test", "scores")}),
            "root.dag.tasks.train.inputs.parameters.lr: unknown output of task 'test': 'scores'. Use one of: score.",
        ),
        (
            Node("train", "comp-train", {"lr": FinalStatus("tset")}),
            "root.dag.tasks.train.inputs.parameters.lr: unknown task of this DAG: 'tset'. Use one of: test, train.",
        ),
        (
            Node("test", "comp-test", {"model": FromInput("rate")}),
            "root.dag.tasks.test.inputs.artifacts.model: expected an artifact, got a parameter. Connect it to an "
            "artifact.",
        ),
        (
            Node("test", "comp-test", {"rounds": FromTask("train", "model"), "model": FromTask("train", "model")}),
            "root.dag.tasks.test.inputs.parameters.rounds: expected a parameter, got an artifact. Connect it to a "
            "parameter.",
        ),
        (
            Node("test", "comp-test", {"undeclared": FromTask("train", "model")}),
            "root.dag.tasks.test.inputs.parameters.undeclared: expected a parameter, got an artifact. Connect it to a "
            "parameter.",
        ),
        (
            Node("train", "comp-train", after=("test",)),
            "root.dag.tasks.test: tasks depend on each other: test -> train -> test. Remove one of these dependencies.",
        ),
        (
            Node("alone", "comp-train", {"lr": FinalStatus("alone")}),
            "root.dag.tasks.alone: tasks depend on each other: alone -> alone. Remove one of these dependencies.",
        ),
    ],
)
def test_tasks(node: Node, expected: str) -> None:
    assert message(with_node(node)) == expected


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (
            {},
            "root.dag.outputs.parameters.score: no task produces this output, which the component declares. Connect "
            "it to the output of a task.",
        ),
        (
            {"score": (FromTask("test", "score"),), "more": ()},
            "root.dag.outputs.more: unknown output of the component: 'more'. Use one of: score.",
        ),
        (
            {"score": (FromTask("test", "score"), FromTask("x", "score"))},
            "root.dag.outputs.parameters.score: unknown task of this DAG: 'x'. Use one of: test, train.",
        ),
        (
            {"score": ()},
            "root.dag.outputs.parameters.score: no task produces this output, which the component declares. Connect "
            "it to the output of a task.",
        ),
        (
            {"score": (FromTask("train", "model"),)},
            "root.dag.outputs.parameters.score: expected a parameter, got an artifact. Connect it to a parameter.",
        ),
    ],
)
def test_outputs(outputs: dict[str, tuple[FromTask, ...]], expected: str) -> None:
    assert message(with_outputs(outputs)) == expected


def test_an_unknown_executor() -> None:
    assert message(with_component("comp-x", Component(ExecutorRef("exec-x")))) == (
        "components.comp-x.executorLabel: unknown executor: 'exec-x'. Use one of: exec-test, exec-train."
    )


def test_a_nested_dag_can_use_only_its_own_tasks() -> None:
    inner = Component(Dag({"a": Node("a", "comp-train", {"lr": FromTask("test", "score")})}))

    assert message(with_component("comp-inner", inner)).startswith(
        "components.comp-inner.dag.tasks.a.inputs.parameters.lr: unknown task of this DAG: 'test'"
    )


@pytest.mark.parametrize(
    ("bindings", "expected"),
    [
        ({"model": FromTask("train", "model")}, "inputs.parameters.rounds: missing value for a required input"),
        (
            {"rounds": Constant(1)},
            "inputs.artifacts.model: missing value for a required input of the component. Pass a value, or make the "
            "input optional.",
        ),
    ],
)
def test_required_inputs_have_a_value(bindings: dict[str, Binding], expected: str) -> None:
    assert f"root.dag.tasks.test.{expected}" in message(with_node(Node("test", "comp-test", bindings)))


def test_conditions_refer_to_inputs_of_the_task() -> None:
    def with_condition(text: str) -> Plan:
        bindings = {"extra": FromInput("rate")}
        return with_node(Node("train", "comp-train", bindings, trigger=Trigger(condition=parse(text))))

    require_valid(with_condition("inputs.parameter_values['extra'] == 1 && !(inputs.parameter_values['lr'] < -2)"))
    assert message(with_condition("true || !(double(inputs.parameter_values['rat']) > 1)")) == (
        "root.dag.tasks.train.triggerPolicy.condition: unknown input of the task: 'rat'. Use one of: extra, lr."
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
    require_valid(looped(Loop(RawItems((1,)), "item"), {"all": ParameterOutput(ParameterType.LIST)}))
    require_valid(looped(Loop(RawItems((1,)), "item"), {"as older SDKs say it": ParameterOutput(ParameterType.STRING)}))
    require_valid(looped(Loop(InputItems("list"), "item"), list=Constant([1])))
    require_valid(
        looped(Loop(InputItems("item"), "number"), {"all": ArtifactOutput(MODEL, True)}, item=Constant("[1]"))
    )
    require_valid(looped(Loop(InputItems("models"), "model"), models=FromTask("train", "model")))


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (
            looped(Loop(RawItems((1,)), "it")),
            "root.dag.tasks.loop.parameterIterator.itemInput: unknown input of the component: 'it'. Use one of: item, "
            "list, model, models, number.",
        ),
        (
            looped(Loop(InputItems("list"), "item")),
            "root.dag.tasks.loop.parameterIterator.items.inputParameter: unknown input of the task: 'list'. There are "
            "none: define it, or remove the reference.",
        ),
        (
            looped(Loop(InputItems("extra"), "item"), extra=Constant([1])),
            "root.dag.tasks.loop.parameterIterator.items.inputParameter: unknown input among the parameters of the "
            "component: 'extra'. Use one of: item, list, number.",
        ),
        (
            looped(Loop(InputItems("models"), "item"), models=FromTask("train", "model")),
            "root.dag.tasks.loop.parameterIterator.items.inputParameter: unknown input among the parameters of the "
            "component: 'models'. Use one of: item, list, number.",
        ),
        (
            looped(Loop(InputItems("number"), "item"), number=Constant(1)),
            "root.dag.tasks.loop.parameterIterator.items.inputParameter: expected a list of items, got the input "
            "'number', which is NUMBER_INTEGER. Loop over a list.",
        ),
        (
            looped(Loop(InputItems("model"), "models"), model=FromTask("train", "model")),
            "root.dag.tasks.loop.artifactIterator.items.inputArtifact: expected a list of items, got the input "
            "'model', which is a single artifact. Loop over a list.",
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
def test_references_that_the_sdk_loses_are_no_findings(lost: Binding) -> None:
    require_valid(with_node(Node("later", "comp-train", {"pipelinechannel--x": lost})))


def test_the_uri_of_an_importer_is_a_parameter_of_its_component() -> None:
    plan = training()
    executors = {**plan.executors, "exec-train": Importer(FromInput("uri"), MODEL)}

    assert message(replace(plan, executors=executors)) == (
        "deploymentSpec.executors.exec-train.importer.artifactUri.runtimeParameter: unknown input among the "
        "parameters of the component: 'uri'. Use one of: lr."
    )


def test_components_that_contain_each_other() -> None:
    a, b = (Component(Dag({"t": Node("t", name)})) for name in ("comp-b", "comp-a"))
    plan = replace(training(), components={**training().components, "comp-a": a, "comp-b": b})

    assert message(plan) == (
        "components.comp-a: components contain each other: comp-a -> comp-b -> comp-a. Remove one of these references."
    )


def test_a_cycle_is_reported_in_the_order_of_its_dependencies() -> None:
    needs = {"a": "c", "c": "b", "b": "a"}
    dag = Dag({name: Node(name, "comp-train", after=(needs[name],)) for name in "cba"})

    assert message(with_root_dag(dag, replace(training(), root=Component(dag)))) == (
        "root.dag.tasks.a: tasks depend on each other: a -> c -> b -> a. Remove one of these dependencies."
    )


CONDITION = parse("inputs.parameter_values['a'] == inputs.parameter_values['b']")


def nested(component: str) -> Component:
    return Component(Dag({"t": Node("t", component)}))


def rules(plan: Plan) -> list[tuple[str, str]]:
    return [(finding.rule, finding.path) for finding in validate(plan)]


def test_all_findings_of_a_plan_are_yielded() -> None:
    nodes = {
        "lost": Node("lost", "comp-x", {"a": FromTask("nobody", "o")}, after=("nothing",)),
        "train": Node("train", "comp-train", {"lr": FromTask("lost", "model"), "more": FromInput("rat")}),
        "test": Node("test", "comp-test", {"model": FromInput("rate")}, trigger=Trigger(condition=CONDITION)),
        "first": Node("first", "comp-train", {"lr": FinalStatus("second")}),
        "second": Node("second", "comp-train", {"lr": FinalStatus("first")}),
        "alone": Node("alone", "comp-train", after=("alone",)),
    }
    plan = with_root_dag(Dag(nodes, {"score": (FromTask("train", "score"), FromTask("lost", "score")), "more": ()}))
    components = {**plan.components, "comp-x-2": Component(ExecutorRef("exec-x")), "comp-me": nested("comp-me")}

    assert rules(replace(plan, components=components)) == [
        ("unknown-component", "root.dag.tasks.lost.componentRef.name"),
        ("unknown-task", "root.dag.tasks.lost.dependentTasks[0]"),
        ("unknown-input", "root.dag.tasks.train.inputs.parameters.more"),
        ("kind-mismatch", "root.dag.tasks.test.inputs.artifacts.model"),
        ("missing-input", "root.dag.tasks.test.inputs.parameters.rounds"),
        ("unknown-input", "root.dag.tasks.test.triggerPolicy.condition"),
        ("unknown-input", "root.dag.tasks.test.triggerPolicy.condition"),
        ("unknown-output", "root.dag.outputs.more"),
        ("unknown-output", "root.dag.outputs.parameters.score"),
        ("task-cycle", "root.dag.tasks.first"),
        ("task-cycle", "root.dag.tasks.alone"),
        ("unknown-executor", "components.comp-x-2.executorLabel"),
        ("component-cycle", "components.comp-me"),
    ]


def test_cycles_that_share_no_task_are_all_found() -> None:
    after = {"a": "b", "b": "a", "c": "d", "d": "c", "e": "a"}
    dag = Dag({name: Node(name, "comp-train", after=(other,)) for name, other in after.items()})

    assert rules(with_root_dag(dag, replace(training(), root=Component(dag)))) == [
        ("task-cycle", "root.dag.tasks.a"),
        ("task-cycle", "root.dag.tasks.c"),
    ]


def test_a_finding_says_where_what_and_what_to_do() -> None:
    (finding,) = validate(with_node(Node("train", "comp-x")))

    assert finding == Finding(
        "unknown-component",
        "root.dag.tasks.train.componentRef.name",
        "unknown component: 'comp-x'",
        "Use one of: comp-test, comp-train.",
    )
    assert str(replace(finding, fix="")) == "root.dag.tasks.train.componentRef.name: unknown component: 'comp-x'"


BROKEN = {
    "unknown-component": with_node(Node("train", "comp-x")),
    "unknown-executor": with_component("comp-x", Component(ExecutorRef("exec-x"))),
    "unknown-task": with_node(Node("train", "comp-train", {"lr": FinalStatus("x")})),
    "unknown-input": with_node(Node("train", "comp-train", {"lr": FromInput("x")})),
    "unknown-output": with_node(Node("alone", "comp-train", {"lr": FromTask("test", "x")})),
    "missing-input": with_node(Node("test", "comp-test", {"model": FromTask("train", "model")})),
    "missing-output": with_outputs({}),
    "kind-mismatch": with_outputs({"score": (FromTask("train", "model"),)}),
    "loop-items": looped(Loop(InputItems("number"), "item"), number=Constant(1)),
    "task-cycle": with_node(Node("alone", "comp-train", after=("alone",))),
    "component-cycle": with_component("comp-me", nested("comp-me")),
}


def test_every_rule_is_described_and_can_be_broken() -> None:
    assert {rule: [finding.rule for finding in validate(plan)] for rule, plan in BROKEN.items()} == {
        rule: [rule] for rule in RULES
    }
