"""The parts of a graph: tasks and artifacts as nodes, dependencies as edges."""

from __future__ import annotations

from typing import Any

from standpipe.model.frozen import frozen
from standpipe.ui.views.layers import Crumb
from standpipe.ui.views.states import LABELS, PENDING, StateCount

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


@frozen
class GraphNode:
    """A task or an artifact.

    `kind` is that of `Member.kind`, or `artifact`. `task` is the path of the task to select, of an artifact the one
    that produced it. `output` is the name of the output that an artifact is, empty if it is from outside of the layer.
    `layer` is the path of the layer that it opens, empty if it opens none. `detail` is one line about it, `condition`
    when it runs. `after` are the names of the nodes that it depends on. `started` is when its running attempt started,
    in seconds since the epoch; 0 if none is running.
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
    started: float = 0.0

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


@frozen
class GraphEdge:
    """A dependency. `kind` is `artifact`, `parameter` or `after`; `label` says what is passed."""

    source: str
    target: str
    kind: str
    label: str = ""


@frozen
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
