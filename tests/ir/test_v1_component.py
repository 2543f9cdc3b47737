from __future__ import annotations

from typing import Any

import pytest
import yaml

from standpipe.errors import SpecError, UnsupportedError
from standpipe.ir.emitter import emit
from standpipe.ir.loader import load
from standpipe.ir.v1_component import load_v1, read_v1_description
from standpipe.model.plan import Command, Container, Plan
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Input,
    Json,
    Output,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)
from tests.ir.strategies import exact

TEXT, WHOLE = ParameterInput(ParameterType.STRING), ParameterInput(ParameterType.NUMBER_INTEGER)
ANY = ArtifactType("system.Artifact")
UNKNOWN_TYPES: list[Json] = [None, "GCSPath", "system.Model", "Listing", {"GCSPath": {}}, "a[b]"]


def component(text: str = "", **changes: Json) -> dict[str, Json]:
    """A component of version 1 with `text` among its arguments."""
    args = yaml.safe_load(f"[{text}]")
    inputs = [{"name": "A b", "type": "String"}, {"name": "data", "type": "Dataset", "optional": True}]
    outputs = [{"name": "o", "type": "String"}, {"name": "M o", "type": "Model"}]
    implementation = {"container": {"image": "alpine", "args": args}}
    return {"name": "x", "inputs": inputs, "outputs": outputs, "implementation": implementation, **changes}


def only_container(plan: Plan) -> Container:
    (container,) = plan.executors.values()
    assert isinstance(container, Container)
    return container


def argument(text: str) -> str:
    program = only_container(load_v1(component(text))).program
    assert isinstance(program, Command)
    return str(program.args[0])


def loaded_input(**fields: Json) -> Input:
    return load_v1(component(inputs=[{"name": "a", **fields}])).root.inputs["a"]


def test_a_component_is_a_pipeline_of_one_task() -> None:
    document = component("'{{$}}', {inputValue: A b}", name="Train (v2) Üx!", metadata={"labels": {"a": "b"}})

    plan = load_v1(document)

    assert (plan.name, [*plan.components], [*plan.executors]) == (
        "train-v2-x",
        ["comp-train-v2-x"],
        ["exec-train-v2-x"],
    )
    assert plan.root.inputs.keys() == {"a_b", "data"}
    assert plan.root.outputs.keys() == {"o", "m_o"}
    assert load(emit(plan)) == plan


def test_a_component_without_a_name_is_called_name() -> None:
    document = component()
    del document["name"]

    assert load_v1(document).name == "name"


@pytest.mark.parametrize("name", ["!!!", "Обучение", "训练"])
def test_a_component_whose_name_has_no_letter_of_the_alphabet_is_called_task(name: str) -> None:
    assert load_v1(component(name=name)).name == "task"


def test_the_name_of_an_input_may_begin_with_a_digit() -> None:
    assert list(load_v1(component(inputs=[{"name": "2nd Model"}])).root.inputs) == ["2nd_model"]


def test_the_description_is_not_in_the_plan() -> None:
    document = component(description="What for")

    assert read_v1_description(document) == "What for"
    assert load_v1(document).description == ""


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        *((name, WHOLE) for name in ("Integer", "int", "INT")),
        *((name, ParameterInput(ParameterType.NUMBER_DOUBLE)) for name in ("Float", "Double")),
        *((name, TEXT) for name in ("String", "str", "Text")),
        *((name, ParameterInput(ParameterType.BOOLEAN)) for name in ("Bool", "Boolean")),
        *(
            (name, ParameterInput(ParameterType.LIST))
            for name in ("List", "JsonArray", "List[str]", "typing.List[int]")
        ),
        *((name, ParameterInput(ParameterType.STRUCT)) for name in ("Dict", "JsonObject", "typing.Dict[str, int]")),
        ("PipelineTaskFinalStatus", ParameterInput(ParameterType.TASK_FINAL_STATUS, optional=True)),
        ("Model", ArtifactInput(ArtifactType("system.Model"))),
        ("html", ArtifactInput(ArtifactType("system.HTML"))),
        ("google.VertexModel", ArtifactInput(ArtifactType("google.VertexModel"))),
        *((name, ArtifactInput(ANY)) for name in UNKNOWN_TYPES),
    ],
)
def test_types_of_inputs(declared: Json, expected: Input) -> None:
    assert loaded_input(type=declared) == expected


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("Float", ParameterOutput(ParameterType.NUMBER_DOUBLE)),
        ("Metrics", ArtifactOutput(ArtifactType("system.Metrics"))),
        (None, ArtifactOutput(ANY)),
    ],
)
def test_types_of_outputs(declared: Json, expected: Output) -> None:
    plan = load_v1(component(outputs=[{"name": "o", "type": declared}]))

    assert plan.root.outputs == {"o": expected}


