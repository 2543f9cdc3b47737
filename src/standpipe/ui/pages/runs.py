"""The page of all runs."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from standpipe.errors import ArgumentError
from standpipe.history import Run
from standpipe.ui import actions
from standpipe.ui.pages.errors import Refused
from standpipe.ui.pages.page import respond, source_of
from standpipe.ui.security import form_of
from standpipe.ui.views.runs import MAX_COMPARED, RunsQuery, select_runs, show_runs

#: For how many seconds one page reads facts of runs whose totals are not stored.
_READING_TIME = 0.1

#: How many runs one click resumes, each in a process of its own, and for how many seconds it waits for them to start.
_MAX_RESUMED = 10
_PATIENCE = 5.0


def show(request: Request) -> Response:
    """Answer with the list of runs."""
    source, now = source_of(request), datetime.now(timezone.utc).astimezone()
    runs = source.runs()
    totals = source.totals.stored(runs)
    selection = select_runs(runs, totals, RunsQuery.parse(request.query_params.multi_items()), now)
    rest = [run for run in selection.shown if run.id not in totals]
    totals |= source.totals.folded(rest, _READING_TIME)
    page = show_runs(runs, selection, totals, now)
    return respond(request, "runs.html", page=page, most_compared=MAX_COMPARED)


def stop(request: Request) -> Response:
    """Request the cancellation of the selected runs. Those that are not in progress stay as they are."""
    for run in _selected(request):
        run.cancel()
    return _back(request)


def resume(request: Request) -> Response:
    """Resume the selected runs, each in a process of its own.

    Raises:
        Refused: if some of them could not be resumed.
    """
    runs = _selected(request)
    if len(runs) > _MAX_RESUMED:
        raise ArgumentError(f"{len(runs)} runs are selected: expected at most {_MAX_RESUMED} to resume at a time.")
    started = [actions.start(source_of(request).root, "resume", run.id) for run in runs]
    deadline = time.monotonic() + _PATIENCE
    for each in started:
        each.wait(max(0.0, deadline - time.monotonic()))
    failed = [each for each in started if each.is_over and not each.run_id() and each.exit_code()]
    if failed:
        details = "\n\n".join(f"{each.command}\n{each.tail()}" for each in failed)
        raise Refused(f"{len(failed)} of {len(runs)} runs could not be resumed.", details)
    return _back(request)


def _selected(request: Request) -> list[Run]:
    names = form_of(request).get("run", [])
    if not names:
        raise ArgumentError("No run is selected. Select runs in the list first.")
    return [source_of(request).run(name) for name in dict.fromkeys(names)]


def _back(request: Request) -> Response:
    """Return to the list, with the filters that it had."""
    referrer = urlsplit(request.headers.get("referer", ""))
    query = f"?{referrer.query}" if referrer.path == "/" and referrer.query else ""
    return RedirectResponse(f"/{query}", 303)
