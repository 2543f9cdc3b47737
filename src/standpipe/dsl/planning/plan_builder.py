"""From a trace to a Plan."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from standpipe.dsl.arguments import check_channel
from standpipe.dsl.components import ExecutorComponent, GraphComponent
from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.planning.dataflow import Crossings, Surfaced
from standpipe.dsl.tracing.channels import (
    ADDED,
    LoopField,
    LoopItem,
    PipelineChannel,
    channels_in,
    has_marks,
    replace_marks,
)
from standpipe.dsl.tracing.conditions import Branch
from standpipe.dsl.tracing.groups import ExitHandler
from standpipe.dsl.tracing.loops import ParallelFor
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.dsl.tracing.trace import TaskGroup, Trace
from standpipe.errors import AuthoringError, InconsistentTypeException, InvalidTopologyException
from standpipe.model import expressions
from standpipe.model.kfp import SINGLE_OUTPUT, unique_name
from standpipe.model.plan import (
    Binding,
    Component,
    Constant,
    Container,
    Dag,
    Executor,
    ExecutorRef,
    FinalStatus,
    FromInput,
    FromTask,
    InputItems,
    Loop,
    Node,
    Plan,
    RawItems,
    Trigger,
    TriggerStrategy,
)
from standpipe.model.templates import parse_text, parse_value
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
from standpipe.model.values import preview

_RESOURCES = ("cpu_request", "cpu_limit", "memory_request", "memory_limit", "accelerator_type", "accelerator_count")


def plan_of(trace: Trace, interface: Interface, returned: Any) -> Plan:
    """The Plan of a pipeline whose function was traced and has returned `returned`.

    Raises:
        AuthoringError: if it has no tasks, its tasks wait for each other or use what is not in it, or its outputs are
            not those that it declares.
        InconsistentTypeException: if an artifact stands inside of text, or an output is of another type than declared.
        InvalidTopologyException: if a task takes what is in a loop or a condition that it is not in.
    """
    if not trace.tasks:
        raise AuthoringError(f"Pipeline {trace.pipeline!r} has no tasks: its function must call a component.")
    returned = _returned_by_name(trace, returned)
    builder = _Builder(trace, Crossings(trace, list(returned.values())))
    builder.build()
    outputs = _outputs(builder, interface, returned)
    return Plan(
        name=trace.pipeline,
        root=Component(Dag(builder.nodes[trace.root], outputs), interface.inputs, interface.outputs),
        components=builder.components,
        executors=builder.executors,
        platforms=builder.platforms,
    )


class _Builder:
    """Collects components and executors under names that are unique in the Plan, as the KFP compiler does."""

    def __init__(self, trace: Trace, crossings: Crossings) -> None:
        self.trace = trace
        self.crossings = crossings
        self.nodes: dict[TaskGroup, dict[str, Node]] = {group: {} for group in trace.root}
        self.components: dict[str, Component] = {}
        self.executors: dict[str, Executor] = {}
        self.platforms: dict[str, Json] = {}
        self._numbers: dict[str, int] = {}

    def build(self) -> None:
        """Makes the nodes of all groups. The order decides which of two equal names gets a number."""
        keys: dict[TaskGroup, str] = {}
        for group in self.trace.root:
            for inner in group.groups:
                keys[inner] = self._add(inner.name, self._of_group(inner))
                self._place(group, self._group_node(inner, keys[inner]))
            for task in group.tasks:
                self._place(group, self._task_node(task, self._add(task.name, self._of_task(task))))
        for group in self.trace.root.groups:
            if isinstance(group, ExitHandler):
                task = group.exit_task
                key = self._add(task.name, self._of_task(task))
                self._place(self.trace.root, self._exit_node(task, key, group))
        for group, key in keys.items():
            outputs = {name: output.sources for name, output in self.crossings.outputs[group].items()}
            self.components[key] = replace(self.components[key], body=Dag(self.nodes[group], outputs))
        for group, nodes in self.nodes.items():
            self._refuse_cycles(group, nodes)

    def _place(self, group: TaskGroup, node: Node) -> None:
        if node.name in self.nodes[group]:
            raise AuthoringError(
                f"Pipeline {self.trace.pipeline!r} has a task and a group that are both called {node.name!r}, and one "
                "would take the place of the other. Rename the task's component."
            )
        self.nodes[group][node.name] = node

    def _add(self, name: str, component: Component) -> str:
        key = unique_name(f"comp-{name}", self.components, self._numbers)
        self.components[key] = component
        return key

    # --- components ---------------------------------------------------------------------------------------------------

    def _of_group(self, group: TaskGroup) -> Component:
        """The component of a group, without its tasks, which come later."""
        inputs = {name: _input(channel) for name, channel in self.crossings.inputs[group].items()}
        if isinstance(group, ParallelFor):
            inputs[group.item.added_input] = _input(group.item)
        outputs = {name: _output(output) for name, output in self.crossings.outputs[group].items()}
        return Component(Dag({}), inputs, outputs)

    def _of_task(self, task: PipelineTask) -> Component:
        return self._executor(task) if isinstance(task.component, ExecutorComponent) else self._pipeline(task)

    def _executor(self, task: PipelineTask) -> Component:
        assert isinstance(task.component, ExecutorComponent)
        _check_passed_through(task, task.component)
        label = unique_name(f"exec-{task.name}", self.executors, self._numbers)
        container = task.settings.container
        self.executors[label] = _with_placeholders(container) if container else task.component.executor
        for platform, config in task.settings.platforms.items():
            self._executor_configs(platform)[label] = self._seen_from(task, replace_marks(config))
        return Component(
            ExecutorRef(label),
            task.component.inputs,
            task.component.outputs,
            task.component.task_config_passthroughs,
        )

    def _pipeline(self, task: PipelineTask) -> Component:
        """Takes over all of another Plan; what it is called there is renamed where the name is taken here."""
        assert isinstance(task.component, GraphComponent)
        if task.settings.platforms:
            raise AuthoringError(
                f"Task {task.name!r} is a pipeline: settings for a platform are for single components."
            )
        inner = task.component.plan
        labels: dict[str, str] = {}
        for label, executor in inner.executors.items():
            labels[label] = unique_name(label, self.executors)
            self.executors[labels[label]] = executor
        for platform, settings in inner.platforms.items():
            self.platforms.setdefault(platform, {})
            for label, config in settings.get("deploymentSpec", {}).get("executors", {}).items():
                self._executor_configs(platform)[labels[label]] = config
        keys: dict[str, str] = {}
        for key in inner.components:
            keys[key] = unique_name(key, self.components.keys() | keys.keys() | set(keys.values()))
        for key, component in inner.components.items():
            self.components[keys[key]] = _renamed(component, keys, labels)
        return _renamed(inner.root, keys, labels)

    def _executor_configs(self, platform: str) -> dict[str, Json]:
        settings = self.platforms.setdefault(platform, {})
        executors: dict[str, Json] = settings.setdefault("deploymentSpec", {}).setdefault("executors", {})
        return executors

    def _seen_from(self, task: PipelineTask, config: Json) -> Json:
        """Settings for a platform, in which references to values become those to the inputs of the task's group."""
        if isinstance(config, list):
            return [self._seen_from(task, item) for item in config]
        if not isinstance(config, dict):
            return config
        seen = {key: self._seen_from(task, item) for key, item in config.items()}
        if seen.keys().isdisjoint(("componentInputParameter", "taskOutputParameter")):
            return seen
        inputs = set(self.crossings.inputs[task.group]) if task.group else set()
        if isinstance(task.group, ParallelFor):
            inputs.add(task.group.item.added_input)
        name = seen.get("componentInputParameter")
        if name is not None and name not in inputs and ADDED + name in inputs:
            seen["componentInputParameter"] = ADDED + name
        source = seen.get("taskOutputParameter")
        if source is not None:
            name = f"{ADDED}{source.get('producerTask')}-{source.get('outputParameterKey')}"
            if name in inputs:
                del seen["taskOutputParameter"]
                seen["componentInputParameter"] = name
            elif task.group and source.get("producerTask") not in {other.name for other in task.group.tasks}:
                raise InvalidTopologyException(
                    f"Task {task.name!r}: its settings for a platform take an output of "
                    f"{source.get('producerTask')!r}, which is not in the same block. Pass it to an input of the task."
                )
        return seen

    # --- nodes --------------------------------------------------------------------------------------------------------

    def _group_node(self, group: TaskGroup, key: str) -> Node:
        assert group.group
        loop = None
        if isinstance(group, ParallelFor):
            source = group.item.loop_items
            items = source if isinstance(source, RawItems) else InputItems(self._source(group).added_input)
            loop = Loop(items, group.item.added_input, group.parallelism)
        condition = expressions.parse(group.text) if isinstance(group, Branch) else None
        return Node(
            name=group.name,
            component=key,
            inputs={
                name: _binding(channel, group.group)
                for name, channel in self.crossings.inputs[group].items()
                if not loop or name != loop.item_input
            },
            after=tuple(sorted(self.crossings.after[group])),
            display_name=group.display_name if group.display_name != group.name else "",
            trigger=Trigger(condition=condition),
            loop=loop,
            caching=None,
        )

    def _source(self, group: ParallelFor) -> PipelineChannel:
        assert isinstance(group.item.loop_items, PipelineChannel)
        return self.crossings.resolved(group.item.loop_items, group)

    def _task_node(self, task: PipelineTask, key: str) -> Node:
        after = tuple(sorted(self.crossings.after[task]))
        node = self._node(task, key, after, task.settings.strategy)
        wanting = _inputs_for_final_status(task)
        if not wanting:
            return node
        if task.settings.strategy is not TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED:
            raise AuthoringError(
                f"Task {task.name!r}, input {wanting[0]!r}: PipelineTaskFinalStatus is for tasks that run whatever "
                "became of their upstream: make it the task of a dsl.ExitHandler, or call .ignore_upstream_failure()."
            )
        if len(after) != 1:
            raise InvalidTopologyException(
                f"Task {task.name!r}, input {wanting[0]!r}: PipelineTaskFinalStatus needs exactly one upstream task in "
                f"the same group to speak of, and there are {len(after)}."
            )
        return replace(node, inputs={**node.inputs, **{name: FinalStatus(after[0]) for name in wanting}})

    def _exit_node(self, task: PipelineTask, key: str, group: ExitHandler) -> Node:
        node = self._node(task, key, (group.name,), TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED)
        statuses = {name: FinalStatus(group.name) for name in _inputs_for_final_status(task)}
        return replace(node, inputs={**node.inputs, **statuses})

    def _node(self, task: PipelineTask, key: str, after: tuple[str, ...], strategy: TriggerStrategy) -> Node:
        scope = task.group
        assert scope
        inputs: dict[str, Binding] = {}
        for name, value in {**task.inputs, **_settings_with_channels(task)}.items():
            if isinstance(value, PipelineChannel):
                inputs[name] = _binding(self.crossings.resolved(value, task), scope)
            else:
                where = f"Task {task.name!r}, input {name!r}"
                inputs[name] = Constant(parse_value(replace_marks(value, where)))
                inputs.update({mark.added_input: _binding(mark, scope) for mark in _parameters_in(value, where)})
        return Node(
            name=task.name,
            component=key,
            inputs=inputs,
            after=after,
            display_name=task.settings.display_name,
            trigger=Trigger(strategy),
            retry=task.settings.retry,
            caching=task.settings.caching,
        )

    def _refuse_cycles(self, group: TaskGroup, nodes: Mapping[str, Node]) -> None:
        try:
            graphlib.TopologicalSorter({name: node.after for name, node in nodes.items()}).prepare()
        except graphlib.CycleError as error:
            cycle = " -> ".join(reversed(error.args[1]))
            raise AuthoringError(
                f"Pipeline {self.trace.pipeline!r}: tasks wait for each other, by .after() or by their inputs: {cycle}."
            ) from error