@pytest.mark.parametrize(
    ("declared", "default", "expected"),
    [
        ("Integer", "3", 3),
        ("Integer", 3.7, 3),
        ("Float", "1e3", 1000.0),
        ("String", 3, "3"),
        ("String", True, "True"),
        ("String", "", ""),
        ("Bool", "yes", True),
        ("Bool", "0", False),
        ("Bool", 1, True),
        ("List", "[1, 2.5]", [1, 2.5]),
        ("List", "[1", "[1"),
        ("List[str]", '["a"]', '["a"]'),
        ("JsonObject", '{"a": 1}', {"a": 1}),
        ("String", None, None),
    ],
)
def test_defaults(declared: str, default: Json, expected: Json) -> None:
    found = loaded_input(type=declared, default=default)

    assert isinstance(found, ParameterInput)
    assert exact(found.default) == exact(expected)
    assert found.optional == (default is not None)


def test_optional_inputs() -> None:
    assert loaded_input(type="Integer", optional=True) == ParameterInput(ParameterType.NUMBER_INTEGER, optional=True)
    assert loaded_input(type="Model", default="x") == ArtifactInput(ArtifactType("system.Model"), optional=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{inputValue: A b}", "{{$.inputs.parameters['a_b']}}"),
        ("{inputPath: data}", "{{$.inputs.artifacts['data'].path}}"),
        ("{inputUri: data}", "{{$.inputs.artifacts['data'].uri}}"),
        ("{outputPath: o}", "{{$.outputs.parameters['o'].output_file}}"),
        ("{outputPath: M o}", "{{$.outputs.artifacts['m_o'].path}}"),
        ("{outputUri: M o}", "{{$.outputs.artifacts['m_o'].uri}}"),
        ("{executorInput: null}", "{{$}}"),
        ("{concat: ['a=', {inputValue: A b}]}", '{"Concat": ["a=", "{{$.inputs.parameters[\'a_b\']}}"]}'),
        (
            "{if: {cond: {isPresent: data}, then: [--data, {inputUri: data}], else: [--none]}}",
            '{"IfPresent": {"InputName": "data", "Then": ["--data", "{{$.inputs.artifacts[\'data\'].uri}}"], '
            '"Else": ["--none"]}}',
        ),
        ("{if: {cond: {isPresent: data}, then: x}}", '{"IfPresent": {"InputName": "data", "Then": "x"}}'),
        ("{if: {cond: {isPresent: data}, then: [], else: []}}", '{"IfPresent": {"InputName": "data", "Then": []}}'),
    ],
)
def test_arguments(text: str, expected: str) -> None:
    assert argument(text) == expected


