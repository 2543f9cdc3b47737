from __future__ import annotations

from dataclasses import replace

import pytest

from standpipe.errors import SpecError
from standpipe.ir.emitter import emit, emit_platforms
from standpipe.model.expressions import parse
from standpipe.model.plan import (
    Binding,
    Caching,
    Command,
    Component,
    Constant,
    Container,
    Dag,
    FinalStatus,
    FromTask,
    Node,
    Plan,
    PythonFunction,
    Resources,
    Retry,
    Trigger,
    TriggerStrategy,
)
from standpipe.model.templates import InputParameter, Template
from standpipe.model.types import ParameterInput
from tests.ir.plans import training, training_document

PLACEHOLDER = Template((InputParameter("x"),))


def with_node(plan: Plan, node: Node) -> Plan:
    """The plan, one node of its root replaced."""
    dag = plan.root.body
    assert isinstance(dag, Dag)
    return replace(plan, root=replace(plan.root, body=replace(dag, nodes={**dag.nodes, node.name: node})))


def emitted_node(node: Node) -> dict[str, object]:
    task: dict[str, object] = emit(with_node(training(), node))["root"]["dag"]["tasks"][node.name]
    return task


def emitted_container(container: Container) -> dict[str, object]:
    plan = replace(training(), executors={**training().executors, "exec-train": container})
    spec: dict[str, object] = emit(plan)["deploymentSpec"]["executors"]["exec-train"]["container"]
    return spec


def test_a_plan_is_what_the_sdk_compiles() -> None:
    assert emit(training()) == training_document()


def test_the_pipelines_own_fields() -> None:
    plan = replace(training(), display_name="Training", description="What\nfor", pipeline_root="s3://bucket")

    spec = emit(plan)

    assert spec["pipelineInfo"] == {"name": "training", "displayName": "Training", "description": "What\nfor"}
    assert spec["defaultPipelineRoot"] == "s3://bucket"


def test_a_tasks_own_fields() -> None:
    node = Node(
        "train",
        "comp-train",
        display_name="Train it",
        trigger=Trigger(TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED),
        retry=Retry(2, 0.5, 1.5, 60),
        caching=Caching(True, "key"),
    )

    assert emitted_node(node) == {
        "taskInfo": {"name": "Train it"},
        "componentRef": {"name": "comp-train"},
        "cachingOptions": {"enableCache": True, "cacheKey": "key"},
        "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
        "retryPolicy": {
            "maxRetryCount": 2,
            "backoffDuration": "0.500s",
            "backoffFactor": 1.5,
            "backoffMaxDuration": "60s",
        },
    }


def test_caching_that_is_off_is_an_empty_message() -> None:
    assert emitted_node(Node("train", "comp-train", caching=Caching(False)))["cachingOptions"] == {}


def test_control_flow_says_nothing_of_caching() -> None:
    assert "cachingOptions" not in emitted_node(Node("train", "comp-train", caching=None))


def test_a_condition_is_its_text() -> None:
    condition = parse("int(inputs.parameter_values['lr'])  ==  1")

    assert emitted_node(Node("train", "comp-train", {"lr": Constant(1)}, trigger=Trigger(condition=condition)))[
        "triggerPolicy"
    ] == {"condition": "int(inputs.parameter_values['lr'])  ==  1"}


@pytest.mark.parametrize(
    ("binding", "field"),
    [
        (Constant({"a": [1, PLACEHOLDER]}), {"runtimeValue": {"constant": {"a": [1, "{{$.inputs.parameters['x']}}"]}}}),
        (Constant(None), {"runtimeValue": {"constant": None}}),
        (FinalStatus("test"), {"taskFinalStatus": {"producerTask": "test"}}),
        (
            FromTask("test", "score", parse("size(string_value)")),
            {
                "taskOutputParameter": {"producerTask": "test", "outputParameterKey": "score"},
                "parameterExpressionSelector": "size(string_value)",
            },
        ),
    ],
)
def test_bindings(binding: Binding, field: object) -> None:
    plan = with_node(training(), Node("third", "comp-train", {"lr": binding}, after=("test",)))

    assert emit(plan)["root"]["dag"]["tasks"]["third"]["inputs"] == {"parameters": {"lr": field}}


