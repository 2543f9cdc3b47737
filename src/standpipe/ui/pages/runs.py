"""The page of all runs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from standpipe.ui.pages.page import respond, source_of


def show(request: Request) -> Response:
    """Answer with the list of runs."""
    return respond(request, "runs.html", runs=source_of(request).runs())
