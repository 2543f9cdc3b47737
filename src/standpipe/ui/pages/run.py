"""The page of one run, with its tabs."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from standpipe.errors import NoSuchTask, StandpipeError
from standpipe.history import Run
from standpipe.ui.pages.graph import show_graph
from standpipe.ui.pages.page import number_in, respond, source_of
from standpipe.ui.pages.task import panel_context
from standpipe.ui.pages.timeline import show_timeline
from standpipe.ui.rendering import load
from standpipe.ui.views.details import view_details
from standpipe.ui.views.log_records import LogQuery
from standpipe.ui.views.logs import read_logs
from standpipe.ui.views.spec import emit_yaml, view_spec
from standpipe.ui.views.states import LABELS, count_states
from standpipe.ui.views.tasks import TaskQuery, view_tasks

#: The tabs, by their names in addresses.
TABS = {
    "graph": "Graph",
    "timeline": "Timeline",
    "tasks": "Tasks",
    "logs": "Logs",
    "details": "Details",
    "spec": "Pipeline Spec",
}


def show(request: Request) -> Response:
    """Answer with one tab of a run, and the selected task beside it."""
    run = source_of(request).run(request.path_params["run"])
    requested = request.query_params.get("tab", "graph")
    tab = requested if requested in TABS else "graph"
    return respond(
        request,
        "run.html",
        run=run,
        tabs=TABS,
        tab=tab,
        counts=count_states(run.all_tasks()),
        elapsed=run.elapsed(datetime.now(timezone.utc)),
        view=_VIEWS[tab](request, run) if tab in _VIEWS else None,
        **panel_context(request, run, tab),
    )


def prepare(request: Request) -> Response:
    """Prepare the page of a run that may come next: of the first in the list, or of that which the pointer is on."""
    load("run.html", *(f"run/{tab}.html" for tab in TABS))
    source_of(request).prepare(request.path_params["run"])
    return Response(status_code=204)


def download_spec(request: Request) -> Response:
    """Answer with the pipeline of a run as a compiled file."""
    run = source_of(request).run(request.path_params["run"])
    plan = source_of(request).plan(run)
    if plan is None:
        return PlainTextResponse("This run was recorded without its pipeline.\n", 404)
    headers = {"Content-Disposition": 'attachment; filename="pipeline.yaml"'}
    try:
        text = emit_yaml(plan)
    except StandpipeError as error:
        return PlainTextResponse(f"The pipeline cannot be written as a file: {error}\n", 404)
    return Response(text, media_type="application/yaml", headers=headers)


# --- tabs -------------------------------------------------------------------------------------------------------------


def _tasks(request: Request, run: Run) -> object:
    query = request.query_params
    return view_tasks(
        run,
        TaskQuery(
            run.id,
            text=query.get("q", "").strip(),
            states=tuple(state for state in query.getlist("state") if state in LABELS),
            failed_first=query.get("order") == "failed",
            folds=tuple(filter(None, map(_fold, query.getlist("fold")))),
            page=number_in(query, "page") or 0,
            selected=query.get("task", ""),
            panel=query.get("panel", ""),
        ),
        datetime.now(timezone.utc),
        source_of(request).readable_plan(run),
    )


def _fold(text: str) -> tuple[str, int] | None:
    """Return what the address says of an open or closed task: its path, and the number of the first child."""
    first, _, path = text.partition(":")
    is_number = first.removeprefix("-").isdecimal() and len(first) < 10
    return (path, max(-1, int(first))) if is_number else None


def _logs(request: Request, run: Run) -> object:
    return read_logs(run, log_query(request, run))


def log_query(request: Request, run: Run) -> LogQuery:
    """Return what the address of the tab Logs asks for."""
    query = request.query_params
    selected, scope = query.get("task", ""), query.get("scope", "")
    try:
        run.task(selected) if selected else None
    except NoSuchTask:
        selected = ""
    return LogQuery(
        run.id,
        task=scope.removeprefix("of:") if scope else selected,
        attempt=number_in(query, "attempt"),
        search=query.get("search", ""),
        end=number_in(query, "end"),
        before=number_in(query, "before"),
        selected=selected,
    )


def _details(request: Request, run: Run) -> object:
    plan = source_of(request).readable_plan(run)
    location = plan.root.source_location if plan else None
    has_script = location is not None and os.path.isabs(location.file) and os.path.isfile(location.file)
    return view_details(run, plan, location.file if location and has_script else "")


def _spec(request: Request, run: Run) -> object:
    return view_spec(source_of(request).readable_plan(run))


#: What makes the view of each tab.
_VIEWS: dict[str, Callable[[Request, Run], object]] = {
    "graph": lambda request, run: show_graph(run, source_of(request).readable_plan(run), request.query_params),
    "timeline": lambda request, run: show_timeline(run, source_of(request).readable_plan(run), request.query_params),
    "tasks": _tasks,
    "logs": _logs,
    "details": _details,
    "spec": _spec,
}
