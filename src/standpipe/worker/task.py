"""Carries out a request: a function's source, its executor input, and where to say what went wrong."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, Callable, Dict, Optional, Sequence

from .executor import Executor
from .kfp_shim import install
from .report import report
from .source import compiled, load_function
from .usage import leave

#: Up to this size, in bytes, a request is read and compiled before the fork.
_LARGE = 256 * 1024


Request = Dict[str, Any]


def read(path: str) -> Request:
    """The request in a file.

    The file is UTF-8 JSON: `source` and `function`, the program and the name of the function in it; `executor_input`,
    KFP's ExecutorInput; `artifact_classes`, sources by `module.Name`; `error_file`, where an exception is described;
    `owner`, a pair of user and group id that the outputs are given to, or null; `usage_file`, where what the task used
    is written, or null.
    """
    with open(path, encoding="utf-8") as file:
        request: Request = json.load(file)
    return request


def prepare(path: str) -> Optional[Request]:
    """Reads a request and compiles its program ahead, for the process that is forked to run it.

    None where that process should do it itself: because it would keep others waiting, or because it fails, which is
    for the task to tell.
    """
    with suppress(Exception):
        if os.path.getsize(path) <= _LARGE:
            request = read(path)
            compiled(request["source"], request["function"])
            return request
    return None


def run(path: str, request: Optional[Request] = None, *, debugs: bool = False) -> int:
    """Carries out the request in a file, or as it was prepared; returns the exit code of the task.

    With `debugs` it does so under a debugger, on the terminal.
    """
    request = request or read(path)
    try:
        _execute(request, debugs)
    except SystemExit as wish:
        return _exit_code(wish)
    except KeyboardInterrupt as error:
        report(error, request["error_file"])
        return 130  # the shell's convention for a program that SIGINT ended
    except BaseException as error:  # noqa: BLE001  the outermost edge: whatever it is, the user reads it
        report(error, request["error_file"])
        return 1
    finally:
        if request.get("usage_file"):
            with suppress(OSError):  # a full disk, perhaps: then it is not known
                leave(request["usage_file"])
        _give_away(os.path.dirname(path), request.get("owner"))
    return 0


def executor_class() -> Any:
    """What calls the function: our executor or, where the KFP SDK itself is installed, the SDK's own."""
    os.environ["_KFP_RUNTIME"] = "true"  # the SDK then leaves out what only authors need
    return import_module("kfp.dsl.executor").Executor if install() else Executor


#: A component that does nothing, in the way in which components are shipped.
_REHEARSED = """
import kfp
from kfp import dsl
from kfp.dsl import *
from typing import *

def rehearsed(number: int, text: str = "") -> str:
    return text
"""


def rehearse() -> None:
    """Runs a component for nothing, so that what every task does has been done before the first one is forked.

    A task then starts with code and caches that are warm.
    """
    chosen = executor_class()
    function = load_function(_REHEARSED, "rehearsed", {})
    told = {"inputs": {"parameterValues": {"number": 1}}, "outputs": {"outputFile": os.devnull}}
    chosen(told, function).execute()


def _execute(request: Request, debugs: bool) -> None:
    del sys.argv[1:]  # they are ours, and a program that parses arguments would stumble over them
    chosen = executor_class()
    function = load_function(request["source"], request["function"], request["artifact_classes"])
    execute: Callable[[], None] = chosen(request["executor_input"], function).execute
    if debugs:
        from .debug import Debugger  # costs 20 ms, and only a person who debugs needs it

        Debugger(function).debug(execute)
    else:
        execute()


def use_utf8() -> None:
    """Lets any text be printed, whatever the locale, and shows each line as soon as it is complete."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]


def _exit_code(wish: SystemExit) -> int:
    """What Python itself makes of `sys.exit(...)`: a number is the code, nothing is success, text is a complaint."""
    if wish.code is None:
        return 0
    if isinstance(wish.code, int):
        return wish.code & 0xFF
    print(wish.code, file=sys.stderr)
    return 1


def _give_away(folder: str, owner: Optional[Sequence[int]]) -> None:
    """Makes another user the owner of what a task that ran as root left in its folder."""
    if owner is None:
        return
    for parent, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            with suppress(FileNotFoundError):  # a process that the task left behind may still tidy up
                os.chown(os.path.join(parent, name), owner[0], owner[1], follow_symlinks=False)
