"""Plans of a single component: a pipeline whose only task has the component's name, inputs and outputs.

This is how the KFP SDK writes a component to a file. When it loads such a file, it takes the component and does not
look at the pipeline around it (2.17.3, `dsl/structures.py`), which in some files is incomplete: those of 2.0.0-alpha
have no outputs at the root, and libraries rename an output of the component alone.
"""

from __future__ import annotations

from standpipe.model.frozen import replace
from standpipe.model.kfp import kubernetes_name
from standpipe.model.plan import (
    Caching,
    Component,
    Dag,
    Executor,
    ExecutorRef,
    FromInput,
    FromTask,
    Node,
    Plan,
)
from standpipe.model.types import Input, ParameterInput


def wrap_component(name: str, component: Component, executor: Executor, caching: Caching) -> Plan:
    """Return the Plan of a single component.

    Args:
        name: the name of the component.
        component: its interface. Its body is replaced by a reference to the executor.
        executor: what it runs.
        caching: the caching of its task.
    """
    label = f"exec-{name}"
    inner = replace(component, body=ExecutorRef(label))
    root = replace(component, body=_wrapping_dag(name, inner, caching))
    return Plan(name, root, {_key(name): inner}, {label: executor})


def find_wrapped_component(plan: Plan) -> Component | None:
    """Return the component that a Plan only wraps, with the defaults of the Plan; None for the Plan of a pipeline.

    A Plan may lack inputs and outputs of the component that it wraps, or have others. A pipeline that renames one, or
    that configures its task, is not taken for the component, although the SDK does that.
    """
    name = kubernetes_name(plan.name)
    inner, dag = plan.components.get(_key(name)), plan.root.body
    if inner is None or not isinstance(inner.body, ExecutorRef) or not isinstance(dag, Dag):
        return None
    node = dag.nodes.get(name)
    if node is None or len(dag.nodes) != 1 or node != Node(name, _key(name), node.inputs, caching=node.caching):
        return None
    if any(source != FromInput(key) for key, source in node.inputs.items()):
        return None
    if any(sources != (FromTask(name, key),) for key, sources in dag.outputs.items()):
        return None
    inputs = {key: _with_default(plan.root.inputs.get(key), declared) for key, declared in inner.inputs.items()}
    return replace(inner, inputs=inputs)


def is_complete(plan: Plan, component: Component) -> bool:
    """Return whether the Plan that wraps a component has all its inputs and outputs, and no others."""
    name, root = kubernetes_name(plan.name), plan.root
    assert isinstance(root.body, Dag)
    return (
        root.inputs.keys() == component.inputs.keys()
        and root.outputs.keys() == component.outputs.keys()
        and root.body == _wrapping_dag(name, component, root.body.nodes[name].caching)
    )


def complete(plan: Plan, component: Component) -> Plan:
    """Return the Plan that wraps a component with exactly the inputs and outputs of the component."""
    name = kubernetes_name(plan.name)
    assert isinstance(plan.root.body, Dag)
    dag = _wrapping_dag(name, component, plan.root.body.nodes[name].caching)
    root = replace(plan.root, body=dag, inputs=component.inputs, outputs=component.outputs)
    return replace(plan, root=root)


def _key(name: str) -> str:
    return f"comp-{name}"


def _wrapping_dag(name: str, component: Component, caching: Caching | None) -> Dag:
    bindings = {key: FromInput(key) for key in component.inputs}
    outputs = {key: (FromTask(name, key),) for key in component.outputs}
    return Dag({name: Node(name, _key(name), bindings, caching=caching)}, outputs)


def _with_default(root_input: Input | None, declared: Input) -> Input:
    """Return an input as its component declares it, with the default value that it was compiled with."""
    if isinstance(root_input, ParameterInput) and isinstance(declared, ParameterInput):
        return replace(declared, default=root_input.default)
    return declared
