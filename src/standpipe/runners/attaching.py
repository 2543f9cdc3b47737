"""Debuggers of editors: what a task needs so that one can attach to it."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from pathlib import Path

from standpipe.errors import ArgumentError, RunnerError, UnsupportedError


def check_debug(debug: bool | int) -> None:
    """Check that a task can be debugged in this way.

    Args:
        debug: False, True for Python's debugger on the terminal, or the port on which the task waits for an editor.

    Raises:
        ArgumentError: if it is neither, or no port.
        UnsupportedError: if debugpy is not installed.
        RunnerError: if the port is in use.
    """
    if isinstance(debug, bool):
        return
    if not isinstance(debug, int) or not 0 < debug < 65536:
        raise ArgumentError(f"Invalid debug={debug!r}: expected True, False, or a port from 1 to 65535.")
    debugpy_folder()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", debug))
        except OSError as error:
            raise RunnerError(
                f"The debugger cannot listen on port {debug}: {error.strerror}. Use another port."
            ) from error


def debugpy_folder() -> str:
    """Return the folder of this environment that has debugpy in it.

    Raises:
        UnsupportedError: if it is not installed.
    """
    spec = find_spec("debugpy")
    if spec is None or spec.origin is None:
        raise UnsupportedError(
            "An editor attaches by way of debugpy, which is not installed. Install the extra 'debug': "
            "pip install 'standpipe[debug]'. Python's own debugger needs nothing: --debug, or debug=True."
        )
    return str(Path(spec.origin).parents[1])
