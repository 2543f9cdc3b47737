"""The tab Graph of a run: a layer as a graph, or as a table if it is a loop or too large."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import QueryParams

from standpipe.history import Run
from standpipe.model.plan import Plan
from standpipe.ui.pages.page import number_in
from standpipe.ui.views.graph import Graph, draw_graph
from standpipe.ui.views.layer_table import LayerTable, tabulate_layer
from standpipe.ui.views.layers import find_layer


@dataclass(frozen=True)
class GraphTab:
    """What the tab shows: a graph, a table, or neither if there is no such layer."""

    layer: str
    graph: Graph | None = None
    table: LayerTable | None = None


def show_graph(run: Run, plan: Plan | None, query: QueryParams) -> GraphTab:
    """Return the tab with the layer in a query, and the page of its table."""
    path = query.get("layer", "")
    layer = find_layer(run, plan, path)
    if layer is None:
        return GraphTab(path)
    graph = draw_graph(layer)
    if graph:
        return GraphTab(path, graph)
    page = number_in(query, "page")
    return GraphTab(path, table=tabulate_layer(layer, query.get("state", ""), 1 if page is None else page))
