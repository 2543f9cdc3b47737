"""The table of routes."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from standpipe.ui.artifact_index import ArtifactIndex
from standpipe.ui.live import Live, serve_events
from standpipe.ui.pages import actions, artifact, compare, log, new_run, payload, run, runs
from standpipe.ui.pages.errors import HANDLERS
from standpipe.ui.security import Access, Guard
from standpipe.ui.source import RunSource

_STATIC = Path(__file__).parent / "static"


def make_app(source: RunSource, access: Access, live: Live | None = None) -> ASGIApp:
    """Return the application that shows the runs of a pipeline root.

    Args:
        source: the runs.
        access: who may use it.
        live: tells pages what has changed.
    """
    app = Starlette(
        routes=[
            Route("/", runs.show, name="runs"),
            Route("/new", new_run.show, methods=["GET"]),
            Route("/new", new_run.start, methods=["POST"]),
            Route("/stop", runs.stop, methods=["POST"]),
            Route("/resume", runs.resume, methods=["POST"]),
            Route("/compare", compare.show, name="compare"),
            Route("/runs/{run}", run.show, name="run"),
            Route("/runs/{run}/artifact", artifact.show, name="artifact"),
            Route("/runs/{run}/payload", payload.show, name="payload"),
            Route("/runs/{run}/stop", actions.stop, methods=["POST"]),
            Route("/runs/{run}/resume", actions.resume, methods=["POST"]),
            Route("/runs/{run}/rerun", actions.rerun, methods=["POST"]),
            Route("/runs/{run}/delete", actions.ask_to_delete, methods=["GET"]),
            Route("/runs/{run}/delete", actions.delete, methods=["POST"]),
            Route("/stop", actions.stop, methods=["POST"]),
            Route("/resume", actions.resume, methods=["POST"]),
            Route("/delete", actions.ask_to_delete, methods=["GET"]),
            Route("/delete", actions.delete, methods=["POST"]),
            Route("/actions/{action}", actions.show),
            Route("/events", serve_events),
            Route("/runs/{run}/log", log.show, name="log"),
            Route("/runs/{run}/log/follow", log.follow, name="follow"),
            Route("/runs/{run}/spec", run.download_spec, name="spec"),
            Mount("/static", StaticFiles(directory=_STATIC), name="static"),
        ],
        exception_handlers=HANDLERS,
    )
    app.state.source = source
    app.state.artifacts = ArtifactIndex()
    app.state.access = access
    app.state.live = live or Live(source.root)
    return Guard(app, access)
