"""The end of DAGs and loops: outputs and failures."""

from __future__ import annotations

from standpipe.engine.tasks import CompositeTask, DagTask, Task
from standpipe.errors import StandpipeError
from standpipe.model.cluster_differences import SP103, SP115, decides
from standpipe.model.events import Failure
from standpipe.model.plan import FromTask
from standpipe.model.states import TaskState
from standpipe.model.values import Value


class OutputMissing(StandpipeError):
    """A DAG has ended without a required output. The message names the output and says why."""


@decides(SP115)
def collect_dag_outputs(dag: DagTask) -> dict[str, Value]:
    """Return the outputs of a DAG of which no task failed.

    An output whose only source was skipped is left out; in the root, that is an error unless the source has a condition
    itself. Of several sources (`dsl.OneOf`) one must have run.

    Raises:
        OutputMissing: if a required output has no value.
    """
    outputs: dict[str, Value] = {}
    for name, sources in dag.dag.outputs.items():
        for source in sources:
            produced = dag.children[source.task].outputs
            if source.output in produced:
                outputs[name] = produced[source.output]
                break
        else:
            _require_absence(dag, name, sources)
    return outputs


def _require_absence(dag: DagTask, name: str, sources: tuple[FromTask, ...]) -> None:
    """Raise OutputMissing if an output that no source has produced is required."""
    if len(sources) > 1:
        raise OutputMissing(f"no branch produced its output {name!r}: {_describe_ends(dag, sources)}")
    if dag.position is None and not dag.dag.nodes[sources[0].task].trigger.condition:
        raise OutputMissing(
            f"its output {name!r} has no value: it comes from output {sources[0].output!r} of "
            f"{_describe_ends(dag, sources)}"
        )


@decides(SP103)
def find_failure(whole: CompositeTask) -> Failure | None:
    """Return the failure of a DAG or loop: that of its first part that failed, in the order of the Plan."""
    part = next((part for part in whole.parts if part.state is TaskState.FAILED), None)
    failure = part.failure if part else None
    if part is None or failure is None or failure.cause_task:
        return failure
    return Failure(f"its task '{part.ref}' {failure.predicate}", failure.detail, cause_task=part.ref)


def describe_end(task: Task) -> str:
    """Return how a task ended without the output that another task requires, as a verb phrase."""
    if task.state is TaskState.SUCCEEDED:
        return "produced none"
    return "failed" if task.state is TaskState.FAILED else f"was {task.state.value.lower()}"


def _describe_ends(dag: DagTask, sources: tuple[FromTask, ...]) -> str:
    return " and ".join(f"task {source.task!r}, which {describe_end(dag.children[source.task])}" for source in sources)
