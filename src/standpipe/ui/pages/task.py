"""The side panel of the page of a run: the selected task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from starlette.requests import Request

from standpipe.errors import NoSuchTask
from standpipe.history import Run, Task
from standpipe.ui.earlier_tasks import find_earlier
from standpipe.ui.pages.graph import layer_path
from standpipe.ui.pages.page import source_of
from standpipe.ui.rendering import link
from standpipe.ui.views.cache import RecordedTask, view_cache
from standpipe.ui.views.layers import find_member
from standpipe.ui.views.log_records import LogQuery
from standpipe.ui.views.logs import read_logs
from standpipe.ui.views.task import PANELS, read_input_output, view_header, view_task_details

#: The parts of an address that the links of the panel keep.
_KEPT = ("layer", "q", "state", "order", "fold", "page", "toggle")


def panel_context(request: Request, run: Run, tab: str) -> dict[str, Any]:
    """Return what the template of the page needs for the panel: the selection, and the view of one section.

    Args:
        request: the request.
        run: the run.
        tab: the tab that is shown beside the panel.
    """
    path = request.query_params.get("task", "")
    panel = request.query_params.get("panel", "io")
    panel = panel if panel in PANELS else "io"
    nothing: dict[str, Any] = {"selection": path, "task": None, "missing_task": "", "panel": panel, "panels": PANELS}
    if not path:
        return nothing
    try:
        task = run.task(path)
    except NoSuchTask as error:
        is_planned = find_member(run, source_of(request).readable_plan(run), path) is not None
        message = f"Task {path!r} has not started." if is_planned else str(error)
        return {**nothing, "selection": "", "missing_task": message}
    query = request.query_params
    kept: dict[str, object] = {name: query.getlist(name) for name in _KEPT if name in query}
    plan = source_of(request).readable_plan(run)
    if tab == "graph":
        kept["layer"] = layer_path(run, plan, query)
    return {
        **nothing,
        "task": task,
        "header": view_header(run, task, plan, datetime.now(timezone.utc), tab=tab),
        "section": _SECTIONS[panel](request, run, task, tab),
        "panel_hrefs": {name: link("runs", run.id, tab=tab, **kept, task=path, panel=name) for name in PANELS},
        "close_href": link("runs", run.id, tab=tab, **kept),
    }


def _input_output(request: Request, run: Run, task: Task, tab: str) -> object:
    return read_input_output(run, task)


def _details(request: Request, run: Run, task: Task, tab: str) -> object:
    return view_task_details(run, source_of(request).readable_plan(run), task, tab=tab)


def _logs(request: Request, run: Run, task: Task, tab: str) -> object:
    return read_logs(run, LogQuery(run.id, task.path, selected=task.path))


def _cache(request: Request, run: Run, task: Task, tab: str) -> object:
    source = source_of(request)
    return view_cache(RecordedTask(run.id, source.readable_plan(run), task), find_earlier(source, run, task))


_SECTIONS: dict[str, Callable[[Request, Run, Task, str], object]] = {
    "io": _input_output,
    "details": _details,
    "logs": _logs,
    "cache": _cache,
}
