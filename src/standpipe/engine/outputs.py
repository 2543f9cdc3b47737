"""How DAGs end: their outputs, and why they failed."""

from __future__ import annotations

from standpipe.engine.tasks import Task
from standpipe.errors import StandpipeError
from standpipe.model.events import Failure
from standpipe.model.plan import FromTask
from standpipe.model.states import TaskState
from standpipe.model.values import Value


class OutputMissing(StandpipeError):
    """A DAG has come to its end without an output that it owes; the message says which and why."""


def dag_outputs(dag: Task) -> dict[str, Value]:
    """The outputs of a DAG none of whose tasks failed.

    An output whose only source was skipped is absent, which only the run itself may not leave so. Of several sources
    (`dsl.OneOf`) one must have run.

    Raises:
        OutputMissing: if an output has no value, and must.
    """
    assert dag.dag
    outputs: dict[str, Value] = {}
    for name, sources in dag.dag.outputs.items():
        source = next((source for source in sources if source.output in dag.children[source.task].outputs), None)
        if source:
            outputs[name] = dag.children[source.task].outputs[source.output]
        elif len(sources) > 1:
            raise OutputMissing(f"none of the branches gave its output {name!r}: {_all_ended(dag, sources)}")
        elif not dag.parent:
            raise OutputMissing(
                f"its output {name!r} has no value: it comes from output {sources[0].output!r} of "
                f"{_all_ended(dag, sources)}"
            )
    return outputs


def first_failure(whole: Task) -> Failure:
    """Why a DAG or loop failed: because of the first of its parts that did, in the order of the Plan."""
    part = next(part for part in whole.parts if part.state is TaskState.FAILED)
    failure = part.failure
    assert failure
    if failure.within:
        return failure
    return Failure(f"its task '{part.ref}' {failure.predicate}", failure.detail, within=part.ref)


def how_ended(task: Task) -> str:
    """How a task ended that is in the way of others, as a verb phrase."""
    if task.state is TaskState.SUCCEEDED:
        return "gave none"
    return "failed" if task.state is TaskState.FAILED else f"was {task.state.value.lower()}"


def _all_ended(dag: Task, sources: tuple[FromTask, ...]) -> str:
    return " and ".join(f"task {source.task!r}, which {how_ended(dag.children[source.task])}" for source in sources)