def _binding(channel: PipelineChannel, scope: TaskGroup) -> Binding:
    """Where the tasks of a group have a channel from."""
    if isinstance(channel, LoopField):
        return FromInput(channel.item.added_input, expressions.parse(f'parseJson(string_value)["{channel.key}"]'))
    if channel.task is not None and channel.task.group is scope and not isinstance(channel, LoopItem):
        return FromTask(channel.task.name, channel.name)
    at_root = scope.group is None and not isinstance(channel, LoopItem)
    return FromInput(channel.name if at_root else channel.added_input)


def _input(channel: PipelineChannel) -> Input:
    if isinstance(channel.channel_type, ArtifactType):
        return ArtifactInput(channel.channel_type, channel.is_artifact_list)
    return ParameterInput(channel.channel_type)


def _output(output: Surfaced) -> Output:
    kind = output.shape.channel_type
    return (
        ArtifactOutput(kind, output.shape.is_artifact_list) if isinstance(kind, ArtifactType) else ParameterOutput(kind)
    )


def _parameters_in(value: Json, where: str) -> Iterator[PipelineChannel]:
    """The channels whose marks stand in a constant."""
    for found in channels_in(value, where):
        if isinstance(found.channel_type, ArtifactType):
            raise InconsistentTypeException(
                f"{where}: the {found.described} is an artifact, and only parameters can stand inside of text, "
                "lists and dicts. Pass the artifact to an input of its own."
            )
        yield found


