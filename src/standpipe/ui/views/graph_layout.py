"""Where the nodes and edges of a small graph are in a picture, for what has no JavaScript to lay it out: reports.

The nodes are in layers, from top to bottom: each is below all that it depends on. An edge that passes layers has a
point in each of them. The points of a layer are ordered by those that they are connected to in the layers beside it, in
a few passes up and down, and then moved towards them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median

from standpipe.model.frozen import frozen

#: Distances in pixels.
_GAP_X = 24.0
_GAP_Y = 44.0
_MARGIN = 12.0

#: How often the layers are ordered, and their points moved.
_PASSES = 8

#: The width of a point of an edge that passes a layer.
_PASSING = 10.0

#: A point in a layer: the id of a node, or an edge and the number of the layer that it passes.
_Point = Hashable


@frozen
class Box:
    """The place of a node."""

    x: float
    y: float
    width: float
    height: float


@frozen
class Placement:
    """A picture: its size, the boxes of the nodes by id, and the paths of the edges, as SVG has them."""

    width: float
    height: float
    boxes: Mapping[str, Box]
    paths: Mapping[tuple[str, str], str]


def place(sizes: Mapping[str, tuple[float, float]], edges: Iterable[tuple[str, str]]) -> Placement:
    """Return where the nodes and edges are.

    Args:
        sizes: the width and height of each node, by its id.
        edges: the ids of the nodes that depend on each other, the earlier one first. There are no circles.
    """
    pairs = [(source, target) for source, target in dict.fromkeys(edges) if source in sizes and target in sizes]
    ranks = _rank(sizes, pairs)
    layers, links = _layers(ranks, pairs)
    widths = {point: sizes[point][0] if point in sizes else _PASSING for layer in layers for point in layer}  # type: ignore[index]
    _order(layers, links)
    centers = _move(layers, links, widths)
    tops, heights = _rows(layers, sizes)
    boxes = {
        node: Box(centers[node] - width / 2, tops[ranks[node]] + (heights[ranks[node]] - height) / 2, width, height)
        for node, (width, height) in sizes.items()
    }
    paths = {pair: _path(pair, ranks, boxes, centers, tops, heights) for pair in pairs}
    right = max((centers[point] + widths[point] / 2 for layer in layers for point in layer), default=0.0)
    bottom = tops[-1] + heights[-1] if tops else 0.0
    return Placement(right + _MARGIN, bottom + _MARGIN, boxes, paths)


def _rank(nodes: Iterable[str], pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the number of each node's layer: one more than the highest of those that it depends on."""
    ranks = dict.fromkeys(nodes, 0)
    for _ in ranks:  # as many passes as there are layers; no more than nodes, whatever the edges are
        changed = False
        for source, target in pairs:
            if ranks[target] <= ranks[source] < len(ranks):
                ranks[target], changed = ranks[source] + 1, True
        if not changed:
            break
    return ranks


