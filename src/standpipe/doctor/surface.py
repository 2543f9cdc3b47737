"""Checks of what people see: the terminal, and the port of the web UI."""

from __future__ import annotations

import os
import shutil
import socket
import sys

from standpipe.doctor.answers import Answer, Surroundings, ok, warning
from standpipe.runs.ui_server import DEFAULT_PORT, HOST

#: The characters that progress is shown with.
_SYMBOLS = "✓✗●"


def check_terminal(_: Surroundings) -> Answer:
    """Say what progress looks like on the standard output."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        _SYMBOLS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return warning(f"the encoding {encoding} lacks symbols, which are replaced by codes", "export PYTHONUTF8=1")
    if not sys.stdout.isatty():
        return ok(f"none: runs print plain lines ({encoding})")
    if os.environ.get("TERM") == "dumb":
        return warning("TERM=dumb, so runs print plain lines", "export TERM=xterm-256color")
    colours = "without colours, by NO_COLOR" if os.environ.get("NO_COLOR") else "with colours"
    return ok(f"{os.environ.get('TERM', 'unknown')}, {shutil.get_terminal_size().columns} columns, {colours}")


def check_port(_: Surroundings) -> Answer:
    """Check whether the web UI can listen at its port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, DEFAULT_PORT))
        except OSError as error:
            return ok(f"port {DEFAULT_PORT} is in use ({error.strerror}), so `standpipe ui` takes the next free one")
    return ok(f"port {DEFAULT_PORT} of {HOST} is free")
