"""The tasks of a run as a cluster tells them: from ML Metadata, or else from the names in the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from standpipe.kfp_cluster.api import parse_time
from standpipe.kfp_cluster.metadata import Execution, StoredArtifact
from standpipe.model.plan import Dag, Plan
from standpipe.model.refs import ROOT, TaskRef
from standpipe.model.states import TaskState
from standpipe.model.types import Json

#: What the states of executions mean here. CANCELED is not triggered: the condition of the task is false.
_OF_EXECUTIONS = {
    "COMPLETE": TaskState.SUCCEEDED,
    "CACHED": TaskState.SUCCEEDED,
    "FAILED": TaskState.FAILED,
    "CANCELED": TaskState.SKIPPED,
}

#: What the states of tasks in the API mean, which are those of nodes of Argo.
_OF_TASKS = {
    "PENDING": TaskState.PENDING,
    "RUNNING": TaskState.RUNNING,
    "CANCELING": TaskState.RUNNING,
    "PAUSED": TaskState.RUNNING,
    "SUCCEEDED": TaskState.SUCCEEDED,
    "SKIPPED": TaskState.SKIPPED,
    "FAILED": TaskState.FAILED,
    "CANCELED": TaskState.CANCELLED,
}


@dataclass
class Record:
    """A task as the cluster tells it.

    `parameters` and `artifacts` are inputs, None if the cluster does not tell them; the same for outputs. `start` and
    `end` are seconds since the epoch, 0 if they are not known. `pod` is the name of its pod, after its namespace and a
    slash. `log` is what it has printed, empty if that is not known. `parts` are the tasks of a DAG by name,
    `iterations` those of a loop by number.
    """

    state: TaskState
    start: float = 0.0
    end: float = 0.0
    parameters: Mapping[str, Json] | None = None
    artifacts: Mapping[str, Sequence[StoredArtifact]] | None = None
    outputs: Mapping[str, Json] | None = None
    output_artifacts: Mapping[str, Sequence[StoredArtifact]] | None = None
    is_cached: bool = False
    pod: str = ""
    log: str = ""
    iteration_count: int | None = None
    parts: dict[str, Record] = field(default_factory=dict)
    iterations: dict[int, Record] = field(default_factory=dict)


def from_executions(executions: Iterable[Execution]) -> Record:
    """Return the root of a run: the execution without a parent, with all others below it.

    Of several executions of one task, as after a retry of the run, the newest counts.
    """
    root = Record(TaskState.RUNNING)
    by_id = {each.id: _from_execution(each) for each in sorted(executions, key=lambda each: each.id)}
    for each in sorted(executions, key=lambda each: each.id):
        record, parent = by_id[each.id], each.number("parent_dag_id")
        iteration, name = each.number("iteration_index"), each.text("task_name")
        if not parent:
            root = record
        elif parent in by_id and iteration is not None:
            by_id[parent].iterations[iteration] = record
        elif parent in by_id and name:
            by_id[parent].parts[name] = record
    return root


def from_task_details(details: Sequence[Mapping[str, Any]], plan: Plan) -> Record:
    """Return the root of a run by the names of its tasks. The API tells neither values nor which task is in which.

    Tasks of loops, and those whose name several pipelines of the run use, cannot be told apart and are left out.
    """
    by_name: dict[str, Mapping[str, Any]] = {}
    for detail in sorted(details, key=lambda detail: str(detail.get("create_time") or "")):
        by_name[str(detail.get("display_name") or "")] = detail
    uses = Counter(name for dag in _walk_dags(plan) for name in dag.nodes)
    root = Record(TaskState.RUNNING)
    assert isinstance(plan.root.body, Dag), "a pipeline is a DAG"
    _add_named(root, plan.root.body, plan, by_name, {name for name, count in uses.items() if count == 1})
    return root


def walk_tasks(root: Record) -> Iterator[tuple[TaskRef, Record]]:
    """Yield the tasks of a run, each before its parts and iterations, and the run itself first."""
    tasks = [(ROOT, root)]
    for ref, record in tasks:  # grows
        yield ref, record
        tasks += [(ref.child(name), part) for name, part in record.parts.items()]
        tasks += [(ref.parent.child(ref.name, number), part) for number, part in record.iterations.items()]


def _from_execution(execution: Execution) -> Record:
    state = _OF_EXECUTIONS.get(execution.state, TaskState.RUNNING)
    pod = "/".join(filter(None, [execution.text("namespace"), execution.text("pod_name")]))
    return Record(
        state,
        execution.created,
        execution.updated if execution.state in _OF_EXECUTIONS else 0.0,
        execution.values("inputs") if "inputs" in execution.properties else None,
        execution.inputs,
        execution.values("outputs"),
        execution.outputs,
        is_cached=execution.state == "CACHED",
        pod=pod,
        iteration_count=execution.number("iteration_count"),
    )


def _walk_dags(plan: Plan) -> Iterator[Dag]:
    for component in (plan.root, *plan.components.values()):
        if isinstance(component.body, Dag):
            yield component.body


def _add_named(group: Record, dag: Dag, plan: Plan, by_name: Mapping[str, Mapping[str, Any]], unique: set[str]) -> None:
    for name, node in dag.nodes.items():
        detail = by_name.get(name) or by_name.get(f"{name}-driver")
        if detail is None or name not in unique:
            continue
        record = _from_detail(detail)
        if name not in by_name and record.state is TaskState.SUCCEEDED:
            record.state = TaskState.PENDING  # only its driver has run
        group.parts[name] = record
        body = plan.components[node.component].body
        if isinstance(body, Dag) and not node.loop:
            _add_named(record, body, plan, by_name, unique)


def _from_detail(detail: Mapping[str, Any]) -> Record:
    state = _OF_TASKS.get(str(detail.get("state")), TaskState.PENDING)
    end = parse_time(detail.get("end_time")) if state.is_final else 0.0
    return Record(state, parse_time(detail.get("start_time")), end)
