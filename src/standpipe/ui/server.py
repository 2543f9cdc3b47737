"""Serves the pages on this machine, until it is interrupted."""

from __future__ import annotations

import socket
import webbrowser
from pathlib import Path

import uvicorn

from standpipe.ui.app import make_app
from standpipe.ui.rendering import link
from standpipe.ui.security import Access, new_token
from standpipe.ui.source import RunSource


def serve(root: Path, *, run: str = "", port: int = 0, open_browser: bool = True) -> None:
    """Serve the runs of a pipeline root on 127.0.0.1, and print the address.

    Args:
        root: the pipeline root.
        run: the id of the run whose page is opened; empty for the list.
        port: the port; 0 for any.
        open_browser: whether the address is opened in the user's browser.
    """
    listener = socket.create_server(("127.0.0.1", port))
    access = Access(listener.getsockname()[1], new_token())
    path = link("runs", run, token=access.token) if run else link(token=access.token)
    address = f"http://127.0.0.1:{access.port}{path}"
    print(f"Standpipe UI: {address}", flush=True)
    if open_browser:
        webbrowser.open(address)
    config = uvicorn.Config(make_app(RunSource(root), access), log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])
