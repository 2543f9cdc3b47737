"""The Plan: one description of a pipeline, whoever wrote it and whoever will read it.

`dsl` makes Plans from Python, `ir` from compiled files, and the engine runs them. The shape follows KFP's
PipelineSpec (https://github.com/kubeflow/pipelines, `api/v2alpha1/pipeline_spec.proto`): tables of components and
executors, and tasks that name them. That keeps nested pipelines flat and `load(emit(plan)) == plan` honest. What is
text there (placeholders, commands, the source of functions) is parsed here, once.

Mappings are not modified after a Plan is made.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Union

from standpipe.model.frozen import frozen
from standpipe.model.templates import Argument, Template
from standpipe.model.types import PARAMETERS, ArtifactType, Input, Json, Output, table_of

if TYPE_CHECKING:
    from standpipe.model.expressions import Expression


@frozen
class SourceLocation:
    """A file and a line, counted from 1, of the Python code that a part of a Plan comes from.

    The file is an absolute path, or a name in angle brackets such as `<stdin>`. Compiled files hold no locations, and
    they do not take part in comparisons of Plans.
    """

    file: str
    line: int


@frozen
class Constant:
    """A value that the author wrote: JSON in which every text with placeholders is a `Template`."""

    value: Json


@frozen
class FromTask:
    """An output of another task of the same DAG, or the part of it that `selector` takes."""

    task: str
    output: str
    selector: Expression | None = None


@frozen
class FromInput:
    """An input of the component that the DAG belongs to, or the part of it that `selector` takes."""

    input: str
    selector: Expression | None = None


@frozen
class FinalStatus:
    """How another task of the same DAG ended, as a `PipelineTaskFinalStatus`."""

    task: str


Binding = Union[Constant, FromTask, FromInput, FinalStatus]


class TriggerStrategy(enum.Enum):
    """When a task may start, as far as its upstream tasks go."""

    ALL_UPSTREAM_TASKS_SUCCEEDED = "ALL_UPSTREAM_TASKS_SUCCEEDED"
    ALL_UPSTREAM_TASKS_COMPLETED = "ALL_UPSTREAM_TASKS_COMPLETED"


@frozen
class Trigger:
    """What a task waits for, and what must be true of its inputs then: where the condition is false, it is skipped."""

    strategy: TriggerStrategy = TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED
    condition: Expression | None = None


@frozen
class RawItems:
    """The items of a loop, written by the author."""

    items: tuple[Json, ...]


@frozen
class InputItems:
    """The items of a loop: what an input of the task holds, a list or the text of one, or a list of artifacts."""

    input: str


@frozen
class Loop:
    """A task that runs its component once for each item, in a scope of its own, which gives the item as `item_input`.

    The task's outputs are those of the iterations, gathered in order. `parallelism` is how many of them may run at
    once; 0 is no limit.
    """

    items: RawItems | InputItems
    item_input: str
    parallelism: int = 0


@frozen
class Retry:
    """How often a failed task is tried again, and after how many seconds (durations are in seconds)."""

    max_retries: int = 0
    backoff_duration: float = 0.0
    backoff_factor: float = 2.0
    backoff_max_duration: float = 3600.0


@frozen
class Caching:
    """Whether a task's outputs may come from an earlier run. `key` is the author's own."""

    enabled: bool = True
    key: str = ""


@frozen
class Node:
    """A task of a DAG: a component, with its inputs bound.

    `inputs` may hold more names than the component declares: values that only its command refers to. `after` names
    every task that must come before, those that the inputs come from included. `display_name` is empty where it is the
    name. `caching` is None for tasks that stand for control flow, which nobody caches. `source_location` is where the
    task's component was called, or where the `with` block of a control flow task begins; None if it is not known.
    """

    name: str
    component: str
    inputs: Mapping[str, Binding] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    display_name: str = ""
    trigger: Trigger = Trigger()
    loop: Loop | None = None
    retry: Retry | None = None
    caching: Caching | None = Caching()
    source_location: SourceLocation | None = field(default=None, compare=False)

    @property
    def upstream(self) -> tuple[str, ...]:
        """The tasks that must finish before this one can start, each once, in the order of mention."""
        return tuple(dict.fromkeys((*self.after, *self.producers)))

    @property
    def producers(self) -> Iterator[str]:
        """The tasks that the inputs come from, in the order of the inputs."""
        return (b.task for b in self.inputs.values() if isinstance(b, (FromTask, FinalStatus)))


@frozen
class Dag:
    """Tasks by name, and which of their outputs are the outputs of the whole.

    The sources of an output are tried in order; the first that ran gives the value. Where there are several, one of
    them must (`dsl.OneOf`).
    """

    nodes: Mapping[str, Node]
    outputs: Mapping[str, tuple[FromTask, ...]] = field(default_factory=dict)


@frozen
class ExecutorRef:
    """The executor that a component runs, by its label."""

    label: str


@frozen
class TaskConfigPassthrough:
    """A part of the task's configuration that its code receives (`TaskConfigPassthroughTypeEnum` names the fields)."""

    field: str
    apply_to_task: bool = False


