"""Build the Plan of a pipeline from its trace."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from standpipe.dsl.components import ExecutorComponent, GraphComponent
from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.planning.container_settings import replace_channels_in_settings, settings_with_channels
from standpipe.dsl.planning.dataflow import Dataflow, GroupOutput
from standpipe.dsl.planning.pipeline_outputs import bind_outputs, name_returned_values
from standpipe.dsl.planning.platform_settings import check_passthroughs, resolve_references, warn_of_channels_in_text
from standpipe.dsl.tracing.channels import (
    LoopField,
    LoopItem,
    PipelineChannel,
    describe_channel,
    find_channels,
    replace_channels,
)
from standpipe.dsl.tracing.conditions import Branch
from standpipe.dsl.tracing.groups import ExitHandler
from standpipe.dsl.tracing.loops import ParallelFor
from standpipe.dsl.tracing.tasks import PipelineTask, TaskGroup
from standpipe.dsl.tracing.trace import Trace
from standpipe.errors import AuthoringError, InconsistentTypeException, InvalidTopologyException
from standpipe.model import expressions
from standpipe.model.kfp import unique_name
from standpipe.model.plan import (
    Binding,
    Component,
    Constant,
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
    SourceLocation,
    Trigger,
    TriggerStrategy,
)
from standpipe.model.templates import parse_value
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


def build_plan(
    trace: Trace, interface: Interface, returned: Any, source_location: SourceLocation | None = None
) -> Plan:
    """Return the Plan of a pipeline whose function was traced.

    Args:
        trace: the trace of the function.
        interface: the inputs and outputs that the function declares.
        returned: the value that it returned.
        source_location: where it is defined.

    Raises:
        AuthoringError: if it has no tasks, if its tasks wait for each other or use values of another pipeline, or if
            its outputs are not those that it declares.
        InconsistentTypeException: if an artifact is inside text, or an output has another type than it declares.
        InvalidTopologyException: if a task uses an output of a task in a loop or condition that it is not in.
    """
    if not trace.tasks:
        raise AuthoringError(f"Pipeline {trace.pipeline!r} has no tasks: its function must call a component.")
    outputs = name_returned_values(trace, returned)
    dataflow = Dataflow(trace, list(outputs.values()))
    builder = _PlanBuilder(trace, dataflow)
    builder.build()
    dag = Dag(builder.nodes[trace.root], bind_outputs(trace, dataflow, interface, outputs))
    return Plan(
        name=trace.pipeline,
        root=Component(dag, interface.inputs, interface.outputs, source_location=source_location),
        components=builder.components,
        executors=builder.executors,
        platforms=builder.platforms,
    )


class _PlanBuilder:
    """Collects components and executors under names that are unique in the Plan, as in the KFP compiler."""

    def __init__(self, trace: Trace, dataflow: Dataflow) -> None:
        self.trace = trace
        self.dataflow = dataflow
        self.nodes: dict[TaskGroup, dict[str, Node]] = {group: {} for group in trace.root}
        self.components: dict[str, Component] = {}
        self.executors: dict[str, Executor] = {}
        self.platforms: dict[str, Json] = {}
        self._name_counts: dict[str, int] = {}

    def build(self) -> None:
        """Build the nodes of all groups. The order decides which of two equal names gets a number."""
        keys: dict[TaskGroup, str] = {}
        for group in self.trace.root:
            for inner in group.groups:
                keys[inner] = self._add_component(inner.name, self._group_component(inner))
                self._add_node(group, self._group_node(inner, keys[inner]))
            for task in group.tasks:
                self._add_node(group, self._task_node(task, self._add_component(task.name, self._task_component(task))))
        for group in self.trace.root.groups:
            if isinstance(group, ExitHandler):
                task = group.exit_task
                key = self._add_component(task.name, self._task_component(task))
                self._add_node(self.trace.root, self._exit_node(task, key, group))
        for group, key in keys.items():
            outputs = {name: output.sources for name, output in self.dataflow.outputs[group].items()}
            self.components[key] = replace(self.components[key], body=Dag(self.nodes[group], outputs))
        for group, nodes in self.nodes.items():
            self._check_cycles(group, nodes)

    def _add_node(self, group: TaskGroup, node: Node) -> None:
        if node.name in self.nodes[group]:
            raise AuthoringError(
                f"Pipeline {self.trace.pipeline!r} has a task and a group with the same name {node.name!r}. Rename the "
                "task's component."
            )
        self.nodes[group][node.name] = node

    def _add_component(self, name: str, component: Component) -> str:
        key = unique_name(f"comp-{name}", self.components, self._name_counts)
        self.components[key] = component
        return key

    # --- components ---------------------------------------------------------------------------------------------------

    def _group_component(self, group: TaskGroup) -> Component:
        """Return the component of a group without its tasks, which are added later."""
        inputs = {name: _create_input(channel) for name, channel in self.dataflow.inputs[group].items()}
        if isinstance(group, ParallelFor):
            inputs[group.item.added_input] = _create_input(group.item)
        outputs = {name: _create_output(output) for name, output in self.dataflow.outputs[group].items()}
        return Component(Dag({}), inputs, outputs)

    def _task_component(self, task: PipelineTask) -> Component:
        if isinstance(task.component, ExecutorComponent):
            return self._executor_component(task)
        return self._pipeline_component(task)

    def _executor_component(self, task: PipelineTask) -> Component:
        assert isinstance(task.component, ExecutorComponent)
        check_passthroughs(task, task.component)
        label = unique_name(f"exec-{task.name}", self.executors, self._name_counts)
        container = task.settings.container
        self.executors[label] = replace_channels_in_settings(container) if container else task.component.executor
        for platform, config in task.settings.platforms_with_init_containers.items():
            warn_of_channels_in_text(platform, config, task)
            self._executor_configs(platform)[label] = resolve_references(config, task, self._group_inputs(task))
        return Component(
            ExecutorRef(label),
            task.component.inputs,
            task.component.outputs,
            task.component.task_config_passthroughs,
            task.component.source_location,
        )

    def _pipeline_component(self, task: PipelineTask) -> Component:
        """Add the components and executors of another Plan, renamed if a name is already used in this one."""
        assert isinstance(task.component, GraphComponent)
        if task.settings.platforms_with_init_containers:
            raise AuthoringError(
                f"Task {task.name!r} is a pipeline, which cannot have settings for a platform. Set them on its tasks."
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
            self.components[keys[key]] = _rename_references(component, keys, labels)
        return _rename_references(inner.root, keys, labels)

    def _executor_configs(self, platform: str) -> dict[str, Json]:
        settings = self.platforms.setdefault(platform, {})
        executors: dict[str, Json] = settings.setdefault("deploymentSpec", {}).setdefault("executors", {})
        return executors

    def _group_inputs(self, task: PipelineTask) -> set[str]:
        inputs = set(self.dataflow.inputs[task.group]) if task.group else set()
        if isinstance(task.group, ParallelFor):
            inputs.add(task.group.item.added_input)
        return inputs

    # --- nodes --------------------------------------------------------------------------------------------------------

    def _group_node(self, group: TaskGroup, key: str) -> Node:
        assert group.group
        loop = None
        if isinstance(group, ParallelFor):
            source = group.item.loop_items
            items = source if isinstance(source, RawItems) else InputItems(self._loop_channel(group).added_input)
            loop = Loop(items, group.item.added_input, group.parallelism)
        condition = group.condition if isinstance(group, Branch) else None
        return Node(
            name=group.name,
            component=key,
            inputs={
                name: _bind_channel(channel, group.group)
                for name, channel in self.dataflow.inputs[group].items()
                if not loop or name != loop.item_input
            },
            after=tuple(sorted(self.dataflow.after[group])),
            display_name=group.display_name if group.display_name != group.name else "",
            trigger=Trigger(condition=condition),
            loop=loop,
            caching=None,
            source_location=group.source_location,
        )

    def _loop_channel(self, group: ParallelFor) -> PipelineChannel:
        assert isinstance(group.item.loop_items, PipelineChannel)
        return self.dataflow.resolve_channel(group.item.loop_items, group)

    def _task_node(self, task: PipelineTask, key: str) -> Node:
        after = tuple(sorted(self.dataflow.after[task]))
        node = self._node(task, key, after, task.settings.strategy)
        status_inputs = _final_status_inputs(task)
        if not status_inputs:
            return node
        if task.settings.strategy is not TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED:
            raise AuthoringError(
                f"Task {task.name!r}, input {status_inputs[0]!r}: PipelineTaskFinalStatus is for tasks that run even "
                "if their upstream tasks fail. Make it the task of a dsl.ExitHandler, or call "
                ".ignore_upstream_failure()."
            )
        if len(after) != 1:
            raise InvalidTopologyException(
                f"Task {task.name!r}, input {status_inputs[0]!r}: PipelineTaskFinalStatus expected exactly one "
                f"upstream task in the same group, got {len(after)}."
            )
        return replace(node, inputs={**node.inputs, **{name: FinalStatus(after[0]) for name in status_inputs}})

    def _exit_node(self, task: PipelineTask, key: str, group: ExitHandler) -> Node:
        node = self._node(task, key, (group.name,), TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED)
        statuses = {name: FinalStatus(group.name) for name in _final_status_inputs(task)}
        return replace(node, inputs={**node.inputs, **statuses})

    def _node(self, task: PipelineTask, key: str, after: tuple[str, ...], strategy: TriggerStrategy) -> Node:
        scope = task.group
        assert scope
        inputs: dict[str, Binding] = {}
        for name, value in {**task.inputs, **settings_with_channels(task.settings.container)}.items():
            if isinstance(value, PipelineChannel):
                inputs[name] = _bind_channel(self.dataflow.resolve_channel(value, task), scope)
            else:
                location = f"Task {task.name!r}, input {name!r}"
                inputs[name] = Constant(parse_value(replace_channels(value, location)))
                for channel in _find_parameters(value, location):
                    inputs[channel.added_input] = _bind_channel(channel, scope)
        return Node(
            name=task.name,
            component=key,
            inputs=inputs,
            after=after,
            display_name=task.settings.display_name,
            trigger=Trigger(strategy),
            retry=task.settings.retry,
            caching=task.settings.caching,
            source_location=task.source_location,
        )

    def _check_cycles(self, group: TaskGroup, nodes: Mapping[str, Node]) -> None:
        try:
            graphlib.TopologicalSorter({name: node.upstream for name, node in nodes.items()}).prepare()
        except graphlib.CycleError as error:
            cycle = " -> ".join(reversed(error.args[1]))
            raise AuthoringError(
                f"Pipeline {self.trace.pipeline!r}: its tasks wait for each other, by .after() or inputs: {cycle}."
            ) from error


def _bind_channel(channel: PipelineChannel, scope: TaskGroup) -> Binding:
    """Return where the tasks of a group get the value of a channel."""
    if isinstance(channel, LoopField):
        return FromInput(channel.item.added_input, expressions.parse(f'parseJson(string_value)["{channel.key}"]'))
    if channel.task is not None and channel.task.group is scope and not isinstance(channel, LoopItem):
        return FromTask(channel.task.name, channel.name)
    at_root = scope.group is None and not isinstance(channel, LoopItem)
    return FromInput(channel.name if at_root else channel.added_input)


def _create_input(channel: PipelineChannel) -> Input:
    if isinstance(channel.declared_type, ArtifactType):
        return ArtifactInput(channel.declared_type, channel.is_artifact_list)
    return ParameterInput(channel.declared_type)


def _create_output(output: GroupOutput) -> Output:
    kind = output.channel.declared_type
    if isinstance(kind, ArtifactType):
        return ArtifactOutput(kind, output.channel.is_artifact_list)
    return ParameterOutput(kind)


def _find_parameters(value: Json, location: str) -> Iterator[PipelineChannel]:
    """Yield the channels whose marks are in a constant."""
    for channel in find_channels(value, location):
        if isinstance(channel.declared_type, ArtifactType):
            raise InconsistentTypeException(
                f"{location}: the {describe_channel(channel)} is an artifact, and only parameters can be used inside "
                "text, lists and dicts. Pass the artifact to an input of its own."
            )
        yield channel


def _final_status_inputs(task: PipelineTask) -> list[str]:
    return [
        name
        for name, declared in task.component.inputs.items()
        if isinstance(declared, ParameterInput) and declared.type is ParameterType.TASK_FINAL_STATUS
    ]


def _rename_references(component: Component, keys: Mapping[str, str], labels: Mapping[str, str]) -> Component:
    if isinstance(component.body, ExecutorRef):
        return replace(component, body=ExecutorRef(labels[component.body.label]))
    nodes = {name: replace(node, component=keys[node.component]) for name, node in component.body.nodes.items()}
    return replace(component, body=replace(component.body, nodes=nodes))
