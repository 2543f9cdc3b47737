"""The references of a Plan: everything that is named is there, of the right kind, and nothing waits for itself.

Errors name the field of the compiled file, wherever the Plan came from.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from standpipe.errors import SpecError
from standpipe.model.expressions import Call, Comparison, Index, Literal, Logical, Negative, Not, Tree, Variable
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
from standpipe.model.types import ArtifactInput, ArtifactOutput, Input, Output, ParameterInput, ParameterType

#: The field that holds a kind of input or output.
PARAMETERS, ARTIFACTS = "parameters", "artifacts"

#: What is in the names that the KFP compiler makes for itself. It loses some of these, mostly where loops are nested:
#: such a file is still what the SDK writes, and a cluster fails the task when it is to start.
_MADE_BY_THE_COMPILER = ("pipelinechannel--", "loop-item")

#: What a condition takes its values from.
_PARAMETER_VALUES = Index(Variable("inputs"), Literal("parameter_values"))


@dataclass(frozen=True)
class Scope:
    """A DAG and what its tasks refer to: the inputs of the component that owns it, and the Plan's components."""

    owner: Component
    dag: Dag
    components: Mapping[str, Component]

    def outputs(self, task: str) -> Mapping[str, Output]:
        return self.components[self.dag.nodes[task].component].outputs


def kind(declared: Input | Output) -> str:
    """Which of the two fields an input or output stands in."""
    return ARTIFACTS if isinstance(declared, (ArtifactInput, ArtifactOutput)) else PARAMETERS


def table_of(component: Component, name: str) -> str:
    """The field that what a task gives `name` stands in: undeclared inputs are parameters."""
    return kind(component.inputs[name]) if name in component.inputs else PARAMETERS


def paths(plan: Plan) -> Iterator[tuple[str, Component]]:
    """Every component, with its path in the file."""
    yield "root", plan.root
    for name, component in plan.components.items():
        yield f"components.{name}", component


def check(plan: Plan) -> None:
    """Raises SpecError, naming the field, for the first reference of the Plan that leads nowhere."""
    for path, component in paths(plan):
        if isinstance(component.body, Dag):
            _check_dag(Scope(component, component.body, plan.components), f"{path}.dag")
        else:
            _check_executor(plan, component, component.body.label, f"{path}.executorLabel")
    _check_component_cycles(plan)


def _check_executor(plan: Plan, component: Component, label: str, path: str) -> None:
    if label not in plan.executors:
        raise _unknown(path, "executor", label, plan.executors)
    executor = plan.executors[label]
    if isinstance(executor, Importer) and isinstance(executor.uri, FromInput):
        where = f"deploymentSpec.executors.{label}.importer.artifactUri.runtimeParameter"
        _declared(component, PARAMETERS, executor.uri.input, where)


def _declared(component: Component, table: str, name: str, path: str) -> Input:
    """The input of that name, which must be one of the parameters or one of the artifacts."""
    if name not in component.inputs or kind(component.inputs[name]) != table:
        known = {key: item for key, item in component.inputs.items() if kind(item) == table}
        raise _unknown(path, f"input among the {table} of the component", name, known)
    return component.inputs[name]


def _check_dag(scope: Scope, path: str) -> None:
    nodes = scope.dag.nodes
    for name, node in nodes.items():
        where = f"{path}.tasks.{name}"
        if node.component not in scope.components:
            raise _unknown(f"{where}.componentRef.name", "component", node.component, scope.components)
        for index, task in enumerate(node.after):
            if task not in nodes:
                raise _unknown(f"{where}.dependentTasks[{index}]", "task of this DAG", task, nodes)
    for name, node in nodes.items():
        _check_node(scope, node, f"{path}.tasks.{name}")
    _check_outputs(scope, f"{path}.outputs")
    waits = {name: {*node.after, *producers(node)} for name, node in nodes.items()}
    _check_cycle(waits, f"{path}.tasks", "tasks wait for each other")


def producers(node: Node) -> Iterator[str]:
    """The tasks that a task's inputs come from."""
    for binding in node.inputs.values():
        if isinstance(binding, (FromTask, FinalStatus)):
            yield binding.task


def _check_node(scope: Scope, node: Node, path: str) -> None:
    component = scope.components[node.component]
    _check_inputs(scope, node, component, f"{path}.inputs")
    if node.loop is not None:
        _check_loop(node, node.loop, component, path)
    if node.trigger.condition is not None:
        known = {**component.inputs, **node.inputs}
        for name in _parameters_of(node.trigger.condition.tree):
            if name not in known:
                raise _unknown(f"{path}.triggerPolicy.condition", "input of the task", name, known)


def _check_inputs(scope: Scope, node: Node, component: Component, path: str) -> None:
    for name, binding in node.inputs.items():
        wanted = table_of(component, name)
        where = f"{path}.{wanted}.{name}"
        given = _binding_kind(scope, binding, where)
        if given not in (wanted, None):
            raise SpecError(f"{where}: it wants one of the {wanted}, and gets one of the {given}")
    item_input = node.loop.item_input if node.loop else None
    for name, declared in component.inputs.items():
        if _is_required(declared) and name not in node.inputs and name != item_input:
            raise SpecError(f"{path}.{kind(declared)}.{name}: the component needs it, and the task gives it nothing")