def test_the_container() -> None:
    fields = {"image": "i", "command": ["c"], "env": {"A": "1"}, "fileOutputs": {"o": "/tmp/o"}}

    assert only_container(load_v1(component(implementation={"container": fields}))) == Container(
        "i", Command(("c",)), {"A": "1"}
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": 3}, r"^name: expected text, got 3"),
        ({"foo": 1}, r"^foo: unknown field, expected one of name, description"),
        ({"description": 3}, r"^description: expected text, got 3"),
        ({"metadata": {"foo": 1}}, r"^metadata\.foo: unknown field"),
        ({"implementation": None}, r"^implementation: expected a mapping, got None"),
        ({"implementation": {"container": []}}, r"^implementation\.container: expected a mapping, got \[\]"),
        ({"implementation": {"container": {}}}, r"^implementation\.container\.image: missing required field"),
        ({"implementation": {"container": {"image": "a", "x": 1}}}, r"^implementation\.container\.x: unknown field"),
        (
            {"implementation": {"container": {"image": "a", "env": {"A": 1}}}},
            r"^implementation\.container\.env\.A: expected text, got 1",
        ),
        (
            {"implementation": {"container": {"image": "a", "command": "b"}}},
            r"\.command: expected a list, got 'b'",
        ),
        (
            {"implementation": {"container": {"image": "a", "fileOutputs": {"x": "y"}}}},
            r"fileOutputs: unknown output",
        ),
        ({"inputs": {}}, r"^inputs: expected a list, got \{\}"),
        ({"inputs": ["a"]}, r"^inputs\[0\]: expected a mapping, got 'a'"),
        ({"inputs": [{"type": "String"}]}, r"^inputs\[0\]\.name: missing required field"),
        ({"inputs": [{"name": "a"}, {"name": "a"}]}, r"^inputs\[1\]\.name: duplicate name 'a'"),
        (
            {"inputs": [{"name": "!"}]},
            r"^inputs\[0\]\.name: invalid name '!', expected a name with a letter or digit",
        ),
        ({"inputs": [{"name": "a", "x": 1}]}, r"^inputs\[0\]\.x: unknown field"),
        ({"inputs": [{"name": "a", "type": ["x"]}]}, r"^inputs\[0\]\.type: expected the name of a type, got \['x'\]"),
        ({"inputs": [{"name": "a", "optional": "x"}]}, r"^inputs\[0\]\.optional: expected true or false, got 'x'"),
        (
            {"inputs": [{"name": "a", "type": "List", "default": [1]}]},
            r"^inputs\[0\]\.default: expected text, a number or a boolean, got \[1\]",
        ),
        ({"inputs": [{"name": "a", "type": "Int", "default": "x"}]}, r"^inputs\[0\]\.default: expected Int, got 'x': "),
        (
            {"inputs": [{"name": "a", "type": "Bool", "default": "x"}]},
            r"^inputs\[0\]\.default: expected Bool, got 'x': write true or false",
        ),
        ({"outputs": [{"name": "a", "optional": True}]}, r"^outputs\[0\]\.optional: unknown field"),
    ],
)
def test_malformed_components(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        load_v1(component(**changes))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1", r"args\[0\]: expected text or one placeholder, got 1"),
        ("a, {inputValue: A b, inputPath: A b}", r"args\[1\]: expected text or one placeholder, got .*"),
        ("{inputValue: a_b}", r"args\[0\]\.inputValue: unknown input 'a_b', expected one of A b, data"),
        ("{inputValue: [x]}", r"args\[0\]\.inputValue: expected the name of an input or output, got \['x'\]"),
        ("{outputPath: x}", r"args\[0\]\.outputPath: unknown output 'x', expected one of M o, o"),
        ("{inputValue: data}", r"args\[0\]\.inputValue: 'data' is an artifact\. Use inputPath or inputUri\."),
        ("{inputPath: A b}", r"args\[0\]\.inputPath: 'A b' is a parameter\. Use inputValue\."),
        ("{outputUri: o}", r"args\[0\]\.outputUri: 'o' is a parameter\. Use outputPath\."),
        ("{inputMetadata: data}", r"args\[0\]\.inputMetadata: unknown placeholder"),
        ("{executorInput: x}", r"args\[0\]\.executorInput: unknown placeholder"),
        ("{concat: x}", r"args\[0\]\.concat: expected a list, got 'x'"),
        ("{if: {cond: true, then: [a]}}", r"args\[0\]\.if\.cond: expected a mapping, got True"),
        ("{if: {cond: {isPresent: x}, then: [a]}}", r"args\[0\]\.if\.cond\.isPresent: unknown input 'x'"),
        ("{if: {cond: {isPresent: data}}}", r"args\[0\]\.if\.then: expected text or one placeholder, got None"),
        (
            "{concat: [{if: {cond: {isPresent: data}, then: [a]}}]}",
            r"args\[0\]\.concat\[0\]\.if\.then: expected one argument within a concat, got a list",
        ),
    ],
)
def test_malformed_arguments(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=rf"^implementation\.container\.{says}"):
        load_v1(component(text))


def test_graphs_are_not_supported() -> None:
    with pytest.raises(
        UnsupportedError, match=r"^implementation\.graph: KFP version 2 does not support graph components"
    ):
        load_v1(component(implementation={"graph": {"tasks": {}}}))
