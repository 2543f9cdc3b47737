"""The entry point of the worker.

* `python3 boot.py run <request.json>` runs a task in a container;
* `python3 boot.py pod <request.json>` does so in a child of the first process of a pod's container;
* `python3 boot.py stand-by <request.json>` does so once it gets a byte on its standard input;
* `python3 boot.py debug <request.json>` runs it under a debugger, on the terminal;
* `python3 boot.py debug <request.json> <port> <folder>` runs it once an editor has attached to it on the port, by the
  debugpy in the folder;
* `python3 boot.py serve <fd> <seconds> [<template>]` is a fork server, which forks for each task that is requested on
  the socket, and ends after so many seconds without a task; before, it imports the packages that a template names.

A plain script for a bare Python 3.9 or newer. It loads its own folder as the package `standpipe_worker`, without adding
it to `sys.path`.
"""

from __future__ import annotations

import faulthandler
import os
import sys

_FOLDER = os.path.dirname(os.path.realpath(__file__))

# Python puts a script's folder first on the path, where our `source.py` would hide a module of the user's.
if sys.path and os.path.realpath(sys.path[0]) == _FOLDER:
    del sys.path[0]


def load_package() -> None:
    """Make `standpipe_worker` importable."""
    from importlib import util  # only now that the path is correct

    spec = util.spec_from_file_location(
        "standpipe_worker", os.path.join(_FOLDER, "__init__.py"), submodule_search_locations=[_FOLDER]
    )
    assert spec is not None
    assert spec.loader is not None
    package = util.module_from_spec(spec)
    sys.modules[spec.name] = package
    spec.loader.exec_module(package)


def main(mode: str, argument: str, *more: str) -> int:
    """Run one request and return its exit code, or serve until the socket closes."""
    load_package()
    # A crash in C code prints where Python was. By the number of the stream, which is the log of each forked task.
    faulthandler.enable(file=2)
    if mode == "serve":
        from standpipe_worker.fork_server import serve  # type: ignore[import-not-found] # just loaded

        return int(serve(int(argument), *map(float, more[:1]), *more[1:]))
    from standpipe_worker.task import use_utf8  # type: ignore[import-not-found] # just loaded

    if mode != "debug":
        os.dup2(1, 2)  # a single stream, so that the output of both keeps its order in the log
    use_utf8()
    sys.path.insert(0, os.getcwd())  # as `python -m` does, with which KFP starts its executor
    if mode == "debug":
        from standpipe_worker.debugger import run  # type: ignore[import-not-found] # costs 20 ms

        return int(run(argument, *more))
    from standpipe_worker.container import run_to_end, wait_for_request  # type: ignore[import-not-found] # just loaded

    if mode == "pod":
        from standpipe_worker.pod import run_as_child  # type: ignore[import-not-found] # just loaded

        return int(run_as_child(argument, run_to_end))
    if mode == "stand-by" and not wait_for_request():
        return 0
    return int(run_to_end(argument))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
