from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from standpipe.errors import SpecError, UnsupportedError
from standpipe.ir.emitter import emit
from standpipe.ir.loader import load
from standpipe.model.evaluation import holds
from standpipe.model.expressions import parse
from standpipe.model.plan import (
    Caching,
    Constant,
    Container,
    Dag,
    FromInput,
    Node,
    Plan,
    PythonFunction,
    Resources,
    Retry,
    Trigger,
)
from standpipe.model.types import Json, ParameterInput, ParameterType
from tests.ir.plans import EXECUTOR, TEST, TRAIN, changed, training, training_document
from tests.ir.strategies import exact


def node(plan: Plan, name: str = "train") -> Node:
    assert isinstance(plan.root.body, Dag)
    return plan.root.body.nodes[name]


def loaded_node(path: str, value: Json) -> Node:
    """The task `train` of the document with one change."""
    return node(load(changed(path, value)))


def loaded_container(path: str, value: Json) -> Container:
    container = load(changed(path, value)).executors["exec-train"]
    assert isinstance(container, Container)
    return container


def loaded_constant(value: Json) -> Json:
    binding = loaded_node(f"{TRAIN}.inputs.parameters.x", {"runtimeValue": {"constant": value}}).inputs["x"]
    assert isinstance(binding, Constant)
    return binding.value


def test_a_document_is_a_plan() -> None:
    assert exact(load(training_document())) == exact(training())


def test_field_names_may_be_those_of_the_proto_file() -> None:
    document = training_document()
    document["pipeline_info"] = document.pop("pipelineInfo")

    assert load(document) == training()


def test_the_order_of_a_document_says_nothing() -> None:
    document = training_document()
    backwards = dict(reversed(document.items()))

    assert [*load(backwards).components] == [*load(document).components] == ["comp-test", "comp-train"]


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("NUMBER_INTEGER", 3.0, 3),
        ("NUMBER_DOUBLE", 3.0, 3.0),
        ("STRING", 3.0, 3),
        ("LIST", [1.0, 2.5, {"k": 2.0}], [1, 2.5, {"k": 2}]),
        ("STRUCT", {"k": 2.0, "b": True}, {"k": 2, "b": True}),
        ("NUMBER_INTEGER", 1.5, 1.5),
    ],
)
def test_integers_come_back(declared: str, value: Json, expected: Json) -> None:
    document = changed("components.comp-train.inputDefinitions.parameters.x", {"parameterType": declared})
    tasks = document["root"]["dag"]["tasks"]
    tasks["train"]["inputs"]["parameters"]["x"] = {"runtimeValue": {"constant": value}}
    document["root"]["inputDefinitions"]["parameters"]["x"] = {"parameterType": declared, "defaultValue": value}

    plan = load(document)

    default = plan.root.inputs["x"]
    assert isinstance(default, ParameterInput)
    assert exact(node(plan).inputs["x"]) == exact(Constant(expected))
    assert exact(default.default) == exact(expected)


def test_whole_numbers_that_nothing_declares_are_integers() -> None:
    assert exact(loaded_constant([1.0, 1e300, -0.5])) == exact([1, 1e300, -0.5])


def test_a_default_does_not_make_a_parameter_optional() -> None:
    plan = load(changed("root.inputDefinitions.parameters.rate.defaultValue", 2.0))

    assert plan.root.inputs["rate"] == ParameterInput(ParameterType.NUMBER_DOUBLE, optional=False, default=2.0)


def test_a_null_constant_is_one() -> None:
    assert loaded_constant(None) is None


def test_a_task_waits_for_the_tasks_that_its_inputs_come_from() -> None:
    plan = load(changed(f"{TEST}.dependentTasks", None))

    assert node(plan, "test").upstream == ("train",)
    assert "dependentTasks" not in emit(plan)["root"]["dag"]["tasks"]["test"], "the file stays what it was"


def test_what_a_task_does_not_say() -> None:
    bare = loaded_node(TRAIN, {"componentRef": {"name": "comp-train"}, "retryPolicy": {"maxRetryCount": 1}})

    assert bare.caching is None
    assert bare.loop is None
    assert bare.trigger == Trigger()
    assert bare.retry == Retry(1, 0.0, 2.0, 3600.0)
    assert bare.display_name == ""


def test_caching_options_that_say_nothing_are_off() -> None:
    assert loaded_node(f"{TRAIN}.cachingOptions", {}).caching == Caching(enabled=False)


