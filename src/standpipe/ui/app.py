"""The table of routes."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from standpipe.ui.artifact_index import ArtifactIndex
from standpipe.ui.pages import artifact, payload, run, runs
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
            Route("/runs/{run}/artifact", artifact.show, name="artifact"),
            Route("/runs/{run}/payload", payload.show, name="payload"),
            Mount("/static", StaticFiles(directory=_STATIC), name="static"),
        ]
    )
    app.state.source = source
    app.state.artifacts = ArtifactIndex()
    app.state.access = access
    return Guard(app, access)
