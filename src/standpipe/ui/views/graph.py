"""The graph of a layer: its tasks, the artifacts between them, and what depends on what.

As in KFP's own pages, an artifact is a node between the task that produces it and those that consume it, and a nested
pipeline, condition, loop or exit handler is one node, which counts the states of its tasks. The edges come from the
Plan; those of a run without a Plan come from the lineage of its artifacts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.history import Artifact, Status, Task
from standpipe.model.plan import FinalStatus, FromInput, FromTask, TriggerStrategy
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType
from standpipe.support.durations import format_duration
from standpipe.ui.views.conditions import describe_condition, readable_name
from standpipe.ui.views.layers import Crumb, Layer, Member
from standpipe.ui.views.states import CACHED, LABELS, PENDING, StateCount

#: The most nodes that are drawn; a larger layer is a table. Its layout takes most of a second.
MAX_NODES = 300

#: What nodes are, for people.
_KINDS = {
    "artifact": "Artifact",
    "execution": "Task",
    "importer": "Importer",
    "pipeline": "Pipeline",
    "condition": "Condition",
    "exit-handler": "Exit handler",
    "loop": "Loop",
}

#: States of tasks that have ended, for what is counted of a group.
_ENDED = {Status.SUCCEEDED.value, Status.FAILED.value, Status.CANCELLED.value, Status.SKIPPED.value, CACHED}


@dataclass(frozen=True)
class GraphNode:
    """A task or an artifact.

    `kind` is that of `Member.kind`, or `artifact`. `task` is the path of the task to select, empty for an artifact from
    outside of the layer; `output` is the name of the output that an artifact is. `layer` is the path of the layer that
    it opens, empty if it opens none. `detail` is one line about it, `condition` when it runs. `after` are the names of
    the nodes that it depends on.
    """

    id: str
    kind: str
    name: str
    state: str
    task: str = ""
    output: str = ""
    layer: str = ""
    detail: str = ""
    condition: str = ""
    counts: tuple[StateCount, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def is_artifact(self) -> bool:
        """Whether it is an artifact."""
        return self.kind == "artifact"

    @property
    def kind_label(self) -> str:
        """What it is, for people."""
        return _KINDS[self.kind]

    @property
    def summary(self) -> str:
        """What a graph shows by its shape, for screen readers: its kind, its state, and what it depends on."""
        state = LABELS[self.state] if not self.is_artifact or self.state == PENDING else ""
        after = f"after {', '.join(self.after)}" if self.after else ""
        return ", ".join(filter(None, [self.kind_label, state, after]))


@dataclass(frozen=True)
class GraphEdge:
    """A dependency. `kind` is `artifact`, `parameter` or `after`; `label` says what is passed."""

    source: str
    target: str
    kind: str
    label: str = ""


@dataclass(frozen=True)
class Graph:
    """The graph of a layer. `crumbs` are the layers around it, then itself."""

    layer: str
    crumbs: tuple[Crumb, ...]
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    has_plan: bool

    @property
    def tasks(self) -> tuple[GraphNode, ...]:
        """The nodes that are tasks."""
        return tuple(node for node in self.nodes if not node.is_artifact)

    @property
    def document(self) -> dict[str, Any]:
        """What `graph.js` draws, as JSON."""
        nodes = [{**vars(node), "counts": [vars(count) for count in node.counts]} for node in self.nodes]
        for node, described in zip(self.nodes, nodes, strict=True):
            described.update(summary=node.summary, kindLabel=node.kind_label)
        return {"layer": self.layer, "nodes": nodes, "edges": [vars(edge) for edge in self.edges]}


def draw_graph(layer: Layer) -> Graph | None:
    """Return the graph of a layer; None if it is a loop or has too many nodes, so that it is shown as a table.

    Args:
        layer: the layer.
    """
    if layer.is_loop or len(layer.members) > MAX_NODES:
        return None
    artifacts, edges = _planned(layer) if layer.dag else _recorded(layer)
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
    )


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


def _output_node(member: Member, output: str, type: str, value: object) -> GraphNode:
    artifacts = _artifacts_in(value)
    count = f", {len(artifacts)} artifacts" if isinstance(value, list) else ""
    return GraphNode(
        id=f"output:{member.name}/{output}",
        kind="artifact",
        name=readable_name(output),
        state=Status.SUCCEEDED.value if artifacts else PENDING,
        task=member.path,
        output=output,
        detail=f"{type}{count}",
        after=(member.title,),
    )


def _artifacts_in(value: object) -> list[Artifact]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Artifact)]


# --- edges of a Plan --------------------------------------------------------------------------------------------------


def _planned(layer: Layer) -> tuple[list[GraphNode], list[GraphEdge]]:
    """Return the artifacts of a layer and all its edges, as the Plan has them."""
    outputs = [node for member in layer.members.values() for node in _planned_outputs(member)]
    produced = {node.id for node in outputs}
    edges = [GraphEdge(f"task:{member.name}", node.id, "artifact") for member, node in _with_producers(layer, outputs)]
    inputs: dict[str, GraphNode] = {}
    for member in layer.members.values():
        dependencies = _dependencies(layer, member, produced, inputs)
        edges += [*_merge(dependencies), *_plain_order(layer, member)]
    return [*inputs.values(), *outputs], edges


def _with_producers(layer: Layer, outputs: Iterable[GraphNode]) -> Iterator[tuple[Member, GraphNode]]:
    members = {member.path: member for member in layer.members.values()}
    return ((members[node.task], node) for node in outputs)


def _planned_outputs(member: Member) -> Iterator[GraphNode]:
    recorded = member.task.outputs if member.task else {}
    for name, output in member.component.outputs.items() if member.component else ():
        if isinstance(output, ArtifactOutput):
            yield _output_node(member, name, output.type.label, recorded.get(name))


def _dependencies(
    layer: Layer, member: Member, produced: set[str], inputs: dict[str, GraphNode]
) -> Iterator[GraphEdge]:
    """Yield an edge for each input of a task; artifacts from outside of the layer are added to `inputs`."""
    target = f"task:{member.name}"
    for name, binding in member.node.inputs.items() if member.node else ():
        if isinstance(binding, FromInput):
            node = _input_node(layer, binding.input)
            if node:
                inputs[node.id] = node
                yield GraphEdge(node.id, target, "artifact", readable_name(name))
        elif isinstance(binding, FromTask):
            artifact = f"output:{binding.task}/{binding.output}"
            if artifact in produced:
                yield GraphEdge(artifact, target, "artifact", readable_name(name))
            else:
                yield GraphEdge(f"task:{binding.task}", target, "parameter", readable_name(binding.output))
        elif isinstance(binding, FinalStatus):
            yield GraphEdge(f"task:{binding.task}", target, "after", "final status")


def _input_node(layer: Layer, name: str) -> GraphNode | None:
    """Return the node of an artifact that comes from outside of a layer; None for a parameter."""
    component = layer.member.component
    declared = component.inputs.get(name) if component else None
    if not isinstance(declared, ArtifactInput):
        return None
    has_value = layer.member.task is not None and bool(_artifacts_in(layer.member.task.inputs.get(name)))
    state = Status.SUCCEEDED.value if has_value else PENDING
    return GraphNode(f"input:{name}", "artifact", readable_name(name), state, detail=f"{declared.type.label}, an input")


def _merge(edges: Iterable[GraphEdge]) -> Iterator[GraphEdge]:
    """Yield one edge for all of the same kind between two nodes, with all their labels."""
    labels: dict[tuple[str, str, str], dict[str, None]] = {}
    for edge in edges:
        labels.setdefault((edge.source, edge.target, edge.kind), {})[edge.label] = None
    return (GraphEdge(*ends, ", ".join(names)) for ends, names in labels.items())


def _plain_order(layer: Layer, member: Member) -> Iterator[GraphEdge]:
    """Yield the edges to upstream tasks of which a task has no input."""
    if member.node:
        producers = set(member.node.producers)
        for name in member.node.after:
            if name in layer.members and name not in producers:
                yield GraphEdge(f"task:{name}", f"task:{member.name}", "after")


# --- edges of the lineage ---------------------------------------------------------------------------------------------


def _recorded(layer: Layer) -> tuple[list[GraphNode], list[GraphEdge]]:
    """Return the artifacts that tasks of a layer produced, and the edges to and from them."""
    nodes: list[GraphNode] = []
    edges: list[GraphEdge] = []
    for member in layer.members.values():
        for name, value in member.task.outputs.items() if member.task else ():
            artifacts = _artifacts_in(value)
            if artifacts:
                nodes.append(_output_node(member, name, ArtifactType(artifacts[0].type).label, value))
                edges += _recorded_edges(layer, member, nodes[-1].id, artifacts)
    return nodes, edges


def _recorded_edges(layer: Layer, member: Member, artifact: str, artifacts: Sequence[Artifact]) -> Iterator[GraphEdge]:
    yield GraphEdge(f"task:{member.name}", artifact, "artifact")
    consumers = {consumer for each in artifacts for consumer in each.consumers}
    for other in layer.members.values():
        if other is not member and any(
            consumer == other.path or consumer.startswith(f"{other.path}/") for consumer in consumers
        ):
            yield GraphEdge(artifact, f"task:{other.name}", "artifact")
