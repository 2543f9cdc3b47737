"""The graph of a run as pictures that need no JavaScript: one for the pipeline, and one for each layer in it."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.history import Run, Status
from standpipe.model.frozen import frozen, replace
from standpipe.model.plan import Plan
from standpipe.ui.views.charts import shorten
from standpipe.ui.views.graph import Graph, GraphEdge, GraphNode, draw_graph
from standpipe.ui.views.graph_layout import Box, place
from standpipe.ui.views.layers import Layer, find_layer
from standpipe.ui.views.plan_layers import describe_start, walk_layers

#: The most layers that are drawn.
MAX_LAYERS = 20

#: The sizes of nodes in pixels, and the width of a character in them.
_TASK_HEIGHT, _ARTIFACT_HEIGHT = 46.0, 28.0
_SMALLEST, _LARGEST = 110.0, 300.0
_CHARACTER, _SMALL_CHARACTER = 7.6, 6.6


@frozen
class PlacedNode:
    """A node in a picture. `title` and `detail` are as long as its box has space for."""

    node: GraphNode
    box: Box
    title: str
    detail: str


@frozen
class PlacedEdge:
    """An edge in a picture; `path` is that of SVG."""

    edge: GraphEdge
    path: str


@frozen
class GraphPicture:
    """The picture of a layer. `name` joins the names of the layers around it and its own."""

    name: str
    width: float
    height: float
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]

    @property
    def summary(self) -> str:
        """What screen readers say of it."""
        return f"Graph of {self.name}: " + "; ".join(node.node.summary for node in self.nodes)


def draw_layers(run: Run, plan: Plan | None) -> Iterator[GraphPicture]:
    """Yield the pictures of a run, that of the pipeline first. Of a loop, the first iteration that failed is drawn.

    Args:
        run: the run.
        plan: its Plan; None if it was recorded without one.
    """
    first = find_layer(run, plan)
    pending = [first] if first else []
    drawn = 0
    while pending and drawn < MAX_LAYERS:
        layer = pending.pop(0)
        graph = draw_graph(layer)
        if graph and graph.nodes:
            drawn += 1
            yield _picture(graph)
        pending += _inner(layer)


def draw_plan(plan: Plan) -> Iterator[GraphPicture | str]:
    """Yield the pictures of a Plan that nobody has run, that of the pipeline first.

    In place of a layer that has too many nodes for a picture there is its name.
    """
    for layer in walk_layers(plan):
        graph = draw_graph(layer)
        if graph is None:
            yield " / ".join(crumb.name for crumb in layer.crumbs)
        elif graph.nodes:
            yield _picture(replace(graph, nodes=tuple(_with_start(layer, node) for node in graph.nodes)))


def _with_start(layer: Layer, node: GraphNode) -> GraphNode:
    """Return a node with its condition and its loop in place of the progress, which it does not have."""
    member = layer.members.get(node.id.removeprefix("task:"))
    if node.is_artifact or member is None:
        return node
    notes = [note for note in describe_start(layer, member) if not note.startswith("after ")]
    return replace(node, detail="; ".join(notes))


def _inner(layer: Layer) -> Iterator[Layer]:
    """Yield the layers in a layer that the run has reached."""
    if layer.is_loop:
        reached = sorted(layer.iterations.items())
        failed = [number for number, task in reached if task.status is Status.FAILED]
        numbers = failed or [number for number, _ in reached]
        members = [layer.iteration(number) for number in numbers[:1]]
    else:
        members = list(layer.members.values())
    yield from (layer.open(member) for member in members if member.is_group and member.children)


def _picture(graph: Graph) -> GraphPicture:
    sizes = {node.id: (_width(node), _ARTIFACT_HEIGHT if node.is_artifact else _TASK_HEIGHT) for node in graph.nodes}
    placement = place(sizes, [(edge.source, edge.target) for edge in graph.edges])
    return GraphPicture(
        " / ".join(crumb.name for crumb in graph.crumbs),
        placement.width,
        placement.height,
        tuple(_place_node(node, placement.boxes[node.id]) for node in graph.nodes),
        tuple(
            PlacedEdge(edge, path)
            for edge in graph.edges
            if (path := placement.paths.get((edge.source, edge.target), ""))
        ),
    )


def _width(node: GraphNode) -> float:
    if node.is_artifact:
        return min(max(40 + len(node.name) * _CHARACTER, _SMALLEST), _LARGEST)
    longest = max(len(node.name) * _CHARACTER, len(_detail(node)) * _SMALL_CHARACTER)
    return min(max(46 + longest, _SMALLEST), _LARGEST)


def _detail(node: GraphNode) -> str:
    kind = "" if node.kind == "execution" else node.kind_label
    return ", ".join(part for part in (kind, node.detail) if part)


def _place_node(node: GraphNode, box: Box) -> PlacedNode:
    space = box.width - (34 if node.is_artifact else 42)
    return PlacedNode(
        node, box, shorten(node.name, int(space / _CHARACTER)), shorten(_detail(node), int(space / _SMALL_CHARACTER))
    )
