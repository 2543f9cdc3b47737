"""The table of routes."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from standpipe.ui.pages import log, run, runs
from standpipe.ui.security import Access, Guard
from standpipe.ui.source import RunSource

_STATIC = Path(__file__).parent / "static"


def make_app(source: RunSource, access: Access) -> ASGIApp:
    """Return the application that shows the runs of a pipeline root.

    Args:
        source: the runs.
        access: who may use it.
    """
    app = Starlette(
        routes=[
            Route("/", runs.show, name="runs"),
            Route("/runs/{run}", run.show, name="run"),
            Route("/runs/{run}/log", log.show, name="log"),
            Route("/runs/{run}/log/follow", log.follow, name="follow"),
            Route("/runs/{run}/spec", run.download_spec, name="spec"),
            Mount("/static", StaticFiles(directory=_STATIC), name="static"),
        ]
    )
    app.state.source = source
    app.state.access = access
    return Guard(app, access)
