"""What all pages share: how they answer with a template."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse

from standpipe import __version__
from standpipe.ui.rendering import render
from standpipe.ui.security import BEGAN
from standpipe.ui.source import RunSource
from standpipe.ui.static_files import kept_address


def respond(request: Request, template: str, status: int = 200, **context: object) -> HTMLResponse:
    """Return a page made of a template, which also knows what all pages need, such as the csrf value of forms."""
    state = request.app.state
    shared = {
        "root": str(state.source.root),
        "version": __version__,
        "csrf": state.access.csrf,
        "loaded": request.scope[BEGAN],
        "static": kept_address(),
    }
    html = render(template, {**shared, **context})
    return HTMLResponse(html.encode(errors="replace"), status)  # half of a surrogate pair, as in names of files


def source_of(request: Request) -> RunSource:
    """Return the runs that the server shows."""
    source: RunSource = request.app.state.source
    return source


def number_in(query: Mapping[str, str], name: str) -> int | None:
    """Return a number of a query; None if it has none of that name."""
    text = query.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else None
