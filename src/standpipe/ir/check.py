"""The references of a Plan: everything that is named is there, of the right kind, and nothing waits for itself.

Errors name the field of the compiled file, wherever the Plan came from.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from standpipe.errors import SpecError
from standpipe.model.plan import Binding, Component, Dag, FinalStatus, FromInput, FromTask, Node, Plan
from standpipe.model.types import ArtifactInput, ArtifactOutput, Input, Output

#: The field that holds a kind of input or output.
PARAMETERS, ARTIFACTS = "parameters", "artifacts"


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
        elif component.body.label not in plan.executors:
            raise _unknown(f"{path}.executorLabel", "executor", component.body.label, plan.executors)
    _check_component_cycles(plan)


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
        _check_inputs(scope, node, f"{path}.tasks.{name}.inputs")
    _check_outputs(scope, f"{path}.outputs")
    waits = {name: {*node.after, *producers(node)} for name, node in nodes.items()}
    _check_cycle(waits, f"{path}.tasks", "tasks wait for each other")


def producers(node: Node) -> Iterator[str]:
    """The tasks that a task's inputs come from."""
    for binding in node.inputs.values():
        if isinstance(binding, (FromTask, FinalStatus)):
            yield binding.task


def _check_inputs(scope: Scope, node: Node, path: str) -> None:
    declared = scope.components[node.component].inputs
    for name, binding in node.inputs.items():
        wanted = kind(declared[name]) if name in declared else PARAMETERS
        where = f"{path}.{wanted}.{name}"
        given = binding_kind(scope, binding, where)
        if given != wanted:
            raise SpecError(f"{where}: it wants one of the {wanted}, and gets one of the {given}")


def binding_kind(scope: Scope, binding: Binding, path: str) -> str:
    """Whether a binding brings a parameter or an artifact.

    Raises:
        SpecError: if what it refers to is not there.
    """
    if isinstance(binding, FromInput):
        if binding.input not in scope.owner.inputs:
            raise _unknown(path, "input of the component", binding.input, scope.owner.inputs)
        return kind(scope.owner.inputs[binding.input])
    if isinstance(binding, FromTask):
        return _source_kind(scope, binding, path)
    if isinstance(binding, FinalStatus) and binding.task not in scope.dag.nodes:
        raise _unknown(path, "task of this DAG", binding.task, scope.dag.nodes)
    return PARAMETERS


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
        if name not in given:
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
