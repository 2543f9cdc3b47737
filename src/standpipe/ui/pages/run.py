"""The page of one run, with its tabs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from standpipe.history import Run
from standpipe.model.plan import Plan
from standpipe.ui.pages.graph import show_graph
from standpipe.ui.pages.page import respond, source_of
from standpipe.ui.pages.timeline import show_timeline
from standpipe.ui.views.states import count_states

#: The tabs, by their names in addresses.
TABS = {
    "graph": "Graph",
    "timeline": "Timeline",
    "tasks": "Tasks",
    "logs": "Logs",
    "details": "Details",
    "spec": "Pipeline Spec",
}

#: What returns the view of a tab.
_VIEWS: Mapping[str, Callable[[Run, Plan | None, QueryParams], object]] = {
    "graph": show_graph,
    "timeline": show_timeline,
}


def show(request: Request) -> Response:
    """Answer with one tab of a run, and the selected task beside it."""
    run = source_of(request).run(request.path_params["run"])
    tab = request.query_params.get("tab", "graph")
    tab = tab if tab in TABS else "graph"
    path = request.query_params.get("task", "")
    return respond(
        request,
        "run.html",
        run=run,
        tabs=TABS,
        tab=tab,
        counts=count_states(run.all_tasks()),
        selection=path,
        task=run.task(path) if path else None,
        view=_view(request, run, tab),
    )


def _view(request: Request, run: Run, tab: str) -> object:
    """Return what a tab shows."""
    view = _VIEWS.get(tab)
    return view(run, source_of(request).plan(run.id), request.query_params) if view else None
