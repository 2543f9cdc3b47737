"""Validation of a Plan: every reference leads to something of the right kind, and nothing depends on itself.

`validate` yields findings, so that a checker or a user interface can show all of them. `require_valid` raises the
first one, for callers that cannot continue with an invalid Plan.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping

from standpipe.errors import SpecError
from standpipe.model.expressions import Call, Comparison, Index, Literal, Logical, Negative, Not, Tree, Variable
from standpipe.model.findings import Finding
from standpipe.model.frozen import frozen
from standpipe.model.plan import (
    Binding,
    Component,
    Dag,
    FinalStatus,
    FromInput,
    FromTask,
    Importer,
    InputItems,
    Loop,
    Node,
    Plan,
)
from standpipe.model.types import (
    ARTIFACTS,
    PARAMETERS,
    ArtifactInput,
    Input,
    Output,
    ParameterInput,
    ParameterType,
    is_required,
    table_of,
)

#: The rules of `validate` by their stable ids, each with what it requires.
RULES = {
    "unknown-component": "A task refers to a component of the Plan.",
    "unknown-executor": "A component refers to an executor of the Plan.",
    "unknown-task": "A dependency, binding or output refers to a task of the same DAG.",
    "unknown-input": "A binding, condition, loop or importer refers to an existing input.",
    "unknown-output": "A binding or output refers to an existing output.",
    "missing-input": "A task provides each required input of its component.",
    "missing-output": "A task of the DAG produces each declared output.",
    "kind-mismatch": "A parameter is connected to a parameter, an artifact to an artifact.",
    "loop-items": "The items of a loop are a list.",
    "task-cycle": "A task does not depend on itself, directly or through other tasks.",
    "component-cycle": "A component does not contain itself, directly or through other components.",
}

#: Parts of the names that the KFP compiler generates. It loses some of these, mostly in nested loops. Such a
#: file is still what the SDK writes, and a cluster fails the task when it is about to start.
_GENERATED_NAME_PARTS = ("pipelinechannel--", "loop-item")

#: What a condition reads its values from.
_PARAMETER_VALUES = Index(Variable("inputs"), Literal("parameter_values"))

_SINGULAR = {PARAMETERS: "a parameter", ARTIFACTS: "an artifact"}


@frozen
class Scope:
    """A DAG and what its tasks can refer to: the inputs of the component that owns it, and the Plan's components."""

    owner: Component
    dag: Dag
    components: Mapping[str, Component]

    def outputs(self, task: str) -> Mapping[str, Output] | None:
        """Return the outputs of a task of the DAG, None if its component is unknown."""
        component = self.components.get(self.dag.nodes[task].component)
        return None if component is None else component.outputs


def require_valid(plan: Plan) -> None:
    """Raise an error for the first finding of a Plan, if there is one.

    Raises:
        SpecError: if the Plan is invalid; the message names the field, the problem and the fix.
    """
    for finding in validate(plan):
        raise SpecError(str(finding))


def validate(plan: Plan) -> Iterator[Finding]:
    """Yield every finding of a Plan, in the order of the compiled file.

    What depends on a reference that is reported already is not reported again.
    """
    for path, component in plan.components_by_path():
        if isinstance(component.body, Dag):
            yield from _check_dag(Scope(component, component.body, plan.components), f"{path}.dag")
        else:
            yield from _check_executor(plan, component, component.body.label, f"{path}.executorLabel")
    yield from _check_component_cycles(plan)


def _check_executor(plan: Plan, component: Component, label: str, path: str) -> Iterator[Finding]:
    if label not in plan.executors:
        yield _unknown("executor", path, "executor", label, plan.executors)
        return
    executor = plan.executors[label]
    if isinstance(executor, Importer) and isinstance(executor.uri, FromInput):
        field = f"deploymentSpec.executors.{label}.importer.artifactUri.runtimeParameter"
        if _find_input(component, PARAMETERS, executor.uri.input) is None:
            yield _unknown_component_input(component, PARAMETERS, executor.uri.input, field)


def _find_input(component: Component, table: str, name: str) -> Input | None:
    declared = component.inputs.get(name)
    return declared if declared is not None and table_of(declared) == table else None


def _unknown_component_input(component: Component, table: str, name: str, path: str) -> Finding:
    known = {key: item for key, item in component.inputs.items() if table_of(item) == table}
    return _unknown("input", path, f"input among the {table} of the component", name, known)


