"""Attributes of the KFP SDK's objects that libraries such as google-cloud-pipeline-components read and set."""

from __future__ import annotations

import inspect
import json
from typing import Any, NamedTuple

import pytest

from standpipe import components, dsl
from standpipe.dsl import placeholders
from standpipe.dsl.specs import ComponentSpec, ResourceSpec
from standpipe.errors import AuthoringAttributeError, AuthoringError, UnsupportedError


@dsl.component(base_image="python:3.12")
def train(
    text: str,
    rate: float = 0.5,
    names: list[str] = ["a"],  # noqa: B006 - as users write it
) -> NamedTuple("Outputs", [("total", int), ("text", str)]):  # type: ignore[valid-type]
    """Trains."""


@dsl.component
def watch(status: dsl.PipelineTaskFinalStatus, note: str = "") -> None: ...


# placeholders


def received(**declared: Any) -> dict[str, Any]:
    """Return what a function of a container component receives."""
    arguments: dict[str, Any] = {}

    def function(**kwargs: Any) -> dsl.ContainerSpec:
        arguments.update(kwargs)
        return dsl.ContainerSpec(image="i", command=["c"])

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
        for name, annotation in declared.items()
    ]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = declared
    dsl.container_component(function)
    return arguments


def test_placeholders_have_the_classes_and_names_of_the_sdk() -> None:
    arguments = received(
        text=str,
        number=int,
        status=dsl.PipelineTaskFinalStatus,
        items=list[str],
        data=dsl.Input[dsl.Dataset],
        parts=dsl.Input[list[dsl.Dataset]],
        model=dsl.Output[dsl.Model],
        file=dsl.OutputPath(int),
    )

    types = {name: arguments[name]._ir_type for name in ("text", "number", "status", "items")}
    assert types == {"text": "STRING", "number": "NUMBER_INTEGER", "status": "STRUCT", "items": "LIST"}
    assert all(isinstance(arguments[name], placeholders.InputValuePlaceholder) for name in types)
    assert arguments["text"].input_name == "text"
    assert isinstance(arguments["data"], placeholders.ContainerComponentArtifactChannel)
    assert arguments["data"].uri == placeholders.InputUriPlaceholder("data")
    assert arguments["model"].path == placeholders.OutputPathPlaceholder("model")
    assert str(arguments["model"].metadata["k"]) == "{{$.outputs.artifacts['model'].metadata['k']}}"
    assert isinstance(arguments["parts"], placeholders.InputListOfArtifactsPlaceholder)
    assert arguments["file"] == placeholders.OutputParameterPlaceholder("file")
    assert not hasattr(arguments["data"], "_ir_type")


def test_combining_placeholders_are_placeholders() -> None:
    value = placeholders.InputValuePlaceholder("a")

    assert isinstance(dsl.ConcatPlaceholder(["a", value]), placeholders.Placeholder)
    assert dsl.ConcatPlaceholder(["a", value]) == dsl.ConcatPlaceholder(["a", value])
    assert isinstance(dsl.IfPresentPlaceholder("a", then=["b"]), placeholders.Placeholder)
    assert value != placeholders.InputUriPlaceholder("a")
    assert len({value, placeholders.InputValuePlaceholder("a")}) == 1


# components


def test_inputs_of_a_component() -> None:
    assert train.required_inputs == ["text"]
    assert train._component_inputs == {"text", "rate", "names"}
    assert watch._component_inputs == {"note"}


def test_a_component_spec_can_be_renamed_and_described() -> None:
    loaded = components.load_component_from_text(_text_of(train))
    loaded.component_spec.name = "My Trainer"
    loaded.component_spec.description = "Says more."

    @dsl.pipeline
    def trains() -> None:
        loaded(text="a")

    spec = trains.compile_to_json()
    assert list(spec["root"]["dag"]["tasks"]) == ["my-trainer"]
    assert spec["components"]["comp-my-trainer"]["executorLabel"] == "exec-my-trainer"
    assert loaded.component_spec.description == "Says more."
    assert loaded.component_spec is loaded.component_spec


