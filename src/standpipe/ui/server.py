"""Serves the pages on this machine, until it is interrupted."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import threading
import time
import webbrowser
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from standpipe.errors import StandpipeError
from standpipe.runs.ui_server import UiServer, listen, load_token, registered
from standpipe.support.displays import has_display

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn import Server

    from standpipe.ui.live import Live
    from standpipe.ui.source import RunSource

#: Seconds that the browser has to open the address.
_TICKET_TIME = 120.0

#: The servers that runs start end when nobody has used them for so many seconds, and no run is active.
IDLE_END = 600.0


def serve(root: Path, *, run: str = "", port: int | None = None, open_browser: bool = True) -> None:
    """Serve the runs of a pipeline root on 127.0.0.1 until Ctrl-C, and print the address.

    Args:
        root: the pipeline root, which need not exist.
        run: the id of the run whose page is opened; empty for the list.
        port: the port; None for the default one, or one of the next if that is taken.
        open_browser: whether the address is opened in the user's browser.

    Raises:
        ArgumentError: if the port is taken.
        StorageError: if the token cannot be kept.
    """
    token = load_token(root)
    with listen(root, port) as listener, registered(root, listener):
        server = UiServer(listener.getsockname()[1], token)
        print(f"The runs in {root}:\n\n    {server.address(run)}\n\nPress Ctrl-C to stop. Runs continue.", flush=True)
        ticket = secrets.token_urlsafe(16)
        if open_browser:
            _open_browser(UiServer(server.port, ticket).address(run))
        _run(root, server, listener, ticket if open_browser else "", None, run)


def serve_inherited(root: Path, lock: int, listener: int, idle_end: float = IDLE_END) -> None:
    """Serve on a socket that the process of a run has opened, until nobody has used it for a while.

    Args:
        root: the pipeline root.
        lock: the descriptor of the locked file by which runs find this server.
        listener: the descriptor of the socket.
        idle_end: the seconds without a page and an active run after which the server ends.
    """
    for descriptor in (lock, listener):
        os.set_inheritable(descriptor, False)
    with closing(socket.socket(fileno=listener)) as opened:
        server = UiServer(opened.getsockname()[1], load_token(root))
        _run(root, server, opened, "", idle_end)


def _run(
    root: Path, server: UiServer, listener: socket.socket, ticket: str, idle_end: float | None, run: str = ""
) -> None:
    from standpipe.ui.app import make_app  # here and below: the browser starts meanwhile
    from standpipe.ui.live import Live
    from standpipe.ui.security import Access
    from standpipe.ui.source import RunSource

    access = Access(server.port, server.token)
    if ticket:
        access.tickets[ticket] = time.monotonic() + _TICKET_TIME
    source, live = RunSource(root), Live(root)
    if run:
        threading.Thread(target=source.prepare, args=(run,), daemon=True).start()  # while the browser starts
    use = _Use(make_app(source, access, live), source, live)
    with suppress(KeyboardInterrupt):
        _make_server(use, live, idle_end).run(sockets=[listener])
    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(0)  # a thread that waits for a locked store would keep the process for half a minute


def _make_server(use: _Use, live: Live, idle_end: float | None) -> Server:
    import uvicorn  # the browser starts meanwhile

    class Server(uvicorn.Server):
        """A server that ends at once, as it ends the streams of pages, and by itself when it is idle."""

        async def on_tick(self, counter: int) -> bool:
            is_idle = idle_end is not None and counter % 10 == 0 and await use.is_idle(idle_end)
            return await super().on_tick(counter) or is_idle

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            live.close()
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # requests that do not end are cancelled
            await super().shutdown(sockets)

    config = uvicorn.Config(
        use,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,  # warnings and errors go to standard error
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return Server(config)


class _Use:
    """ASGI middleware that knows when the server was last used."""

    def __init__(self, app: ASGIApp, source: RunSource, live: Live) -> None:
        self._app = app
        self._source = source
        self._live = live
        self._last = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._last = time.monotonic()
        await self._app(scope, receive, send)

    async def is_idle(self, seconds: float) -> bool:
        """Return whether nobody has used the server for some seconds, and no run is active."""
        from standpipe.ui.live import in_thread  # the server has imported it

        now = time.monotonic()
        if now - self._last < seconds:
            return False
        if self._live.page_count or await in_thread(self._has_active_run):
            self._last = now
            return False
        return True

    def _has_active_run(self) -> bool:
        from standpipe.history import Status  # a page has imported it

        with suppress(StandpipeError):
            return any(run.status is Status.RUNNING for run in self._source.runs())
        return False


def _open_browser(address: str) -> None:
    """Open an address in the user's browser, where there is one; in a thread, as that may take long.

    Other users can read the command line of the browser. So the address has a ticket, which is good for one use, in
    place of the token.
    """
    if has_display():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
