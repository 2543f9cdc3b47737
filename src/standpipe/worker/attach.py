"""An editor that attaches to the process of a task, by debugpy."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

_HOST = "127.0.0.1"

_FREE_VALIDATION = "PYDEVD_DISABLE_FILE_VALIDATION"


def wait_for_editor(port: int, folder: str, name: str) -> None:
    """Wait until an editor has attached to this process, after a message that says how.

    Args:
        port: the port on which it waits.
        folder: the folder that holds debugpy, which the environment of the task need not have.
        name: the name of the component.

    Raises:
        SystemExit: if the port cannot be used.
    """
    sys.path.append(folder)
    had_variable = _FREE_VALIDATION in os.environ
    os.environ.setdefault(_FREE_VALIDATION, "1")  # it would warn of modules of Python itself
    try:
        debugpy = import_module("debugpy")
        try:
            debugpy.listen((_HOST, port))
        except RuntimeError as error:
            if not debugpy.is_client_connected() and "already" not in str(error):
                raise SystemExit(f"The debugger cannot listen on port {port}: {error}") from None
    finally:
        sys.path.remove(folder)
        if not had_variable:
            del os.environ[_FREE_VALIDATION]
    print(_describe(port, name), file=sys.stderr, flush=True)
    debugpy.wait_for_client()


def _describe(port: int, name: str) -> str:
    configuration = {
        "name": f"Standpipe: {name}",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": _HOST, "port": port},
    }
    return (
        f"Component {name!r} waits for an editor on {_HOST}:{port}. Set breakpoints in your file, then attach. For VS "
        f'Code, add this to "configurations" in .vscode/launch.json:\n\n{json.dumps(configuration, indent=4)}\n\n'
        "Ctrl-C cancels the run."
    )