def test_a_condition_is_parsed() -> None:
    condition = "inputs.parameter_values['lr'] == 'it's'"

    trigger = loaded_node(f"{TRAIN}.triggerPolicy", {"condition": condition}).trigger

    assert trigger == Trigger(condition=parse(condition))
    assert trigger.condition is not None
    assert holds(trigger.condition, {"lr": "it's"})


def test_a_selector_is_parsed() -> None:
    selector = 'parseJson(string_value)["a"]'
    binding = {"componentInputParameter": "rate", "parameterExpressionSelector": selector}

    assert loaded_node(f"{TRAIN}.inputs.parameters.lr", binding).inputs["lr"] == FromInput("rate", parse(selector))


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"cpuLimit": 0.5, "resourceCpuLimit": "500m"}, Resources(cpu_limit="500m")),
        ({"cpuRequest": 0.5, "memoryLimit": 1.5}, Resources(cpu_request="0.5", memory_limit="1.5G")),
        (
            {"accelerator": {"type": "gpu", "count": "1"}},
            Resources(accelerator_type="gpu", accelerator_count="1"),
        ),
    ],
)
def test_resources_of_new_and_old_files(resources: Json, expected: Resources) -> None:
    assert loaded_container(f"{EXECUTOR}.resources", resources).resources == expected


def test_a_lightweight_component_is_its_function() -> None:
    lightweight = Container("python", PythonFunction("f", "def f(): ..."))
    plan = replace(training(), executors={**training().executors, "exec-train": lightweight})

    assert load(emit(plan)).executors["exec-train"] == lightweight


def test_platforms() -> None:
    config = {"pipelineConfig": {"activeDeadlineSeconds": 5}}

    assert load(training_document(), {"platforms": {"kubernetes": config}}).platforms == {"kubernetes": config}
    assert load(training_document(), {}).platforms == {}