@frozen
class Component:
    """Inputs, outputs, and what turns the ones into the others: a DAG or an executor.

    `source_location` is where its function is defined; None if it is not known, and for components of `with` blocks.
    """

    body: Dag | ExecutorRef
    inputs: Mapping[str, Input] = field(default_factory=dict)
    outputs: Mapping[str, Output] = field(default_factory=dict)
    task_config_passthroughs: tuple[TaskConfigPassthrough, ...] = ()
    source_location: SourceLocation | None = field(default=None, compare=False)

    def input_table(self, name: str) -> str:
        """Return the table that a task binds an input in; an input that is not declared is a parameter."""
        return table_of(self.inputs[name]) if name in self.inputs else PARAMETERS


@frozen
class Resources:
    """What a container asks for, as the author wrote it: numbers and units, or a placeholder; empty is unset.

    CPU is in cores (`0.5`, `500m`), memory in bytes with a unit (`512Mi`, `2G`).
    """

    cpu_request: str | Template = ""
    cpu_limit: str | Template = ""
    memory_request: str | Template = ""
    memory_limit: str | Template = ""
    accelerator_type: str | Template = ""
    accelerator_count: str | Template = ""


@frozen
class Command:
    """A program and its arguments, as for Kubernetes: an empty `command` leaves the image's entrypoint."""

    command: tuple[Argument, ...] = ()
    args: tuple[Argument, ...] = ()


@frozen
class PythonFunction:
    """A lightweight Python component: a program's text and the function in it to call.

    `source` is the text as KFP compiles it, its `import kfp` lines included. `kfp_requirements` is what a
    cluster installs of KFP itself, as arguments for pip; no local runner does. `use_venv` wraps that installation in
    an environment of its own. `layout` names the versions of the KFP SDK that write its command in a way of their own
    (`ir.python_command`); it is empty for that of today.

    `artifact_classes` maps `module.Name` to the source of artifact classes that the author defined and that the
    function's environment may lack. It has no place in a compiled file, so it does not take part in comparisons.
    """

    name: str
    source: str
    packages: tuple[str, ...] = ()
    index_urls: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] | None = None
    kfp_requirements: tuple[str, ...] = ()
    use_venv: bool = False
    artifact_classes: Mapping[str, str] = field(default_factory=dict, compare=False)
    layout: str = ""


@frozen
class Container:
    """An image, and what runs in it."""

    image: str | Template
    program: Command | PythonFunction
    env: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = Resources()


@frozen
class Importer:
    """Makes an artifact of what is at a URI already.

    `uri` is the text itself or the parameter input that holds it. `reimport` asks for a new artifact even if there is
    one for that URI; `download_to_workspace` for a copy of the payload in the run's workspace.
    """

    uri: str | FromInput
    type: ArtifactType
    metadata: Mapping[str, Json] = field(default_factory=dict)
    reimport: bool = False
    download_to_workspace: bool = False


#: What a component without a DAG runs.
Executor = Union[Container, Importer]


@frozen
class Plan:
    """A whole pipeline. `root` is its own component; `components` and `executors` are what its tasks refer to.

    `platforms` is KFP's PlatformSpec as JSON, kept for the cluster: pipeline configuration and Kubernetes settings.
    """

    name: str
    root: Component
    components: Mapping[str, Component]
    executors: Mapping[str, Executor]
    description: str = ""
    display_name: str = ""
    pipeline_root: str = ""
    platforms: Mapping[str, Json] = field(default_factory=dict)

    def components_by_path(self) -> Iterator[tuple[str, Component]]:
        """Yield every component with its path in the compiled file, the root first."""
        yield "root", self.root
        for name, component in self.components.items():
            yield f"components.{name}", component

    @property
    def pipeline_config(self) -> Mapping[str, Json]:
        """KFP's `PipelineConfig` as JSON (workspace, deadline and so on); empty if the pipeline has none."""
        config: Mapping[str, Json] = self.platforms.get("kubernetes", {}).get("pipelineConfig", {})
        return config

    @property
    def kubernetes_executors(self) -> Mapping[str, Json]:
        """The settings for Kubernetes of all executors, by the label of the executor."""
        executors: Mapping[str, Json] = (
            self.platforms.get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
        )
        return executors

    def kubernetes_settings(self, label: str) -> Mapping[str, Json]:
        """Return the settings for Kubernetes of an executor, by its label; empty if it has none."""
        settings: Mapping[str, Json] = self.kubernetes_executors.get(label, {})
        return settings


__all__ = [
    "ArtifactType",
    "Binding",
    "Caching",
    "Command",
    "Component",
    "Constant",
    "Container",
    "Dag",
    "Executor",
    "ExecutorRef",
    "FinalStatus",
    "FromInput",
    "FromTask",
    "Importer",
    "InputItems",
    "Loop",
    "Node",
    "Plan",
    "PythonFunction",
    "RawItems",
    "Resources",
    "Retry",
    "SourceLocation",
    "TaskConfigPassthrough",
    "Trigger",
    "TriggerStrategy",
]
