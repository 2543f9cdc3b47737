"""The values of a run of a cluster, in the types that its Plan declares. What the cluster does not tell is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from standpipe.engine.inputs import InputError, fit_inputs, resolve_inputs
from standpipe.kfp_cluster.metadata import StoredArtifact
from standpipe.kfp_cluster.records import Record
from standpipe.model.plan import Component, Dag, Node, Plan
from standpipe.model.types import (
    PARAMETERS,
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Json,
    Output,
    ParameterOutput,
    ParameterType,
)
from standpipe.model.values import ArtifactValue, Collected, Value, ValueMismatch, coerce


@dataclass
class KnownValues:
    """The values that the tasks of a DAG can refer to, as far as they are known; see `engine.inputs.Scope`."""

    component: Component
    inputs: Mapping[str, Value]
    outputs: dict[str, Mapping[str, Value]] = field(default_factory=dict)

    def get_input(self, name: str) -> Value:
        return self.inputs.get(name)

    def declares_input(self, name: str) -> bool:
        return name in self.component.inputs

    def get_output(self, task: str, output: str) -> Value:
        return self.outputs.get(task, {}).get(output)

    def get_final_status(self, task: str) -> Json:
        return None

    def describe_end(self, task: str) -> str:
        return "is not known"

    def collect_outputs(self, dag: Dag) -> dict[str, Value]:
        """Return the outputs of the DAG: of each, the first of its sources that is known."""
        outputs: dict[str, Value] = {}
        for name, sources in dag.outputs.items():
            values = [self.outputs.get(source.task, {}).get(source.output) for source in sources]
            known = [value for value in values if value is not None]
            if known:
                outputs[name] = known[0]
        return outputs


def fit_arguments(plan: Plan, arguments: Mapping[str, Json]) -> dict[str, Value]:
    """Return the inputs of a run, with defaults; its arguments as they are, where they do not fit the Plan."""
    try:
        return fit_inputs(arguments, plan.root.inputs, str)
    except InputError:
        return dict(arguments)


def find_inputs(node: Node, component: Component, record: Record, scope: KnownValues) -> dict[str, Value]:
    """Return the inputs of a task that are known: those that the cluster tells, or that follow from the Plan."""
    derived: dict[str, Value] = {}
    for name, binding in node.inputs.items():
        if record.parameters is not None and component.input_table(name) == PARAMETERS:
            continue  # the cluster tells all of them
        declared = {name: component.inputs[name]} if name in component.inputs else {}
        try:
            derived.update(resolve_inputs({name: binding}, declared, scope, str))
        except InputError:
            continue  # it is not known
    return {name: value for name, value in {**derived, **read_inputs(component, record)}.items() if value is not None}


def read_inputs(component: Component, record: Record) -> dict[str, Value]:
    """Return the inputs of a task that the cluster tells."""
    values: dict[str, Value] = {}
    for name, value in (record.parameters or {}).items():
        declared = component.inputs.get(name)
        is_parameter = declared is not None and not isinstance(declared, ArtifactInput)
        values[name] = _fit(value, declared.type) if declared and is_parameter else value  # type: ignore[arg-type]
    for name, artifacts in (record.artifacts or {}).items():
        declared = component.inputs.get(name)
        if isinstance(declared, ArtifactInput) and artifacts:
            values[name] = _to_artifacts(artifacts, declared)
    return values


def read_outputs(component: Component, record: Record) -> dict[str, Value]:
    """Return the outputs of a task that the cluster tells."""
    parameters, artifacts = record.outputs or {}, record.output_artifacts or {}
    values: dict[str, Value] = {}
    for name, declared in component.outputs.items():
        if isinstance(declared, ParameterOutput) and name in parameters:
            values[name] = _fit(parameters[name], declared.type)
        elif isinstance(declared, ArtifactOutput) and artifacts.get(name):
            values[name] = _to_artifacts(artifacts[name], declared)
    return values


def collect(values: Iterable[Value], output: Output) -> Value:
    """Return the value of an output of a loop: those of its iterations, in order; as `engine.loops` collects them."""
    if not isinstance(output, ArtifactOutput):
        return Collected(values)
    artifacts: list[ArtifactValue] = []
    for value in values:
        artifacts += value if isinstance(value, list) else [value]
    return artifacts


def _fit(value: Json, to: ParameterType) -> Json:
    """Return a parameter in its declared type; as it is where it has another one."""
    try:
        return None if value is None else coerce(value, to)
    except ValueMismatch:
        return value


def _to_artifacts(stored: Sequence[StoredArtifact], declared: ArtifactInput | ArtifactOutput) -> Value:
    artifacts = [_to_artifact(each, declared.type) for each in stored]
    return artifacts if declared.is_list else artifacts[0]


def _to_artifact(stored: StoredArtifact, declared: ArtifactType) -> ArtifactValue:
    title = stored.type if stored.type.startswith("system.") else declared.schema_title
    return ArtifactValue(
        stored.name or str(stored.id), ArtifactType(title, declared.schema_version), stored.uri, dict(stored.metadata)
    )
