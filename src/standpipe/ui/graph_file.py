"""The graph of a Plan as a file of SVG, in the layout and the styles of the reports."""

from __future__ import annotations

from typing import NamedTuple

from standpipe.errors import UnsupportedError
from standpipe.model.plan import Plan
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.rendering import render
from standpipe.ui.report import styles
from standpipe.ui.views.graph import MAX_NODES
from standpipe.ui.views.graph_picture import GraphPicture, draw_plan

#: The height of the name above a layer, and the distance between layers, in pixels.
_TITLE_HEIGHT, _GAP = 30.0, 18.0

#: The width of a character of such a name, and the space on both sides of it.
_CHARACTER, _MARGIN = 8.6, 12.0


class _PlacedLayer(NamedTuple):
    picture: GraphPicture
    top: float


def make_svg(plan: Plan) -> str:
    """Return the graph of a Plan: a picture of the pipeline, and below it one of each block and nested pipeline.

    Raises:
        UnsupportedError: if a layer has too many tasks for a picture.
    """
    layers: list[_PlacedLayer] = []
    top = 0.0
    for picture in draw_plan(plan):
        if isinstance(picture, str):
            raise UnsupportedError(
                f"Cannot draw {picture!r}: it has more than {MAX_NODES} tasks and artifacts. `--format text` and "
                "`--format mermaid` have no limit."
            )
        layers.append(_PlacedLayer(picture, top))
        top += _TITLE_HEIGHT + picture.height + _GAP
    context = {
        "title": f"Graph of {plan.display_name or plan.name}",
        "layers": layers,
        "title_height": _TITLE_HEIGHT,
        "width": max((_width(layer.picture) for layer in layers), default=100.0),
        "height": top,
        "styles": styles("standpipe.css", "graph_picture.css"),
    }
    return strip_controls(render("graph.svg", context)).strip() + "\n"


def _width(picture: GraphPicture) -> float:
    return max(picture.width, len(picture.name) * _CHARACTER + 2 * _MARGIN)
