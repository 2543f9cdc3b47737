"""From a trace to a Plan."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from standpipe.dsl.arguments import check_channel
from standpipe.dsl.channels import PipelineChannel, has_marks, input_channel, marks_in, replace_marks
from standpipe.dsl.components import ExecutorComponent, GraphComponent
from standpipe.dsl.interface import Interface
from standpipe.dsl.tasks import PipelineTask
from standpipe.dsl.tracing import Trace
from standpipe.errors import AuthoringError, InconsistentTypeException
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
    FromTask,
    Node,
    Plan,
    Trigger,
    TriggerStrategy,
)
from standpipe.model.templates import parse_text, parse_value
from standpipe.model.types import ArtifactType, Input, Json, ParameterInput, ParameterType
from standpipe.model.values import preview

_RESOURCES = ("cpu_request", "cpu_limit", "memory_request", "memory_limit", "accelerator_type", "accelerator_count")


def plan_of(trace: Trace, interface: Interface, returned: Any) -> Plan:
    """The Plan of a pipeline whose function was traced and has returned `returned`.

    Raises:
        AuthoringError: if it has no tasks, its tasks wait for each other or use what is not in it, or its outputs are
            not those that it declares.
        InconsistentTypeException: if an artifact stands inside of text, or an output is of another type than declared.
    """
    if not trace.tasks:
        raise AuthoringError(f"Pipeline {trace.pipeline!r} has no tasks: its function must call a component.")
    builder = _Builder(trace, interface.inputs)
    nodes = {name: builder.add(task) for name, task in trace.tasks.items()}
    _refuse_cycles(trace, nodes)
    outputs = _outputs(trace, interface, returned)
    return Plan(
        name=trace.pipeline,
        root=Component(Dag(nodes, outputs), interface.inputs, interface.outputs),
        components=builder.components,
        executors=builder.executors,
        platforms=builder.platforms,
    )


@dataclass
class _Builder:
    """Collects components and executors under names that are unique in the Plan, as the KFP compiler does."""

    trace: Trace
    inputs: Mapping[str, Input]
    components: dict[str, Component] = field(default_factory=dict)
    executors: dict[str, Executor] = field(default_factory=dict)
    platforms: dict[str, Json] = field(default_factory=dict)

    def add(self, task: PipelineTask) -> Node:
        component = self._executor(task) if isinstance(task.component, ExecutorComponent) else self._pipeline(task)
        key = unique_name(f"comp-{task.name}", self.components)
        self.components[key] = component
        return self._node(task, key)

    def _executor(self, task: PipelineTask) -> Component:
        assert isinstance(task.component, ExecutorComponent)
        assert task.settings.container
        label = unique_name(f"exec-{task.name}", self.executors)
        self.executors[label] = _with_placeholders(task.settings.container)
        for platform, config in task.settings.platforms.items():
            self._executor_configs(platform)[label] = replace_marks(config)
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

    def _node(self, task: PipelineTask, key: str) -> Node:
        inputs: dict[str, Binding] = {}
        for name, value in {**task.inputs, **_settings_with_channels(task)}.items():
            if isinstance(value, PipelineChannel):
                inputs[name] = self._own(value).binding
            else:
                inputs[name] = Constant(parse_value(replace_marks(value)))
                channels = self._channels_inside(value, f"Task {task.name!r}, input {name!r}")
                inputs.update({channel.added_input: channel.binding for channel in channels})
        for channel in task.settings.channels:
            self._own(channel)
        producers = {binding.task for binding in inputs.values() if isinstance(binding, FromTask)}
        after = tuple(sorted(producers.union(self._named_upstream(task))))
        inputs.update(self._final_statuses(task, after))
        return Node(
            name=task.name,
            component=key,
            inputs=inputs,
            after=after,
            display_name=task.settings.display_name,
            trigger=Trigger(task.settings.strategy),
            retry=task.settings.retry,
            caching=task.settings.caching,
        )

    def _named_upstream(self, task: PipelineTask) -> Iterator[str]:
        for other in task.settings.after:
            if self.trace.tasks.get(other.name) is not other:
                raise AuthoringError(
                    f"Task {task.name!r} of pipeline {self.trace.pipeline!r} was told to run .after() task "
                    f"{other.name!r}, which belongs to another pipeline. Name a task of the same pipeline."
                )
            yield other.name

    def _channels_inside(self, value: Json, where: str) -> Iterator[PipelineChannel]:
        """The channels whose marks stand in a constant."""
        for mark in marks_in(value):
            found = self._channel(*mark)
            if isinstance(found.type, ArtifactType):
                raise InconsistentTypeException(
                    f"{where}: the {found.described} is an artifact, and only parameters can stand inside of text, "
                    "lists and dicts. Pass the artifact to an input of its own."
                )
            yield found

    def _channel(self, task: str, name: str) -> PipelineChannel:
        """The channel that a mark in text stands for; what is not here belongs to another pipeline."""
        if not task:
            if name not in self.inputs:
                raise self._foreign(f"pipeline input {name!r}", "which is no input of it")
            return input_channel(name, self.inputs[name])
        producer = self.trace.tasks.get(task)
        if producer is None or name not in producer.outputs:
            raise self._foreign(f"output {name!r} of task {task!r}", "which is no task of it")
        found = producer.outputs[name]
        assert isinstance(found, PipelineChannel)
        return found

    def _own(self, channel: PipelineChannel) -> PipelineChannel:
        """The channel itself, which must not be another pipeline's, whatever that calls its tasks."""
        if self._channel(channel.task_name or "", channel.name).task is not channel.task:
            raise self._foreign(channel.described, "which is another pipeline's")
        return channel

    def _foreign(self, what: str, why: str) -> AuthoringError:
        return AuthoringError(
            f"Pipeline {self.trace.pipeline!r} uses the {what}, {why}. "
            "A value of another pipeline must come in as an argument."
        )

    def _final_statuses(self, task: PipelineTask, after: tuple[str, ...]) -> dict[str, Binding]:
        wanting = [
            name
            for name, declared in task.component.inputs.items()
            if isinstance(declared, ParameterInput) and declared.type is ParameterType.TASK_FINAL_STATUS
        ]
        if not wanting:
            return {}
        if task.settings.strategy is not TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED:
            raise AuthoringError(
                f"Task {task.name!r}, input {wanting[0]!r}: PipelineTaskFinalStatus is for tasks that run whatever "
                "became of their upstream: call .ignore_upstream_failure() on the task."
            )
        if len(after) != 1:
            raise AuthoringError(
                f"Task {task.name!r}, input {wanting[0]!r}: PipelineTaskFinalStatus needs exactly one upstream task to "
                f"speak of, and there are {len(after)}."
            )
        return {name: FinalStatus(after[0]) for name in wanting}