def _inputs_for_final_status(task: PipelineTask) -> list[str]:
    return [
        name
        for name, declared in task.component.inputs.items()
        if isinstance(declared, ParameterInput) and declared.type is ParameterType.TASK_FINAL_STATUS
    ]


def _settings_with_channels(task: PipelineTask) -> dict[str, str]:
    """Resources and the image, where they are values known only when the pipeline runs: inputs of the task, to KFP."""
    container = task.settings.container
    if container is None:
        return {}
    settings = {name: getattr(container.resources, name) for name in _RESOURCES}
    settings["base_image"] = container.image
    return {name: str(value) for name, value in settings.items() if has_marks(str(value))}


#: Settings for Kubernetes that tell of a part of the task's configuration which its code may receive.
_KUBERNETES = {
    "tolerations": "KUBERNETES_TOLERATIONS",
    "nodeSelector": "KUBERNETES_NODE_SELECTOR",
    **dict.fromkeys(("nodeAffinity", "podAffinity"), "KUBERNETES_AFFINITY"),
    **dict.fromkeys(("pvcMount", "secretAsVolume", "configMapAsVolume"), "KUBERNETES_VOLUMES"),
}


def _check_passed_through(task: PipelineTask, component: ExecutorComponent) -> None:
    """A component whose code receives parts of the task's configuration takes no other ones, as with the KFP SDK."""
    passed = [item.field for item in component.task_config_passthroughs]
    container, kubernetes = task.settings.container, task.settings.platforms.get("kubernetes", {})
    given = {field for key, field in _KUBERNETES.items() if kubernetes.get(key)}
    if container and container.env:
        given.add("ENV")
    if container and any(getattr(container.resources, name) for name in _RESOURCES):
        given.add("RESOURCES")
    for field in sorted(given.difference(passed)) if passed else ():
        raise AuthoringError(
            f"Task {task.name!r} cannot be given {field}: its component names in task_config_passthroughs what it "
            f"takes: {', '.join(passed)}. Add dsl.TaskConfigField.{field} there."
        )


