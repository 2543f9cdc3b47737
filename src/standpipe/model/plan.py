"""The Plan: our frozen description of a pipeline, the hub between authoring, files and running.

`dsl` makes Plans from Python, `ir` from compiled files, and the engine runs them. The structure follows KFP's
PipelineSpec (https://github.com/kubeflow/pipelines, `api/v2alpha1/pipeline_spec.proto`): tables of components and
executors, and tasks that refer to them by name. So nested pipelines are flat, and `load(emit(plan)) == plan`. What
PipelineSpec keeps as text (placeholders, commands, conditions) is parsed once, when a Plan is made.

Mappings are not modified after a Plan is made.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Union

from standpipe.model.frozen import field, frozen
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
    """A constant: JSON in which every text with placeholders is a `Template`."""

    value: Json


@frozen
class FromTask:
    """An output of another task of the same DAG, or the part of it that `selector` reads."""

    task: str
    output: str
    selector: Expression | None = None


@frozen
class FromInput:
    """An input of the component that the DAG belongs to, or the part of it that `selector` reads."""

    input: str
    selector: Expression | None = None


@frozen
class FinalStatus:
    """The final status of another task of the same DAG, as a `PipelineTaskFinalStatus`."""

    task: str


Binding = Union[Constant, FromTask, FromInput, FinalStatus]


class TriggerStrategy(enum.Enum):
    """The state of the upstream tasks in which a task can start."""

    ALL_UPSTREAM_TASKS_SUCCEEDED = "ALL_UPSTREAM_TASKS_SUCCEEDED"
    ALL_UPSTREAM_TASKS_COMPLETED = "ALL_UPSTREAM_TASKS_COMPLETED"


@frozen
class Trigger:
    """The strategy and the condition by which a task starts. It is skipped if the condition is false."""

    strategy: TriggerStrategy = TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED
    condition: Expression | None = None


@frozen
class RawItems:
    """The items of a loop as constants."""

    items: tuple[Json, ...]


@frozen
class InputItems:
    """The items of a loop from an input of the task: a list, the JSON text of a list, or a list of artifacts."""

    input: str


@frozen
class Loop:
    """The loop of a task that runs its component once for each item. `item_input` is the input that has the item.

    The outputs of the task are lists of those of the iterations, in order. `parallelism` is the maximum number of
    iterations that run at the same time; 0 is no limit.
    """

    items: RawItems | InputItems
    item_input: str
    parallelism: int = 0


@frozen
class Retry:
    """How often a failed task is retried, and with which delays. Durations are in seconds."""

    max_retries: int = 0
    backoff_duration: float = 0.0
    backoff_factor: float = 2.0
    backoff_max_duration: float = 3600.0


@frozen
class Caching:
    """Whether the outputs of a task can be reused from an earlier run. `key` is the author's cache key, if any."""

    enabled: bool = True
    key: str = ""


@frozen
class Node:
    """A task of a DAG: a reference to a component, and the bindings of its inputs.

    `inputs` can have names that the component does not declare: values that only its command uses. `after` has the
    upstream tasks that the compiled file lists; the tasks that the inputs come from are `producers` in any case.
    `display_name` is empty if it is equal to the name. `caching` is None for control flow tasks, which are not cached.
    `source_location` is the location of the call of the component, or of the `with` block of a control flow task; None
    if it is unknown.
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
    """Tasks by name, and the sources of the DAG's outputs.

    An output has the value of the first of its sources that ran. If there are several (`dsl.OneOf`), one must have run.
    """

    nodes: Mapping[str, Node]
    outputs: Mapping[str, tuple[FromTask, ...]] = field(default_factory=dict)


@frozen
class ExecutorRef:
    """A reference to the executor of a component, by its label."""

    label: str


@frozen
class TaskConfigPassthrough:
    """A part of the task's configuration that its code receives (`field` is a `TaskConfigPassthroughTypeEnum`)."""

    field: str
    apply_to_task: bool = False