def _settings_with_channels(task: PipelineTask) -> dict[str, str]:
    """Resources and the image, where they are values known only when the pipeline runs: inputs of the task, to KFP."""
    container = task.settings.container
    if container is None:
        return {}
    settings = {name: getattr(container.resources, name) for name in _RESOURCES}
    settings["base_image"] = container.image
    return {name: str(value) for name, value in settings.items() if has_marks(str(value))}


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


def _refuse_cycles(trace: Trace, nodes: Mapping[str, Node]) -> None:
    try:
        graphlib.TopologicalSorter({name: node.after for name, node in nodes.items()}).prepare()
    except graphlib.CycleError as error:
        cycle = " -> ".join(reversed(error.args[1]))
        raise AuthoringError(
            f"Pipeline {trace.pipeline!r}: tasks wait for each other, by .after() or by their inputs: {cycle}."
        ) from error


def _outputs(trace: Trace, interface: Interface, returned: Any) -> dict[str, tuple[FromTask, ...]]:
    outputs: dict[str, tuple[FromTask, ...]] = {}
    for name, value in _returned_by_name(trace, returned).items():
        where = f"Pipeline {trace.pipeline!r}, output {name!r}"
        if name not in interface.outputs:
            raise AuthoringError(f"{where} is returned and not declared: annotate the function's return type.")
        task = value.task if isinstance(value, PipelineChannel) else None
        if task is None or trace.tasks.get(task.name) is not task:
            what = f"the {value.described}" if isinstance(value, PipelineChannel) else preview(value)
            raise AuthoringError(f"{where}: a pipeline returns outputs of its own tasks, and {what} is none.")
        check_channel(where, value, interface.outputs[name])
        outputs[name] = (FromTask(task.name, value.name),)
    missing = [name for name in interface.outputs if name not in outputs]
    if missing:
        raise AuthoringError(
            f"Pipeline {trace.pipeline!r} declares outputs and does not return them: {', '.join(missing)}."
        )
    return outputs


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
        f"Pipeline {trace.pipeline!r} returns {returned!r}: return an output of a task, or a NamedTuple of them."
    )
