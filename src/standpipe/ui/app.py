"""The table of routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from importlib import import_module
from inspect import iscoroutinefunction

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from standpipe.ui.artifact_index import ArtifactIndex
from standpipe.ui.live import Live, in_thread, serve_events
from standpipe.ui.pages.errors import HANDLERS
from standpipe.ui.security import Access, Guard
from standpipe.ui.source import RunSource
from standpipe.ui.static_files import ADDRESS, STATIC, KeptFiles, kept_address, serve_styles

_PAGES = "standpipe.ui.pages"

#: Handlers that may take long and make no page: they read a run ahead, or wait for the next lines of a log.
_WAITING = ("run.prepare", "log.follow")


def make_app(source: RunSource, access: Access, live: Live | None = None) -> ASGIApp:
    """Return the application that shows the runs of a pipeline root.

    Args:
        source: the runs.
        access: who may use it.
        live: tells pages what has changed.
    """
    app = Starlette(
        routes=[
            Route("/", _page("runs.show"), name="runs"),
            Route("/new", _page("new_run.show"), methods=["GET"]),
            Route("/new", _page("new_run.start"), methods=["POST"]),
            Route("/stop", _page("actions.stop"), methods=["POST"]),
            Route("/resume", _page("actions.resume"), methods=["POST"]),
            Route("/compare", _page("compare.show"), name="compare"),
            Route("/runs/{run}", _page("run.show"), name="run"),
            Route("/runs/{run}/prepare", _page("run.prepare")),
            Route("/runs/{run}/artifact", _page("artifact.show"), name="artifact"),
            Route("/runs/{run}/payload", _page("payload.show"), name="payload"),
            Route("/runs/{run}/stop", _page("actions.stop"), methods=["POST"]),
            Route("/runs/{run}/resume", _page("actions.resume"), methods=["POST"]),
            Route("/runs/{run}/rerun", _page("actions.rerun"), methods=["POST"]),
            Route("/runs/{run}/delete", _page("actions.ask_to_delete"), methods=["GET"]),
            Route("/runs/{run}/delete", _page("actions.delete"), methods=["POST"]),
            Route("/delete", _page("actions.ask_to_delete"), methods=["GET"]),
            Route("/delete", _page("actions.delete"), methods=["POST"]),
            Route("/actions/{action}", _page("actions.show")),
            Route("/events", serve_events),
            Route("/runs/{run}/log", _page("log.show"), name="log"),
            Route("/runs/{run}/log/follow", _page("log.follow"), name="follow"),
            Route("/runs/{run}/spec", _page("run.download_spec"), name="spec"),
            Route(f"{kept_address()}/styles/{{names}}.css", serve_styles),
            Mount(kept_address(), KeptFiles(directory=STATIC)),
            Mount(ADDRESS, StaticFiles(directory=STATIC), name="static"),
        ],
        exception_handlers=HANDLERS,
    )
    app.state.source = source
    app.state.artifacts = ArtifactIndex()
    app.state.access = access
    app.state.live = live or Live(source.root)
    return Guard(app, access)


def _page(name: str) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler, which is imported at the first request: all of them together take longer than the first page.

    Args:
        name: the name of the module in `pages`, and of the function in it.
    """
    module, _, function = name.partition(".")

    async def handle(request: Request) -> Response:
        source: RunSource = request.app.state.source
        with nullcontext() if name in _WAITING else source.pages.one():
            handler = getattr(await in_thread(import_module, f"{_PAGES}.{module}"), function)
            response: Response = await (
                handler(request) if iscoroutinefunction(handler) else in_thread(handler, request)
            )
        return response

    return handle