def _is_required(declared: Input) -> bool:
    return not declared.optional and (isinstance(declared, ArtifactInput) or declared.default is None)


def _parameters_of(condition: Tree) -> Iterator[str]:
    """The names of the parameters that a condition looks at."""
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


def _check_loop(node: Node, loop: Loop, component: Component, path: str) -> None:
    """The iterator gives the item input its value; its items come from another input that the task binds.

    What the task gives is gathered to lists, whatever the component declares: in files of older SDKs, single values.
    """
    item = component.inputs.get(loop.item_input)
    table = PARAMETERS if item is None else kind(item)
    iterator = f"{path}.{'artifact' if table == ARTIFACTS else 'parameter'}Iterator"
    if item is None:
        raise _unknown(f"{iterator}.itemInput", "input of the component", loop.item_input, component.inputs)
    if isinstance(loop.items, InputItems):
        field = "inputArtifact" if table == ARTIFACTS else "inputParameter"
        _check_items(node, loop.items.input, component, table, f"{iterator}.items.{field}")


def _check_items(node: Node, name: str, component: Component, table: str, path: str) -> None:
    if name not in node.inputs:
        raise _unknown(path, "input of the task", name, node.inputs)
    declared = _declared(component, table, name, path)
    may_be_text = isinstance(declared, ParameterInput) and declared.type is ParameterType.STRING
    if not may_be_text and not _is_list(declared):
        raise SpecError(f"{path}: the items of a loop are a list, and the input {name!r} is none")


def _is_list(declared: Input) -> bool:
    if isinstance(declared, ArtifactInput):
        return declared.is_list
    return declared.type is ParameterType.LIST


def _binding_kind(scope: Scope, binding: Binding, path: str) -> str | None:
    """Whether a binding brings a parameter or an artifact; None if the KFP compiler lost what it refers to.

    Raises:
        SpecError: if what it refers to is not there.
    """
    if isinstance(binding, FromInput):
        if binding.input not in scope.owner.inputs:
            if _may_be_lost(binding.input):
                return None
            raise _unknown(path, "input of the component", binding.input, scope.owner.inputs)
        return kind(scope.owner.inputs[binding.input])
    if isinstance(binding, FromTask):
        return None if _is_lost_output(scope, binding) else _source_kind(scope, binding, path)
    if isinstance(binding, FinalStatus) and binding.task not in scope.dag.nodes:
        raise _unknown(path, "task of this DAG", binding.task, scope.dag.nodes)
    return PARAMETERS


def _may_be_lost(name: str) -> bool:
    return any(part in name for part in _MADE_BY_THE_COMPILER)


def _is_lost_output(scope: Scope, source: FromTask) -> bool:
    known = source.task not in scope.dag.nodes or source.output in scope.outputs(source.task)
    return not known and _may_be_lost(source.output)


def _source_kind(scope: Scope, source: FromTask, path: str) -> str:
    if source.task not in scope.dag.nodes:
        raise _unknown(path, "task of this DAG", source.task, scope.dag.nodes)
    outputs = scope.outputs(source.task)
    if source.output not in outputs:
        raise _unknown(path, f"output of task {source.task!r}", source.output, outputs)
    return kind(outputs[source.output])


def _check_outputs(scope: Scope, path: str) -> None:
    declared, given = scope.owner.outputs, scope.dag.outputs
    for name in given:
        if name not in declared:
            raise _unknown(f"{path}.{name}", "output of the component", name, declared)
    for name, output in declared.items():
        table = kind(output)
        where = f"{path}.{table}.{name}"
        if not given.get(name):
            raise SpecError(f"{where}: the component declares this output, and none of its tasks gives it")
        for source in given[name]:
            found = _source_kind(scope, source, where)
            if found != table:
                raise SpecError(f"{where}: it is one of the {table}, and gets one of the {found}")


def _check_component_cycles(plan: Plan) -> None:
    uses = {
        name: {node.component for node in component.body.nodes.values()}
        for name, component in plan.components.items()
        if isinstance(component.body, Dag)
    }
    _check_cycle(uses, "components", "components contain each other")


def _check_cycle(edges: Mapping[str, set[str]], path: str, problem: str) -> None:
    """Raises SpecError if what each name needs, by `edges`, leads back to it. The cycle starts with its first name."""
    try:
        graphlib.TopologicalSorter({name: sorted(needs) for name, needs in edges.items()}).prepare()
    except graphlib.CycleError as error:
        names: list[str] = error.args[1][:0:-1]
        start = names.index(min(names))
        cycle = [*names[start:], *names[:start], names[start]]
        raise SpecError(f"{path}.{cycle[0]}: {problem}: {' -> '.join(cycle)}") from error


def _unknown(path: str, what: str, name: str, known: Mapping[str, object]) -> SpecError:
    there = ", ".join(sorted(known)) or "none"
    return SpecError(f"{path}: there is no {what} called {name!r} (there: {there})")