def test_component_specs_are_equal_if_they_compile_to_the_same_document() -> None:
    loaded = components.load_component_from_text(_text_of(train))
    loaded.component_spec.description = "Trains."
    assert loaded.component_spec == train.component_spec
    assert train.component_spec not in (watch.component_spec, "train")
    loaded.component_spec.name = "trainer"
    assert loaded.component_spec != train.component_spec


def test_a_component_spec_compiles() -> None:
    spec = train.component_spec

    assert isinstance(spec, ComponentSpec)
    assert spec.to_pipeline_spec().pipeline_info.name == "train"
    assert spec.implementation.container is not None
    assert spec.implementation.container.image == "python:3.12"


def test_components_without_a_function_cannot_be_executed() -> None:
    @dsl.pipeline
    def empty() -> None:
        train(text="a")

    with pytest.raises(UnsupportedError, match="does not have a Python function"):
        empty.execute()


def _text_of(component: dsl.BaseComponent) -> str:
    return json.dumps(component.compile_to_json())


# tasks and channels


def test_attributes_of_tasks() -> None:
    @dsl.pipeline
    def inner() -> None:
        train(text="a")

    @dsl.pipeline
    def outer(text: str, rate: float) -> None:
        task = train(text=f"x-{text}", rate=rate)
        task.set_cpu_limit("2").set_env_variable("A", "b")
        assert [channel.name for channel in task.channel_inputs] == ["rate", "text"]
        assert task.component_spec is train.component_spec
        container = task.container_spec
        assert (container.image, dict(container.env)) == ("python:3.12", {"A": "b"})
        assert container.resources == ResourceSpec(cpu_limit="2")
        assert container.command == train.component_spec.implementation.container.command
        container.image = "python:3.13"
        assert task.container_spec.image == "python:3.13"
        with pytest.raises(AuthoringAttributeError, match=r"container_spec\.command cannot be set"):
            container.command = ["sh"]
        with pytest.raises(AuthoringError, match="only the task of a pipeline has"):
            _ = task.platform_spec
        task.platform_config = {"kubernetes": {"a": 1}}
        assert task.platform_config == {"kubernetes": {"a": 1}}
        task.platform_config = {}
        nested = inner()
        assert (nested.container_spec, nested.importer_spec) == (None, None)
        assert nested.pipeline_spec.pipeline_info.name == "inner"
        assert not nested.platform_spec.platforms
        imported = dsl.importer(artifact_uri="gs://a", artifact_class=dsl.Model)
        assert imported.importer_spec.schema_title == "system.Model"
        with dsl.If(text == "a") as block:
            assert train(text="b").parent_task_group is block

    executors = outer.compile_to_json()["deploymentSpec"]["executors"]
    assert executors["exec-train"]["container"]["image"] == "python:3.13"


def test_types_of_channels_are_text() -> None:
    types: dict[str, str] = {}

    @dsl.pipeline
    def typed(text: str, number: int, names: list[str], rows: list[dict[str, int]], flag: bool) -> None:
        channels: dict[str, Any] = {"text": text, "number": number, "names": names, "rows": rows, "flag": flag}
        types.update((name, channel.channel_type) for name, channel in channels.items())
        task = train(text=text)
        types["output"] = task.outputs["total"].channel_type
        types["artifact"] = dsl.importer(artifact_uri="gs://a", artifact_class=dsl.Model).output.channel_type
        assert task.outputs["total"].pattern == "{{channel:task=train;name=total;type=Integer;}}"
        with dsl.ParallelFor(rows) as row:
            with pytest.warns(UserWarning, match="channel_type of the item"):
                types["item"] = row.channel_type
            with pytest.warns(UserWarning, match="channel_type of the .*field"):
                types["field"] = row.a.channel_type
            train(text="a", rate=0.5)

    assert types == {
        "text": "String",
        "number": "Integer",
        "names": "List[String]",
        "rows": "List[Dict[String, Integer]]",
        "flag": "Boolean",
        "output": "Integer",
        "artifact": "system.Model@0.0.1",
        "item": "Dict[String, Integer]",
        "field": "int",
    }
