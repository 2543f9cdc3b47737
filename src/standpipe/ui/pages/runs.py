"""The page of all runs."""

from __future__ import annotations

from datetime import datetime, timezone

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from standpipe.ui.pages.page import respond, source_of
from standpipe.ui.views.runs import MAX_COMPARED, RunsQuery, select_runs, show_runs

#: For how many seconds one page reads facts of runs whose totals are not stored.
_READING_TIME = 0.1


def show(request: Request) -> Response:
    """Answer with the list of runs."""
    source, now = source_of(request), datetime.now(timezone.utc).astimezone()
    runs = source.runs()
    totals = source.totals.stored(runs)
    selection = select_runs(runs, totals, RunsQuery.parse(request.query_params.multi_items()), now)
    rest = [run for run in selection.shown if run.id not in totals]
    totals |= source.totals.folded(rest, _READING_TIME)
    page = show_runs(runs, selection, totals, now)
    response = respond(request, "runs.html", page=page, most_compared=MAX_COMPARED)
    if runs:
        response.background = BackgroundTask(source.prepare, runs[0].id)  # the page of a large run takes a second else
    return response
