"""Boxes in columns, with curves from each column to the next."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from standpipe.model.frozen import frozen
from standpipe.ui.views.charts.svg import element, join, shorten, svg

_WIDTH = 146
_HEIGHT = 44
_GAP_X = 26
_GAP_Y = 12
_MARGIN = 4


@frozen
class Box:
    """A box with a name and a line below it. `address` is what it links to, `class_` chooses its look."""

    name: str
    detail: str
    address: str
    class_: str
    title: str = ""


@frozen
class Edge:
    """A curve from a box of a column to one of the next, both by their numbers; dashed if it is weaker."""

    column: int
    source: int
    target: int
    is_weak: bool = False


def draw_layers(columns: Sequence[Sequence[Box]], edges: Sequence[Edge], title: str) -> Markup:
    """Return a picture of the columns from left to right, each in the middle; columns without boxes are left out.

    Args:
        columns: the boxes of each column.
        edges: the curves between them. Those from or to a column that is empty do not exist.
        title: what the picture shows.
    """
    tallest = max([len(column) for column in columns], default=0)
    height = max(tallest * (_HEIGHT + _GAP_Y) - _GAP_Y, _HEIGHT) + 2 * _MARGIN
    lefts = _lefts(columns)
    tops = [_tops(len(column), height) for column in columns]
    curves = [
        _curve(
            lefts[edge.column] + _WIDTH, tops[edge.column][edge.source], lefts[edge.column + 1], target, edge.is_weak
        )
        for edge in edges
        for target in (tops[edge.column + 1][edge.target],)
    ]
    boxes = [
        _box(box, lefts[number], top)
        for number, column in enumerate(columns)
        for box, top in zip(column, tops[number], strict=True)
    ]
    width = max(lefts, default=0) + _WIDTH + _MARGIN
    # A group and not an image: its boxes are links, which screen readers read one by one.
    return svg(width, height, title, join(curves), join(boxes), class_="chart layers", role="group")


def _lefts(columns: Sequence[Sequence[Box]]) -> list[float]:
    lefts, left = [], float(_MARGIN)
    for column in columns:
        lefts.append(left if column else 0.0)
        left += (_WIDTH + _GAP_X) if column else 0
    return lefts


def _tops(count: int, height: float) -> list[float]:
    first = (height - count * (_HEIGHT + _GAP_Y) + _GAP_Y) / 2
    return [first + index * (_HEIGHT + _GAP_Y) for index in range(count)]


def _curve(x1: float, top1: float, x2: float, top2: float, is_weak: bool) -> Markup:
    y1, y2, middle = top1 + _HEIGHT / 2, top2 + _HEIGHT / 2, (x1 + x2) / 2
    path = f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2 - 6:g} {y2:g}"
    return element("path", class_="layer-edge weak" if is_weak else "layer-edge", d=path) + element(
        "path", class_="layer-arrow", d=f"M{x2 - 7:g} {y2 - 4:g}L{x2:g} {y2:g}L{x2 - 7:g} {y2 + 4:g}z"
    )


def _box(box: Box, left: float, top: float) -> Markup:
    middle = top + _HEIGHT / 2
    text_x = left + (26 if "artifact" in box.class_ else 12)
    group = element(
        "g",
        element("title", box.title or f"{box.name} {box.detail}".strip()),
        element("rect", class_="layer-rect", x=left, y=top, width=_WIDTH, height=_HEIGHT, rx=8),
        join(_mark(box, left, middle)),
        element("text", shorten(box.name, 16), class_="layer-name", x=text_x, y=middle - 8 if box.detail else middle),
        element(
            "text",
            shorten(box.detail, 17 if "artifact" in box.class_ else 20),
            class_="layer-detail",
            x=text_x,
            y=middle + 9,
        ),
        class_=f"layer-box {box.class_}",
    )
    return element("a", group, href=box.address) if box.address else group


def _mark(box: Box, left: float, middle: float) -> Sequence[Markup]:
    return (
        (element("circle", class_="layer-mark", cx=left + 14, cy=middle - 8, r=4),) if "artifact" in box.class_ else ()
    )