def test_several_sources_of_an_output_are_one_of_them() -> None:
    dag = training().root.body
    assert isinstance(dag, Dag)
    twice = replace(dag, outputs={"score": (FromTask("test", "score"),) * 2})

    spec = emit(replace(training(), root=replace(training().root, body=twice)))

    selector = {"producerSubtask": "test", "outputParameterKey": "score"}
    assert spec["root"]["dag"]["outputs"]["parameters"] == {
        "score": {"valueFromOneof": {"parameterSelectors": [selector, selector]}}
    }


def test_a_container_with_everything() -> None:
    container = Container(
        PLACEHOLDER,
        Command(("a", PLACEHOLDER), ("b",)),
        env={"B": "1", "A": ""},
        resources=Resources(cpu_limit="500m", memory_request="1Gi", accelerator_type="gpu", accelerator_count="2"),
    )

    assert emitted_container(container) == {
        "image": "{{$.inputs.parameters['x']}}",
        "command": ["a", "{{$.inputs.parameters['x']}}"],
        "args": ["b"],
        "env": [{"name": "B", "value": "1"}, {"name": "A"}],
        "resources": {
            "cpuLimit": 0.5,
            "resourceCpuLimit": "500m",
            "memoryRequest": 1.073741824,
            "resourceMemoryRequest": "1Gi",
            "accelerator": {"type": "gpu", "count": "2", "resourceType": "gpu", "resourceCount": "2"},
        },
    }


def test_a_function_is_its_command() -> None:
    container = emitted_container(Container("python", PythonFunction("f", "def f(): ...", packages=("numpy",))))

    assert container["args"] == ["--executor_input", "{{$}}", "--function_to_execute", "f"]
    assert isinstance(container["command"], list)
    assert container["command"][-1] == "def f(): ..."


def test_platforms_are_a_document_of_their_own() -> None:
    settings = {"deploymentSpec": {"executors": {"exec-train": {"imagePullPolicy": "Always"}}}}

    assert emit_platforms(training()) == {}
    assert emit_platforms(replace(training(), platforms={"kubernetes": settings})) == {
        "platforms": {"kubernetes": settings}
    }


def test_platforms_that_are_none() -> None:
    with pytest.raises(SpecError, match=r"^platforms\.kubernetes\.pods: unknown field"):
        emit_platforms(replace(training(), platforms={"kubernetes": {"pods": 1}}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**53 + 1, "9007199254740993 would change"),
        ([{"k": 10**400}], "would change"),
        (float("nan"), "is nan: expected a finite number"),
        ({1: 2}, "has the key 1: expected text"),
        ({1, 2}, "is of type set: expected text, a number"),
    ],
)
def test_values_that_the_format_cannot_hold(value: object, message: str) -> None:
    node = Node("train", "comp-train", {"lr": Constant(value)})

    with pytest.raises(SpecError, match=r"root\.dag\.tasks\.train\.inputs\.parameters\.lr") as caught:
        emit(with_node(training(), node))

    assert message in str(caught.value)


def test_a_default_that_the_format_cannot_hold() -> None:
    root = training().root
    rate = root.inputs["rate"]
    assert isinstance(rate, ParameterInput)
    broken = replace(root, inputs={"rate": replace(rate, default=2**60 + 1)})

    with pytest.raises(SpecError, match=r"root\.inputDefinitions\.parameters\.rate\.defaultValue cannot be compiled"):
        emit(replace(training(), root=broken))


def test_text_that_is_not_unicode() -> None:
    with pytest.raises(SpecError, match="surrogates not allowed"):
        emit(with_node(training(), Node("train", "comp-train", {"lr": Constant("\ud800")})))


def test_a_part_of_an_artifact_cannot_be_selected() -> None:
    node = Node("test", "comp-test", {"model": FromTask("train", "model", parse("x")), "rounds": Constant(1)})

    with pytest.raises(
        SpecError, match=r"root\.dag\.tasks\.test\.inputs\.artifacts\.model: cannot select a part of an artifact"
    ):
        emit(with_node(training(), node))


def test_a_part_of_an_output_cannot_be_selected() -> None:
    dag = training().root.body
    assert isinstance(dag, Dag)
    selecting = replace(dag, outputs={"score": (FromTask("test", "score", parse("x")),)})

    with pytest.raises(SpecError, match=r"root\.dag\.outputs\.score: cannot select a part of a value"):
        emit(replace(training(), root=replace(training().root, body=selecting)))


def test_references_are_checked_first() -> None:
    plan = replace(training(), root=Component(Dag({"a": Node("a", "comp-none")})))

    with pytest.raises(SpecError, match=r"root\.dag\.tasks\.a\.componentRef\.name: unknown component"):
        emit(plan)
