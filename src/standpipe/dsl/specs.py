"""Descriptions of components under the names of the KFP SDK: `component.component_spec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.types import SDK_NAMES
from standpipe.model.frozen import frozen
from standpipe.model.plan import TaskConfigPassthrough
from standpipe.model.types import ArtifactInput, ArtifactOutput, Input, Json, Output, ParameterType

#: The names of parameter types in the KFP SDK's descriptions of components.
_NAMES = {
    **SDK_NAMES,
    ParameterType.TASK_FINAL_STATUS: "PipelineTaskFinalStatus",
    ParameterType.TASK_CONFIG: "TaskConfig",
}


@frozen
class InputSpec:
    """An input. `type` is a name such as `Integer`, `typing.List[str]` or `system.Dataset@0.0.1`."""

    type: str
    default: Json = None
    optional: bool = False
    is_artifact_list: bool = False
    description: str | None = None


@frozen
class OutputSpec:
    """An output. `type` is as in `InputSpec`."""

    type: str
    is_artifact_list: bool = False
    description: str | None = None


@frozen
class ContainerSpecImplementation:
    """The container of a component, as it is compiled. Placeholders are text."""

    image: str
    command: list[str] | None = None
    args: list[str] | None = None
    env: dict[str, str] | None = None


@frozen
class Implementation:
    """What a component runs. One field is set. Importers and pipelines are the JSON of a compiled file."""

    container: ContainerSpecImplementation | None = None
    importer: Json = None
    graph: Json = None


@frozen
class ComponentSpec:
    """A component: its name, inputs, outputs and implementation."""

    name: str
    implementation: Implementation
    description: str | None
    inputs: Mapping[str, InputSpec] | None
    outputs: Mapping[str, OutputSpec] | None
    task_config_passthroughs: tuple[TaskConfigPassthrough, ...] = ()


def component_spec(
    name: str, interface: Interface, compiled: Json, passthroughs: tuple[TaskConfigPassthrough, ...] = ()
) -> ComponentSpec:
    """Return the description of a component. `compiled` is its PipelineSpec as JSON."""
    return ComponentSpec(
        name,
        _implementation(name, compiled),
        interface.description or None,
        {key: _input(item) for key, item in interface.inputs.items()} or None,
        {key: _output(item) for key, item in interface.outputs.items()} or None,
        passthroughs,
    )


def _implementation(name: str, compiled: Json) -> Implementation:
    label = compiled.get("components", {}).get(f"comp-{name}", {}).get("executorLabel")
    executor = compiled.get("deploymentSpec", {}).get("executors", {}).get(label, {})
    if "container" not in executor:
        return Implementation(importer=executor["importer"]) if executor else Implementation(graph=compiled)
    container = executor["container"]
    env = {item["name"]: item.get("value", "") for item in container.get("env", ())}
    return Implementation(
        ContainerSpecImplementation(container["image"], container.get("command"), container.get("args"), env or None)
    )


def _type(declared: Union[Input, Output]) -> str:
    if isinstance(declared, (ArtifactInput, ArtifactOutput)):
        return str(declared.type)
    return declared.annotation if "[" in declared.annotation else _NAMES[declared.type]


def _input(declared: Input) -> InputSpec:
    description = declared.description or None
    if isinstance(declared, ArtifactInput):
        return InputSpec(_type(declared), None, declared.optional, declared.is_list, description)
    return InputSpec(_type(declared), declared.default, declared.optional, description=description)


def _output(declared: Output) -> OutputSpec:
    is_list = isinstance(declared, ArtifactOutput) and declared.is_list
    return OutputSpec(_type(declared), is_list, declared.description or None)
