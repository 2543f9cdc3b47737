"""The tab Graph of a run: a layer as a graph, or as a table if it is a loop or too large."""

from __future__ import annotations

from starlette.datastructures import QueryParams

from standpipe.history import Run
from standpipe.model.frozen import frozen
from standpipe.model.plan import Plan
from standpipe.ui.pages.page import number_in
from standpipe.ui.views.graph import Graph, draw_graph
from standpipe.ui.views.layer_table import LayerTable, tabulate_layer
from standpipe.ui.views.layers import find_layer, find_member


@frozen
class GraphTab:
    """What the tab shows: a graph, a table, or neither if there is no such layer."""

    layer: str
    graph: Graph | None = None
    table: LayerTable | None = None


def show_graph(run: Run, plan: Plan | None, query: QueryParams) -> GraphTab:
    """Return the tab with the layer in a query, and the page of its table."""
    path = layer_path(run, plan, query)
    layer = find_layer(run, plan, path)
    if layer is None:
        return GraphTab(path)
    graph = draw_graph(layer)
    if graph:
        return GraphTab(path, graph)
    table = tabulate_layer(layer, query.get("state", ""), number_in(query, "page"), query.get("task", ""))
    return GraphTab(path, table=table)


def layer_path(run: Run, plan: Plan | None, query: QueryParams) -> str:
    """Return the path of the layer in a query; without one, that of the layer that the selected task is in."""
    if "layer" in query or not query.get("task"):
        return query.get("layer", "")
    selected = find_member(run, plan, query["task"])
    return selected[0].path if selected else ""
