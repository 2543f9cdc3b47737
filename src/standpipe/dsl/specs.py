"""Descriptions of components under the names of the KFP SDK: `component.component_spec`, `task.container_spec`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol, Union

from standpipe.dsl.tracing.tasks import PipelineTask, TaskComponent
from standpipe.dsl.types import sdk_type_name
from standpipe.errors import AuthoringAttributeError
from standpipe.model.plan import Importer, TaskConfigPassthrough
from standpipe.model.types import ArtifactInput, ArtifactOutput, Input, Json, Output


class DescribedComponent(TaskComponent, Protocol):
    """A component as far as its description needs it. `dsl.BaseComponent` implements it."""

    name: str
    description: str | None

    @property
    def pipeline_spec(self) -> Any:
        """The component as KFP's protobuf message `PipelineSpec`."""

    @property
    def platform_spec(self) -> Any:
        """The settings for platforms as KFP's protobuf message `PlatformSpec`."""

    def compile_to_json(self) -> Json:
        """Return the PipelineSpec as JSON."""

    def compile_to_file(self, path: str) -> None:
        """Write the component to a file."""


@dataclass
class InputSpec:
    """An input. `type` is a name such as `Integer`, `typing.List[str]` or `system.Dataset@0.0.1`."""

    type: str
    default: Json = None
    optional: bool = False
    is_artifact_list: bool = False
    description: str | None = None


@dataclass
class OutputSpec:
    """An output. `type` is as in `InputSpec`."""

    type: str
    is_artifact_list: bool = False
    description: str | None = None


@dataclass
class ResourceSpec:
    """The resources of a task, as text: `0.5`, `2`, `1Gi`."""

    cpu_request: str | None = None
    cpu_limit: str | None = None
    memory_request: str | None = None
    memory_limit: str | None = None
    accelerator_type: str | None = None
    accelerator_count: str | None = None


@dataclass
class ContainerSpecImplementation:
    """The container of a component, as it is compiled. Placeholders are text."""

    image: str
    command: list[str] | None = None
    args: list[str] | None = None
    env: Mapping[str, str] | None = None
    resources: ResourceSpec | None = None


@dataclass
class ImporterSpec:
    """The importer of a component. `artifact_uri` is empty: the URI is an argument of each task."""

    artifact_uri: str
    schema_title: str
    schema_version: str
    reimport: bool
    metadata: Mapping[str, Json] | None = None
    download_to_workspace: bool = False


@dataclass
class Implementation:
    """What a component runs. One field is set: `graph` is the PipelineSpec message of a pipeline."""

    container: ContainerSpecImplementation | None = None
    importer: ImporterSpec | None = None
    graph: Any = None


class ComponentSpec:
    """A component: its name, inputs, outputs and implementation.

    A new `name` renames the component: it is the name of the component's next tasks, and of what it compiles to. Two
    are equal if they have the same name and description and compile to the same document.
    """

    def __init__(self, component: DescribedComponent) -> None:
        self._component = component
        self.description = component.description
        self.inputs = {key: _input(item) for key, item in component.inputs.items()} or None
        self.outputs = {key: _output(item) for key, item in component.outputs.items()} or None
        self.task_config_passthroughs: tuple[TaskConfigPassthrough, ...] = getattr(
            component, "task_config_passthroughs", ()
        )

    @property
    def name(self) -> str:
        return self._component.name

    @name.setter
    def name(self, name: str) -> None:
        self._component.name = name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ComponentSpec):
            return NotImplemented
        return self._compiled() == other._compiled()

    __hash__ = None  # type: ignore[assignment]  # the name and the description can be set

    def _compiled(self) -> tuple[object, ...]:
        # As in the KFP SDK (2.17.3, dsl/structures.py), where `list[str]` equals `list`: compiled files have no more.
        return self.name, self.description, self.to_pipeline_spec(), self.platform_spec

    @property
    def implementation(self) -> Implementation:
        return _implementation(self._component)

    @property
    def platform_spec(self) -> Any:
        """The settings for platforms, as KFP's protobuf message `PlatformSpec`."""
        return self._component.platform_spec

    def to_pipeline_spec(self) -> Any:
        """Return the component as KFP's protobuf message `PipelineSpec`."""
        return self._component.pipeline_spec

    def save_to_component_yaml(self, output_file: str | os.PathLike[str]) -> None:
        """Compile the component to a file.

        Raises:
            SpecError: if the file name has another extension than `.yaml`, `.yml` or `.json`.
            StorageError: if the file cannot be written.
        """
        self._component.compile_to_file(os.fspath(output_file))


class TaskContainerSpec(ContainerSpecImplementation):
    """The container of a task, with the task's own settings. `image` and `env` can be set."""

    def __init__(self, task: PipelineTask) -> None:
        compiled = task.component_spec.implementation.container
        settings = task.settings.container
        assert compiled is not None
        assert settings is not None
        resources = {name: str(quantity) for name, quantity in settings.resources.quantities.items() if quantity}
        values = {
            "image": str(settings.image),
            "command": compiled.command,
            "args": compiled.args,
            "env": MappingProxyType(dict(settings.env)) if settings.env else None,
            "resources": ResourceSpec(**resources) if resources else None,
        }
        vars(self).update(values, _task=task)

    def __setattr__(self, name: str, value: Any) -> None:
        task: PipelineTask = vars(self)["_task"]
        if name == "image":
            task.set_container_image(value)
        elif name == "env" and task.settings.container is not None:
            task.settings.container = replace(task.settings.container, env=dict(value or {}))
        else:
            raise AuthoringAttributeError(
                f"Task {task.name!r}: container_spec.{name} cannot be set. Use a method of the task, such as "
                "set_cpu_limit(), or define it in the component."
            )
        vars(self)[name] = value


def _implementation(component: DescribedComponent) -> Implementation:
    if isinstance(component.executor, Importer):
        importer = component.executor
        return Implementation(
            importer=ImporterSpec(
                "",
                importer.type.schema_title,
                importer.type.schema_version,
                importer.reimport,
                importer.metadata or None,
                importer.download_to_workspace,
            )
        )
    if component.executor is None:
        return Implementation(graph=component.pipeline_spec)
    compiled = component.compile_to_json()
    (executor,) = compiled["deploymentSpec"]["executors"].values()
    container = executor["container"]
    env = {item["name"]: item.get("value", "") for item in container.get("env", ())}
    return Implementation(
        ContainerSpecImplementation(container["image"], container.get("command"), container.get("args"), env or None)
    )


def _type(declared: Union[Input, Output]) -> str:
    annotation = "" if isinstance(declared, (ArtifactInput, ArtifactOutput)) else declared.annotation
    return sdk_type_name(declared.type, annotation)


def _input(declared: Input) -> InputSpec:
    description = declared.description or None
    if isinstance(declared, ArtifactInput):
        return InputSpec(_type(declared), None, declared.optional, declared.is_list, description)
    return InputSpec(_type(declared), declared.default, declared.optional, description=description)


def _output(declared: Output) -> OutputSpec:
    is_list = isinstance(declared, ArtifactOutput) and declared.is_list
    return OutputSpec(_type(declared), is_list, declared.description or None)
