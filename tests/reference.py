"""A slow and simple interpreter of Plans, to compare the engine with.

It walks a Plan recursively, one task after the other, with fake tasks: a `Behaviour` gives the outputs of an attempt,
or None where it fails; attempts are counted from 0. It shares no code with the engine; what it knows of values and
expressions is in `model`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from standpipe.model.evaluation import holds, select
from standpipe.model.expressions import ExpressionError
from standpipe.model.plan import (
    Binding,
    Component,
    Constant,
    Container,
    Dag,
    FinalStatus,
    FromInput,
    FromTask,
    Node,
    Plan,
    PythonFunction,
    RawItems,
    TriggerStrategy,
)
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.states import TaskState
from standpipe.model.templates import InputParameter, Template
from standpipe.model.types import ArtifactInput, ArtifactOutput, Input, ParameterInput, ParameterType
from standpipe.model.values import ArtifactValue, ValueMismatch, coerce, to_text

TEXT = ParameterType.STRING
Behaviour = Callable[[TaskRef, Component, Mapping[str, Any], int], "dict[str, Any] | None"]


class Gathered(list[Any]):
    """The values of a parameter that a loop collected."""


class Unable(Exception):
    """Raised for a task that cannot start, and so fails."""


@dataclass
class Ended:
    """How a task ended."""

    state: TaskState
    outputs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Interpreter:
    """Interprets one Plan; afterwards `attempts` holds the inputs of each task that was attempted and the number of
    attempts at it, and `states` how all tasks ended."""

    plan: Plan
    behaviour: Behaviour
    attempts: dict[TaskRef, tuple[dict[str, Any], int]] = field(default_factory=dict)
    states: dict[TaskRef, TaskState] = field(default_factory=dict)

    def run(self, arguments: Mapping[str, Any]) -> Ended:
        inputs = {name: fitted(arguments.get(name), declared) for name, declared in self.plan.root.inputs.items()}
        ended = self.dag(ROOT, self.plan.root, inputs, 0)
        if ended.state is TaskState.SUCCEEDED and not all(
            map(self.may_lack, self.plan.root.outputs.keys() - ended.outputs.keys())
        ):
            return Ended(TaskState.FAILED)
        return Ended(ended.state, {name: flat(value) for name, value in ended.outputs.items()})

    def may_lack(self, output: str) -> bool:
        """Return whether an output of the pipeline comes from a single task that has a condition of its own."""
        dag = self.plan.root.body
        assert isinstance(dag, Dag)
        (source,) = dag.outputs[output]
        return dag.nodes[source.task].trigger.condition is not None

    def dag(self, ref: TaskRef, component: Component, inputs: Mapping[str, Any], retries: int) -> Ended:
        dag = component.body
        assert isinstance(dag, Dag)
        done: dict[str, Ended] = {}
        while len(done) < len(dag.nodes):
            for name, node in dag.nodes.items():
                if name not in done and all(upstream in done for upstream in node.upstream):
                    done[name] = self.task(ref.child(name), node, inputs, done, retries)
                    self.states[ref.child(name)] = done[name].state
        if any(ended.state is TaskState.FAILED for ended in done.values()):
            return Ended(TaskState.FAILED)
        outputs = {}
        for name, sources in dag.outputs.items():
            values = [done[s.task].outputs[s.output] for s in sources if s.output in done[s.task].outputs]
            if values:
                outputs[name] = values[0]
            elif len(sources) > 1:
                return Ended(TaskState.FAILED)
        return Ended(TaskState.SUCCEEDED, outputs)

    def task(
        self, ref: TaskRef, node: Node, scope: Mapping[str, Any], done: Mapping[str, Ended], retries: int
    ) -> Ended:
        component = self.plan.components[node.component]
        retries = node.retry.max_retries if node.retry else retries
        if node.trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED and any(
            done[name].state is not TaskState.SUCCEEDED for name in node.upstream
        ):
            return Ended(TaskState.SKIPPED)
        try:
            inputs = self.inputs(node, component, scope, done)
            parameters = {
                name: flat(value)
                for name, value in inputs.items()
                if value is not None and not isinstance(component.inputs.get(name), ArtifactInput)
            }
            if node.trigger.condition and not holds(node.trigger.condition, parameters):
                return Ended(TaskState.SKIPPED)
            if isinstance(component.body, Dag):
                inputs = {**inputs, **self.untyped(node, component, scope, done)}
            if node.loop:
                return self.loop(ref, node, component, inputs, retries)
        except (Unable, ExpressionError):
            return Ended(TaskState.FAILED)
        return self.body(ref, component, inputs, retries)

    def loop(self, ref: TaskRef, node: Node, component: Component, inputs: Mapping[str, Any], retries: int) -> Ended:
        assert node.loop
        items = node.loop.items.items if isinstance(node.loop.items, RawItems) else inputs.get(node.loop.items.input)
        if isinstance(items, str):
            try:
                items = json.loads(items)
            except ValueError as error:
                raise Unable from error
        if not isinstance(items, (list, tuple)):
            raise Unable
        ended = [
            self.iteration(ref.parent.child(ref.name, number), node.loop.item_input, item, component, inputs, retries)
            for number, item in enumerate(flat(items))
        ]
        if any(iteration.state is TaskState.FAILED for iteration in ended):
            return Ended(TaskState.FAILED)
        outputs: dict[str, Any] = {}
        for name, declared in component.outputs.items():
            values = [iteration.outputs[name] for iteration in ended if name in iteration.outputs]
            if isinstance(declared, ArtifactOutput):
                values = [one for value in values for one in (value if isinstance(value, list) else [value])]
                outputs[name] = values
            else:
                outputs[name] = Gathered(values)
        return Ended(TaskState.SUCCEEDED, outputs)

    def iteration(
        self, ref: TaskRef, name: str, item: Any, component: Component, inputs: Mapping[str, Any], retries: int
    ) -> Ended:
        try:
            if item is None or not isinstance(component.body, Dag):
                item = fitted(item, component.inputs[name])
            ended = self.body(ref, component, {**inputs, name: item}, retries)
        except Unable:
            ended = Ended(TaskState.FAILED)
        self.states[ref] = ended.state
        return ended

    def body(self, ref: TaskRef, component: Component, inputs: Mapping[str, Any], retries: int) -> Ended:
        if isinstance(component.body, Dag):
            return self.dag(ref, component, inputs, retries)
        levels = self.levels(component)
        inputs = {name: ungathered(value, levels.get(name, 1)) for name, value in inputs.items()}
        for attempt in range(retries + 1):
            self.attempts[ref] = (inputs, attempt + 1)
            outputs = self.behaviour(ref, component, inputs, attempt)
            if outputs is not None:
                return Ended(TaskState.SUCCEEDED, outputs)
        return Ended(TaskState.FAILED)

    def levels(self, component: Component) -> dict[str, int]:
        """Return how deep the lists in the annotations of a component's function are nested."""
        executor = self.plan.executors[component.body.label]  # type: ignore[union-attr]
        if not isinstance(executor, Container) or not isinstance(executor.program, PythonFunction):
            return {}
        annotated = re.findall(r"(\w+): ([\w\[\]]+)", executor.program.source)
        return {name: annotation.count("List") for name, annotation in annotated}

    # --- inputs -------------------------------------------------------------------------------------------------------

    def inputs(
        self, node: Node, component: Component, scope: Mapping[str, Any], done: Mapping[str, Ended]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, binding in node.inputs.items():
            values[name] = looked_up(binding, scope, done)
        for name, binding in node.inputs.items():
            if isinstance(binding, Constant):
                values[name] = rendered(binding.value, values)
        for name, declared in component.inputs.items():
            if not node.loop or node.loop.item_input != name:
                values[name] = fitted(values.get(name), declared)
        return values

    def untyped(
        self, node: Node, component: Component, scope: Mapping[str, Any], done: Mapping[str, Ended]
    ) -> dict[str, Any]:
        """Return what a group passes on as it is: inputs that the compiler has added and calls text."""
        values = {name: looked_up(binding, scope, done) for name, binding in node.inputs.items()}
        texts = {name for name, declared in component.inputs.items() if getattr(declared, "type", "") is TEXT}
        return {
            name: value
            for name, value in values.items()
            if name.startswith("pipelinechannel--") and name in texts and value is not None
        }


def looked_up(binding: Binding, scope: Mapping[str, Any], done: Mapping[str, Ended]) -> Any:
    if isinstance(binding, FinalStatus):
        return {"state": done[binding.task].state.value, "pipelineTaskName": binding.task}
    if isinstance(binding, Constant):
        return None
    value = (
        scope.get(binding.input) if isinstance(binding, FromInput) else done[binding.task].outputs.get(binding.output)
    )
    assert isinstance(binding, (FromInput, FromTask))
    return select(binding.selector, flat(value)) if binding.selector and value is not None else value


def rendered(value: Any, inputs: Mapping[str, Any]) -> Any:
    if not isinstance(value, Template):
        return value
    parts = [
        to_text(flat(inputs.get(part.name))) if isinstance(part, InputParameter) else str(part) for part in value.parts
    ]
    return "".join(parts)


def fitted(value: Any, declared: Input) -> Any:
    if value is None and isinstance(declared, ParameterInput):
        value = declared.default
    if value is None:
        if declared.optional:
            return None
        raise Unable
    if isinstance(declared, ArtifactInput):
        matches = isinstance(value, list) == declared.is_list
        if matches and all(isinstance(one, ArtifactValue) for one in (value if declared.is_list else [value])):
            return value
        raise Unable
    if isinstance(value, ArtifactValue):
        raise Unable
    try:
        return coerce(value if declared.type is ParameterType.LIST else flat(value), declared.type)
    except ValueMismatch as error:
        raise Unable from error


# --- lists ------------------------------------------------------------------------------------------------------------


def flat(value: Any) -> Any:
    return ungathered(value, 1)


def ungathered(value: Any, annotated: int) -> Any:
    """Return plain lists with the annotated number of levels, less the levels in the single values; at least one."""
    return taken_apart(value, max(1, annotated - depth(leaves(value)))) if isinstance(value, Gathered) else value


def taken_apart(value: Any, levels: int) -> Any:
    if not isinstance(value, Gathered):
        return value
    return leaves(value) if levels == 1 else [taken_apart(item, levels - 1) for item in value]


def leaves(value: Any) -> list[Any]:
    """Yield the values of the single iterations, in order."""
    return [leaf for item in value for leaf in (leaves(item) if isinstance(item, Gathered) else [item])]


def depth(values: list[Any]) -> int:
    """Return how deep the lists within a list are nested."""
    return max((1 + depth(value) for value in values if isinstance(value, list)), default=0)