def _check_dag(scope: Scope, path: str) -> Iterator[Finding]:
    nodes = scope.dag.nodes
    for name, node in nodes.items():
        yield from _check_references(scope, node, f"{path}.tasks.{name}")
    for name, node in nodes.items():
        if node.component in scope.components:
            yield from _check_node(scope, node, f"{path}.tasks.{name}")
    yield from _check_outputs(scope, f"{path}.outputs")
    dependencies = {name: {*node.after, *node.producers} for name, node in nodes.items()}
    for cycle in _find_cycles(dependencies):
        fix = "Remove one of these dependencies."
        problem = f"tasks depend on each other: {' -> '.join(cycle)}"
        yield Finding("task-cycle", f"{path}.tasks.{cycle[0]}", problem, fix)


def _check_references(scope: Scope, node: Node, path: str) -> Iterator[Finding]:
    if node.component not in scope.components:
        yield _unknown("component", f"{path}.componentRef.name", "component", node.component, scope.components)
    for index, task in enumerate(node.after):
        if task not in scope.dag.nodes:
            yield _unknown_task(scope, task, f"{path}.dependentTasks[{index}]")


def _check_node(scope: Scope, node: Node, path: str) -> Iterator[Finding]:
    component = scope.components[node.component]
    yield from _check_inputs(scope, node, component, f"{path}.inputs")
    if node.loop is not None:
        yield from _check_loop(node, node.loop, component, path)
    if node.trigger.condition is not None:
        known = {**component.inputs, **node.inputs}
        for name in _parameters_of(node.trigger.condition.tree):
            if name not in known:
                yield _unknown("input", f"{path}.triggerPolicy.condition", "input of the task", name, known)


def _check_inputs(scope: Scope, node: Node, component: Component, path: str) -> Iterator[Finding]:
    for name, binding in node.inputs.items():
        expected = component.input_table(name)
        yield from _check_binding(scope, binding, expected, f"{path}.{expected}.{name}")
    item_input = node.loop.item_input if node.loop else None
    for name, declared in component.inputs.items():
        if is_required(declared) and name not in node.inputs and name != item_input:
            yield Finding(
                "missing-input",
                f"{path}.{table_of(declared)}.{name}",
                "missing value for a required input of the component",
                "Pass a value, or make the input optional.",
            )


def _parameters_of(condition: Tree) -> Iterator[str]:
    """Yield the names of the parameters that a condition reads."""
    trees: list[Tree] = [condition]
    while trees:
        tree = trees.pop()
        if isinstance(tree, Index):
            if tree.operand == _PARAMETER_VALUES and isinstance(tree.key, Literal):
                yield str(tree.key.value)
            trees += (tree.operand, tree.key)
        elif isinstance(tree, Comparison):
            trees += (tree.left, tree.right)
        elif isinstance(tree, Logical):
            trees += tree.operands
        elif isinstance(tree, Call):
            trees.append(tree.argument)
        elif isinstance(tree, (Not, Negative)):
            trees.append(tree.operand)


def _check_loop(node: Node, loop: Loop, component: Component, path: str) -> Iterator[Finding]:
    """Check that the component has the item input, and that the items come from another input that the task binds.

    The outputs of the task are lists, whatever the component declares: files of older SDKs declare single values.
    """
    item = component.inputs.get(loop.item_input)
    table = PARAMETERS if item is None else table_of(item)
    iterator = f"{path}.{'artifact' if table == ARTIFACTS else 'parameter'}Iterator"
    if item is None:
        inputs = component.inputs
        yield _unknown("input", f"{iterator}.itemInput", "input of the component", loop.item_input, inputs)
    elif isinstance(loop.items, InputItems):
        field = "inputArtifact" if table == ARTIFACTS else "inputParameter"
        yield from _check_items(node, loop.items.input, component, table, f"{iterator}.items.{field}")


def _check_items(node: Node, name: str, component: Component, table: str, path: str) -> Iterator[Finding]:
    declared = _find_input(component, table, name)
    if name not in node.inputs:
        yield _unknown("input", path, "input of the task", name, node.inputs)
    elif declared is None:
        yield _unknown_component_input(component, table, name, path)
    elif not _can_hold_items(declared):
        got = declared.type if isinstance(declared, ParameterInput) else "a single artifact"
        problem = f"expected a list of items, got the input {name!r}, which is {got}"
        yield Finding("loop-items", path, problem, "Loop over a list.")