@frozen
class Component:
    """The inputs and outputs of a component, and its body: a DAG or an executor.

    `source_location` is the location of its function; None if it is unknown, and for components of `with` blocks.
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
    """The resource requests and limits of a container, as written: quantities or placeholders; empty is unset.

    CPU is in cores (`0.5`, `500m`), memory in bytes with a unit (`512Mi`, `2G`). `numbers` are the names of the fields
    that the compiled file has only as a number, as older SDKs wrote them.
    """

    cpu_request: str | Template = ""
    cpu_limit: str | Template = ""
    memory_request: str | Template = ""
    memory_limit: str | Template = ""
    accelerator_type: str | Template = ""
    accelerator_count: str | Template = ""
    numbers: tuple[str, ...] = field(default=(), compare=False)

    @property
    def are_set(self) -> bool:
        """Whether there is any request or limit."""
        return any(vars(self).values())

    @property
    def quantities(self) -> dict[str, str | Template]:
        """The requests and limits by name, also those that are not set."""
        return {name: value for name, value in vars(self).items() if name != "numbers"}


@frozen
class Command:
    """A program and its arguments, as for Kubernetes: an empty `command` leaves the image's entrypoint."""

    command: tuple[Argument, ...] = ()
    args: tuple[Argument, ...] = ()


@frozen
class SourceSection:
    """Lines of a program that come from a file of the author.

    `start` is the number of the first one in the program, counted from 1, `count` how many there are, and `location`
    where the first one comes from.
    """

    start: int
    count: int
    location: SourceLocation


@frozen
class OwnModule:
    """A module of the author that a component imports, as it was when the run started.

    `name` is the full name, with those of its packages. `file` is where it was, and empty for a namespace package,
    which has no `source` either.
    """

    name: str
    source: str = ""
    file: str = ""
    is_package: bool = False


@frozen
class PythonFunction:
    """A lightweight Python component: the source of a program, and the name of the function in it to call.

    `source` is the text as KFP compiles it, including its `import kfp` lines. `kfp_requirements` are the arguments with
    which pip installs KFP itself on a cluster; local runners do not install it. `use_venv` does that in a virtual
    environment. `layout` is the version of the KFP SDK whose form of the command is used (`ir.python_command`); empty
    for the current one.

    `artifact_classes` maps `module.Name` to the source of the author's artifact classes, which the environment of the
    function may lack. `sections` are the parts of the source that come from the author's files, in order. `modules` are
    the author's modules that it imports, which a run adds when it starts. Compiled files have none of these, so they do
    not take part in comparisons.
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
    sections: tuple[SourceSection, ...] = field(default=(), compare=False)
    modules: tuple[OwnModule, ...] = field(default=(), compare=False)

    def locate(self, line: int) -> SourceLocation | None:
        """Return where a line of the source comes from; None if that is not known.

        Args:
            line: the number of the line, from 1.
        """
        for section in self.sections:
            if section.start <= line < section.start + section.count:
                return SourceLocation(section.location.file, section.location.line + line - section.start)
        return None


@frozen
class Container:
    """A container image and the program to run in it."""

    image: str | Template
    program: Command | PythonFunction
    env: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = Resources()


@frozen
class Importer:
    """An executor that makes an artifact of an existing URI.

    `uri` is a constant or the parameter input that has it. `reimport` makes a new artifact even if there is one for
    that URI. `download_to_workspace` copies the payload to the workspace of the run.
    """

    uri: str | FromInput
    type: ArtifactType
    metadata: Mapping[str, Json] = field(default_factory=dict)
    reimport: bool = False
    download_to_workspace: bool = False


#: The executor of a component without a DAG.
Executor = Union[Container, Importer]


@frozen
class Plan:
    """A pipeline. `root` is its own component; `components` and `executors` are those that its tasks refer to.

    `platforms` is KFP's PlatformSpec as JSON: pipeline configuration and Kubernetes settings.
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

    @property
    def tasks_with_init_containers(self) -> tuple[str, ...]:
        """The names of the tasks that have init containers or sidecars, each once."""
        names: dict[str, None] = {}
        for _, component in self.components_by_path():
            for name, node in component.body.nodes.items() if isinstance(component.body, Dag) else ():
                body = self.components[node.component].body
                if isinstance(body, ExecutorRef):
                    settings = self.kubernetes_settings(body.label)
                    if settings.get("initContainers") or settings.get("init_containers"):  # as protobuf reads both
                        names[name] = None
        return tuple(names)

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
    "OwnModule",
    "Plan",
    "PythonFunction",
    "RawItems",
    "Resources",
    "Retry",
    "SourceLocation",
    "SourceSection",
    "TaskConfigPassthrough",
    "Trigger",
    "TriggerStrategy",
]
