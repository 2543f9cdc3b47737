"""The graph of a layer: its tasks, the artifacts between them, and what depends on what.

As in KFP's own pages, an artifact is a node between the task that produces it and those that consume it, and a nested
pipeline, condition, loop or exit handler is one node, which counts the states of its tasks. The edges come from the
Plan; those of a run without a Plan come from the lineage of its artifacts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from standpipe.history import Status, Task
from standpipe.model.plan import TriggerStrategy
from standpipe.support.durations import format_duration
from standpipe.ui.views.conditions import describe_condition
from standpipe.ui.views.graph_edges import connect
from standpipe.ui.views.graph_parts import Graph, GraphEdge, GraphNode
from standpipe.ui.views.layers import Layer, Member
from standpipe.ui.views.states import CACHED, LABELS, StateCount

__all__ = ["MAX_NODES", "Graph", "GraphEdge", "GraphNode", "describe_counts", "draw_graph", "list_counts"]

#: The most nodes that are drawn; a larger layer is a table. Its layout takes most of a second.
MAX_NODES = 300

#: States of tasks that have ended, for what is counted of a group.
_ENDED = {Status.SUCCEEDED.value, Status.FAILED.value, Status.CANCELLED.value, Status.SKIPPED.value, CACHED}


def draw_graph(layer: Layer) -> Graph | None:
    """Return the graph of a layer; None if it is a loop or has too many nodes, so that it is shown as a table.

    Args:
        layer: the layer.
    """
    if layer.is_loop or len(layer.members) > MAX_NODES:
        return None
    artifacts, edges = connect(layer)
    names = {f"task:{name}": member.title for name, member in layer.members.items()}
    names.update({artifact.id: artifact.name for artifact in artifacts})
    after: dict[str, list[str]] = {}
    for edge in edges:
        after.setdefault(edge.target, []).append(names[edge.source])
    tasks = [_task_node(layer, member, after.get(f"task:{name}", ())) for name, member in layer.members.items()]
    nodes = (*tasks, *artifacts)
    if len(nodes) > MAX_NODES:
        return None
    return Graph(layer.path, layer.crumbs, nodes, tuple(edges), has_plan=layer.dag is not None)


def describe_counts(counts: Counter[str]) -> str:
    """Return what is known of the tasks in a group: `12/40, 1 failed`; empty if there are none."""
    if not counts.total():
        return ""
    failed = counts[Status.FAILED.value]
    return f"{sum(counts[state] for state in _ENDED)}/{counts.total()}" + (f", {failed} failed" if failed else "")


def list_counts(counts: Counter[str]) -> tuple[StateCount, ...]:
    """Return the counts of states in the order of `LABELS`, without those that are zero."""
    return tuple(StateCount(state, label, counts[state]) for state, label in LABELS.items() if counts[state])


# --- nodes ------------------------------------------------------------------------------------------------------------


def _task_node(layer: Layer, member: Member, after: Sequence[str]) -> GraphNode:
    counts = layer.open(member).count_states() if member.is_group and _has_started(member) else Counter[str]()
    return GraphNode(
        id=f"task:{member.name}",
        kind=member.kind,
        name=member.title,
        state=member.state,
        task=member.path,
        layer=member.path if member.is_group else "",
        detail=", ".join(filter(None, [describe_counts(counts), _describe_progress(member.task)])),
        condition=_describe_start(layer, member),
        counts=list_counts(counts),
        after=tuple(dict.fromkeys(after)),
        started=_start_of_attempt(member.task),
    )


def _start_of_attempt(task: Task | None) -> float:
    is_running = task is not None and task.attempts and task.attempts[-1].status is Status.RUNNING
    return task.attempts[-1].started.timestamp() if task and is_running else 0.0


def _has_started(member: Member) -> bool:
    """Return whether the tasks in a group say more than its own state."""
    return member.state not in (Status.SKIPPED.value, Status.CANCELLED.value) or bool(member.children)


def _describe_progress(task: Task | None) -> str:
    """Return the duration of a task and its retries: `3.2 s, attempt 2`."""
    if task is None or task.cached_from or task.status is Status.SKIPPED:
        return ""
    duration = [] if task.duration is None else [format_duration(task.duration)]
    attempts = [f"attempt {task.attempts[-1].number}"] if len(task.attempts) > 1 else []
    return ", ".join([*duration, *attempts])


def _describe_start(layer: Layer, member: Member) -> str:
    """Return the condition of a task, or that it runs also after failures; empty for other tasks."""
    if member.node is None:
        return ""
    condition = describe_condition(member.node, layer.dag.nodes.values() if layer.dag else ())
    runs_always = member.node.trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
    return condition or ("after success or failure" if runs_always else "")