def _with_placeholders(container: Container) -> Container:
    """The container with KFP's placeholders in place of channels."""
    resources = {name: parse_text(replace_marks(str(getattr(container.resources, name)))) for name in _RESOURCES}
    return replace(
        container,
        image=parse_text(replace_marks(str(container.image))),
        resources=replace(container.resources, **resources),
    )


def _renamed(component: Component, keys: Mapping[str, str], labels: Mapping[str, str]) -> Component:
    if isinstance(component.body, ExecutorRef):
        return replace(component, body=ExecutorRef(labels[component.body.label]))
    nodes = {name: replace(node, component=keys[node.component]) for name, node in component.body.nodes.items()}
    return replace(component, body=replace(component.body, nodes=nodes))


def _outputs(builder: _Builder, interface: Interface, returned: Mapping[str, Any]) -> dict[str, tuple[FromTask, ...]]:
    trace = builder.trace
    outputs: dict[str, tuple[FromTask, ...]] = {}
    for name, value in returned.items():
        where = f"Pipeline {trace.pipeline!r}, output {name!r}"
        if name not in interface.outputs:
            raise AuthoringError(f"{where} is returned and not declared: annotate the function's return type.")
        if not isinstance(value, PipelineChannel) or value.task is None or isinstance(value, (LoopItem, LoopField)):
            what = f"the {value.described}" if isinstance(value, PipelineChannel) else preview(value)
            raise AuthoringError(f"{where}: a pipeline returns outputs of its own tasks, and {what} is none.")
        value = builder.crossings.resolved(value, trace.root)
        _check_returned(builder, value, where)
        check_channel(where, value, interface.outputs[name])
        outputs[name] = (FromTask(value.task.name, value.name),)
    missing = [name for name in interface.outputs if name not in outputs]
    if missing:
        raise AuthoringError(
            f"Pipeline {trace.pipeline!r} declares outputs and does not return them: {', '.join(missing)}."
        )
    return outputs


def _check_returned(builder: _Builder, value: PipelineChannel, where: str) -> None:
    builder.crossings.check_own(value, where)
    group = value.task.group
    if group is not builder.trace.root:
        raise InvalidTopologyException(
            f"{where}: the {value.described} is in the dsl.{type(group).__name__} {group.name!r}. What can be returned "
            "stands at the outermost level of the function; a dsl.OneOf joins branches, a dsl.Collected iterations."
        )


def _returned_by_name(trace: Trace, returned: Any) -> Mapping[str, Any]:
    if returned is None:
        return {}
    if isinstance(returned, PipelineChannel):
        return {SINGLE_OUTPUT: returned}
    if isinstance(returned, tuple) and hasattr(returned, "_asdict"):
        fields: Mapping[str, Any] = returned._asdict()
        return fields
    if isinstance(returned, dict):
        return returned
    raise AuthoringError(
        f"Pipeline {trace.pipeline!r} returns {_shown(returned)}: return an output of a task, or a NamedTuple of them."
    )


def _shown(returned: Any) -> str:
    """What was returned, for a message; collections may hold what cannot be text."""
    return f"a {type(returned).__name__}" if isinstance(returned, (tuple, list, set)) else preview(returned)
