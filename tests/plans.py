"""Functions that make small Plans in one line."""

from __future__ import annotations

from collections.abc import Mapping

from standpipe.model.expressions import parse
from standpipe.model.plan import (
    Binding,
    Command,
    Component,
    Container,
    Dag,
    Executor,
    ExecutorRef,
    FromTask,
    Loop,
    Node,
    Plan,
    Trigger,
    TriggerStrategy,
)
from standpipe.model.refs import RunInfo
from standpipe.model.types import Input, Output, ParameterInput, ParameterOutput, ParameterType

INT = ParameterType.NUMBER_INTEGER
COMPLETED = Trigger(TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED)
RUN = RunInfo("run-1", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "job", "2026-01-01T00:00:00Z", "/root-of-all")


def leaf(inputs: Mapping[str, Input] | None = None, outputs: Mapping[str, Output] | None = None) -> Component:
    """Return a component with an executor; by default it has an optional input `x` and an output `y`, both integers."""
    return Component(
        ExecutorRef("exec"),
        {"x": ParameterInput(INT, optional=True)} if inputs is None else inputs,
        {"y": ParameterOutput(INT)} if outputs is None else outputs,
    )


def container(executor: Executor | None) -> Container:
    """Return an executor that must be a container."""
    assert isinstance(executor, Container)
    return executor


def node(
    name: str,
    *after: str,
    component: str = "leaf",
    trigger: Trigger | None = None,
    when: str = "",
    loop: Loop | None = None,
    **inputs: Binding,
) -> Node:
    """Return the node of a task; `when` is its condition."""
    trigger = trigger or (Trigger(condition=parse(when)) if when else Trigger())
    return Node(name, component, inputs, after, trigger=trigger, loop=loop)


def dag(*nodes: Node, **outputs: FromTask | tuple[FromTask, ...]) -> Dag:
    sources = {name: given if isinstance(given, tuple) else (given,) for name, given in outputs.items()}
    return Dag({node.name: node for node in nodes}, sources)


def group(body: Dag, inputs: Mapping[str, Input] | None = None, **outputs: Output) -> Component:
    """Return a component that is a DAG. Outputs that are not named are integers."""
    return Component(body, inputs or {}, {name: outputs.get(name, ParameterOutput(INT)) for name in body.outputs})


def is_(name: str, value: str) -> str:
    """Return the condition that a parameter has a value, as KFP compiles it."""
    return f"inputs.parameter_values['{name}'] == {value}"


def plan(root: Dag, *, inputs: Mapping[str, Input] | None = None, **components: Component) -> Plan:
    """Return a Plan with a `leaf` component among its components."""
    outputs = {name: ParameterOutput(INT) for name in root.outputs}
    executors = {"exec": Container("image", Command())}
    return Plan("test", Component(root, inputs or {}, outputs), {"leaf": leaf(), **components}, executors)