def _can_hold_items(declared: Input) -> bool:
    """Whether an input can hold the items of a loop: a list, or the JSON text of one."""
    if isinstance(declared, ArtifactInput):
        return declared.is_list
    return declared.type in (ParameterType.LIST, ParameterType.STRING)


def _check_binding(scope: Scope, binding: Binding, expected: str, path: str) -> Iterator[Finding]:
    """Check that what a binding refers to exists and is of the expected kind, unless the KFP compiler has lost it."""
    if isinstance(binding, FromTask):
        if not _is_lost_output(scope, binding):
            yield from _check_task_output(scope, binding, expected, path)
    elif isinstance(binding, FromInput):
        inputs = scope.owner.inputs
        if binding.input in inputs:
            yield from _check_kind(table_of(inputs[binding.input]), expected, path)
        elif not _is_generated(binding.input):
            yield _unknown("input", path, "input of the component", binding.input, inputs)
    elif isinstance(binding, FinalStatus) and binding.task not in scope.dag.nodes:
        yield _unknown_task(scope, binding.task, path)
    else:
        yield from _check_kind(PARAMETERS, expected, path)


def _is_generated(name: str) -> bool:
    return any(part in name for part in _GENERATED_NAME_PARTS)


def _is_lost_output(scope: Scope, source: FromTask) -> bool:
    if source.task not in scope.dag.nodes or not _is_generated(source.output):
        return False
    return source.output not in (scope.outputs(source.task) or {})


def _check_task_output(scope: Scope, source: FromTask, expected: str, path: str) -> Iterator[Finding]:
    if source.task not in scope.dag.nodes:
        yield _unknown_task(scope, source.task, path)
        return
    outputs = scope.outputs(source.task)
    if outputs is None:
        return  # its unknown component is reported already
    if source.output in outputs:
        yield from _check_kind(table_of(outputs[source.output]), expected, path)
    else:
        yield _unknown("output", path, f"output of task {source.task!r}", source.output, outputs)


def _check_kind(actual: str, expected: str, path: str) -> Iterator[Finding]:
    if actual != expected:
        problem = f"expected {_SINGULAR[expected]}, got {_SINGULAR[actual]}"
        yield Finding("kind-mismatch", path, problem, f"Connect it to {_SINGULAR[expected]}.")


def _check_outputs(scope: Scope, path: str) -> Iterator[Finding]:
    declared, produced = scope.owner.outputs, scope.dag.outputs
    for name in produced:
        if name not in declared:
            yield _unknown("output", f"{path}.{name}", "output of the component", name, declared)
    for name, output in declared.items():
        table = table_of(output)
        field = f"{path}.{table}.{name}"
        if not produced.get(name):
            problem = "no task produces this output, which the component declares"
            yield Finding("missing-output", field, problem, "Connect it to the output of a task.")
        for source in produced.get(name, ()):
            yield from _check_task_output(scope, source, table, field)


def _check_component_cycles(plan: Plan) -> Iterator[Finding]:
    uses = {
        name: {node.component for node in component.body.nodes.values()}
        for name, component in plan.components.items()
        if isinstance(component.body, Dag)
    }
    for cycle in _find_cycles(uses):
        problem = f"components contain each other: {' -> '.join(cycle)}"
        yield Finding("component-cycle", f"components.{cycle[0]}", problem, "Remove one of these references.")


def _find_cycles(edges: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Yield cycles among names that have `edges` to others: each begins and ends with its first name in the alphabet.

    No name is in two of the cycles: of overlapping cycles, only one is found.
    """
    remaining = {name: sorted(targets) for name, targets in edges.items()}
    while True:
        try:
            graphlib.TopologicalSorter(remaining).prepare()
        except graphlib.CycleError as error:
            names: list[str] = error.args[1][:0:-1]
            start = names.index(min(names))
            yield [*names[start:], *names[:start], names[start]]
            remaining = {name: targets for name, targets in remaining.items() if name not in names}
        else:
            return


def _unknown_task(scope: Scope, name: str, path: str) -> Finding:
    return _unknown("task", path, "task of this DAG", name, scope.dag.nodes)


def _unknown(kind: str, path: str, what: str, name: str, known: Mapping[str, object]) -> Finding:
    names = ", ".join(sorted(known))
    fix = f"Use one of: {names}." if names else "There are none: define it, or remove the reference."
    return Finding(f"unknown-{kind}", path, f"unknown {what}: {name!r}", fix)