@pytest.mark.parametrize("version", ["2.0.0", "3.0.0", None])
def test_other_schema_versions_are_rejected(version: str | None) -> None:
    with pytest.raises(SpecError, match=r"^schemaVersion: unsupported version .*, expected '2\.1\.0'"):
        load(changed("schemaVersion", version))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # what protobuf does not take
        (f"{TRAIN}.inputs.parameters.lr.value", 1, f"{TRAIN}.inputs.parameters.lr.value: unknown field"),
        (f"{TRAIN}.inputs.parameters.lr", 1, f"{TRAIN}.inputs.parameters.lr: expected a mapping, got 1"),
        (f"{TRAIN}.dependentTasks", "test", f"{TRAIN}.dependentTasks: "),
        (f"{TRAIN}.dependentTasks", [1], f"{TRAIN}.dependentTasks: "),
        (f"{TRAIN}.taskInfo", [1], f"{TRAIN}.taskInfo: expected a mapping, got [1]"),
        (f"{TRAIN}.retryPolicy", {"backoffDuration": "1m"}, f"{TRAIN}.retryPolicy.backoffDuration: "),
        ("root.dag.tasks", ["train"], "root.dag.tasks: "),
        ("root.executorLabel", "x", "root: "),
        ("root.inputDefinitions.parameters.rate.parameterType", "FLOAT", "root.inputDefinitions.parameters.rate.param"),
        ("root.inputDefinitions.parameters.rate.isOptional", "yes", "root.inputDefinitions.parameters.rate.isOptional"),
        (
            "root.inputDefinitions.parameters.rate.defaultValue",
            datetime.date(2024, 1, 1),
            "root.inputDefinitions.parameters.rate.defaultValue: Value 2024-01-01 has unexpected type",
        ),
        ("root.inputDefinitions.parameters.rate.defaultValue", 10**400, "rate.defaultValue: int too large"),
        (f"{EXECUTOR}.imag", "x", f"{EXECUTOR}.imag: unknown field"),
        (f"{EXECUTOR}.env", [{"name": 1}], f"{EXECUTOR}.env[0].name: "),
        (f"{EXECUTOR}.resources", {"cpuLimit": "many"}, f"{EXECUTOR}.resources.cpuLimit: "),
        # what is missing
        ("pipelineInfo.name", None, "pipelineInfo.name: missing required field"),
        (f"{EXECUTOR}.image", None, f"{EXECUTOR}.image: missing required field"),
        (f"{TRAIN}.componentRef.name", None, f"{TRAIN}.componentRef.name: missing required field"),
        (
            f"{TRAIN}.inputs.parameters.lr",
            {},
            f"{TRAIN}.inputs.parameters.lr.componentInputParameter: missing required field",
        ),
        (f"{TRAIN}.inputs.parameters.lr", {"runtimeValue": {}}, "lr.runtimeValue.constant: missing required field"),
        (
            f"{TEST}.inputs.artifacts.model.taskOutputArtifact.producerTask",
            None,
            "producerTask: missing required field",
        ),
        ("components.comp-train.executorLabel", None, "components.comp-train: expected a dag or an executorLabel"),
        ("root.inputDefinitions.parameters.rate.parameterType", None, "rate.parameterType: missing required field"),
        ("root.dag.outputs.parameters.score", {}, "root.dag.outputs.parameters.score: expected valueFromParameter or"),
        (
            "components.comp-train.outputDefinitions.artifacts.model.artifactType",
            None,
            "components.comp-train.outputDefinitions.artifacts.model.artifactType.schemaTitle: missing required field",
        ),
        # what does not fit together
        (
            "components.comp-train.outputDefinitions.parameters",
            {"model": {"parameterType": "STRING"}},
            "components.comp-train.outputDefinitions.artifacts.model: duplicate name, it is also the name of a param",
        ),
        (
            f"{TEST}.inputs.parameters.model",
            {"componentInputParameter": "rate"},
            f"{TEST}.inputs.parameters.model: the component declares the input 'model' in its artifacts",
        ),
        (
            f"{TRAIN}.inputs.artifacts",
            {"lr": {"componentInputArtifact": "rate"}},
            f"{TRAIN}.inputs.artifacts.lr: the component declares the input 'lr' in its parameters",
        ),
        (
            "root.dag.outputs.artifacts",
            {"score": {}},
            "root.dag.outputs.artifacts.score: the component declares this output in its parameters",
        ),
        (f"{TRAIN}.componentRef.name", "comp-x", f"{TRAIN}.componentRef.name: unknown component: 'comp-x'"),
        (
            "root.inputDefinitions.parameters.rate.parameterType",
            99,
            "rate.parameterType: unknown value 99, expected one of NUMBER_D",
        ),
        (
            f"{TRAIN}.triggerPolicy",
            {"strategy": 99},
            f"{TRAIN}.triggerPolicy.strategy: unknown value 99, expected one of ALL_UPST",
        ),
        # expressions
        (
            f"{TRAIN}.triggerPolicy",
            {"condition": "1 =="},
            f"{TRAIN}.triggerPolicy.condition: invalid expression '1 ==': expected a value",
        ),
        (
            f"{TRAIN}.inputs.parameters.lr",
            {"componentInputParameter": "rate", "parameterExpressionSelector": "eval('1')"},
            f"{TRAIN}.inputs.parameters.lr.parameterExpressionSelector: "
            "invalid expression \"eval('1')\": unknown function 'eval'",
        ),
        # loops and importers
        (
            f"{TRAIN}.parameterIterator",
            {"itemInput": "lr"},
            f"{TRAIN}.parameterIterator.items.inputParameter: missing req",
        ),
        (
            f"{TRAIN}.artifactIterator",
            {"itemInput": "x", "items": {"inputArtifact": "y"}},
            "parameterIterator.itemInput",
        ),
        (
            "deploymentSpec.executors.exec-train",
            {"importer": {}},
            "importer.artifactUri.runtimeParameter: missing required field",
        ),
    ],
)
def test_malformed_parts_are_named(path: str, value: Json, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(changed(path, value))

    assert message in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_a_document_that_is_not_a_mapping(document: Json) -> None:
    with pytest.raises(SpecError, match=r"The file: expected a mapping, got .*"):
        load(document)


def test_a_value_that_is_nested_too_deeply() -> None:
    value: Json = []
    for _ in range(20_000):
        value = [value]

    with pytest.raises(SpecError, match=r"nested too deeply|too deep"):
        load(changed("root.inputDefinitions.parameters.rate.defaultValue", value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{TRAIN}.iteratorPolicy", {"parallelismLimit": 2}),
        (f"{EXECUTOR}.lifecycle", {"preCacheCheck": {"command": ["x"]}}),
        ("root.singlePlatformSpecs", [{"platform": "x"}]),
        ("root.inputDefinitions.parameters.rate.type", "INT"),
    ],
)
def test_what_is_not_supported_yet_is_named(path: str, value: Json) -> None:
    with pytest.raises(UnsupportedError) as caught:
        load(changed(path, value))

    assert str(caught.value).startswith(f"{path}: this version of Standpipe does not support the field")


def test_schemas_by_uri_are_not_supported() -> None:
    schema = "components.comp-train.outputDefinitions.artifacts.model.artifactType"

    with pytest.raises(UnsupportedError, match=r"artifactType\.schemaUri"):
        load(changed(schema, {"schemaUri": "x"}))