def _layers(
    ranks: Mapping[str, int], pairs: Sequence[tuple[str, str]]
) -> tuple[list[list[_Point]], list[tuple[_Point, _Point]]]:
    """Return the points of each layer, and the links between points of one layer and the next."""
    layers: list[list[_Point]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for node, rank in ranks.items():
        layers[rank].append(node)
    links: list[tuple[_Point, _Point]] = []
    for pair in pairs:
        chain: list[_Point] = [pair[0]]
        for rank in range(ranks[pair[0]] + 1, ranks[pair[1]]):
            layers[rank].append((pair, rank))
            chain.append((pair, rank))
        chain.append(pair[1])
        links += pairwise(chain)
    return layers, links


def _order(layers: list[list[_Point]], links: Sequence[tuple[_Point, _Point]]) -> None:
    """Order the points of each layer by the mean position of those that they are linked to."""
    above, below = _neighbours(links)
    for number in range(_PASSES):
        is_down = number % 2 == 0
        linked = above if is_down else below
        positions = {point: index / len(layer) for layer in layers for index, point in enumerate(layer)}
        for layer in layers if is_down else reversed(layers):
            keys = {
                point: sum(positions[other] for other in linked[point]) / len(linked[point])
                if linked.get(point)
                else positions[point]
                for point in layer
            }
            layer.sort(key=keys.__getitem__)
            positions.update((point, index / len(layer)) for index, point in enumerate(layer))


def _neighbours(
    links: Sequence[tuple[_Point, _Point]],
) -> tuple[dict[_Point, list[_Point]], dict[_Point, list[_Point]]]:
    above: dict[_Point, list[_Point]] = {}
    below: dict[_Point, list[_Point]] = {}
    for upper, lower in links:
        above.setdefault(lower, []).append(upper)
        below.setdefault(upper, []).append(lower)
    return above, below


def _move(
    layers: Sequence[Sequence[_Point]], links: Sequence[tuple[_Point, _Point]], widths: Mapping[_Point, float]
) -> dict[_Point, float]:
    """Return the horizontal centre of each point: as near to the middle of those that it is linked to as fits."""
    above, below = _neighbours(links)
    centers: dict[_Point, float] = {}
    for layer in layers:
        centers.update(_spread(layer, dict.fromkeys(layer, 0.0), widths))
    for number in range(_PASSES):
        for layer in layers if number % 2 == 0 else reversed(layers):
            both = {point: [*above.get(point, ()), *below.get(point, ())] for point in layer}
            wishes = {
                point: median(centers[other] for other in others) if others else centers[point]
                for point, others in both.items()
            }
            centers.update(_spread(layer, wishes, widths))
    left = min((center - widths[point] / 2 for point, center in centers.items()), default=0.0)
    return {point: center - left + _MARGIN for point, center in centers.items()}


def _spread(
    layer: Sequence[_Point], wishes: Mapping[_Point, float], widths: Mapping[_Point, float]
) -> dict[_Point, float]:
    """Return the centres of the points of a layer that are nearest to what they wish without overlapping.

    Points that would overlap become a block, whose place is the mean of what its points wish.
    """
    blocks: list[tuple[list[_Point], float, float]] = []  # points, the sum of the wishes for the first one, its place
    offsets: dict[_Point, float] = {}
    for point in layer:
        points, total = [point], wishes[point]
        offsets[point] = 0.0
        while blocks:
            before, before_total, place = blocks[-1]
            distance = _distance(before[-1], points[0], widths) + offsets[before[-1]]
            if place + distance <= total / len(points):
                break
            blocks.pop()
            for each in points:
                offsets[each] += distance
            total = before_total + total - distance * len(points)
            points = [*before, *points]
        blocks.append((points, total, total / len(points)))
    return {point: place + offsets[point] for points, _, place in blocks for point in points}


def _distance(left: _Point, right: _Point, widths: Mapping[_Point, float]) -> float:
    passing = [widths[left], widths[right]].count(_PASSING)  # edges need less space between them than nodes
    return (widths[left] + widths[right]) / 2 + _GAP_X * (1.0, 0.4, 0.1)[passing]


def _rows(
    layers: Sequence[Sequence[_Point]], sizes: Mapping[str, tuple[float, float]]
) -> tuple[list[float], list[float]]:
    """Return the top and the height of each layer."""
    heights = [max((sizes[point][1] for point in layer if point in sizes), default=0.0) for layer in layers]  # type: ignore[index]
    tops = [_MARGIN + sum(heights[:number]) + number * _GAP_Y for number in range(len(heights))]
    return tops, heights


def _path(
    pair: tuple[str, str],
    ranks: Mapping[str, int],
    boxes: Mapping[str, Box],
    centers: Mapping[_Point, float],
    tops: Sequence[float],
    heights: Sequence[float],
) -> str:
    """Return the path of an edge: from the bottom of one node to the top of the other, straight through layers."""
    source, target = boxes[pair[0]], boxes[pair[1]]
    x, y = centers[pair[0]], source.y + source.height
    path = f"M{x:.1f} {y:.1f}"
    for rank in range(ranks[pair[0]] + 1, ranks[pair[1]]):
        next_x = centers[pair, rank]
        path += _curve(x, y, next_x, tops[rank]) + f"V{tops[rank] + heights[rank]:.1f}"
        x, y = next_x, tops[rank] + heights[rank]
    return path + _curve(x, y, centers[pair[1]], target.y)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (y + to_y) / 2
    return f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
