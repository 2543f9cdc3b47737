"""Starts tasks: `python3 boot.py run <request.json>`, or `python3 boot.py serve <fd>` to fork one whenever asked.

With `debug` for `run` the task is under a debugger, on the terminal.

A plain script for a bare Python 3.9 or newer. It loads the folder that it lies in as the package `standpipe_worker`,
and leaves nothing of that on `sys.path`.
"""

from __future__ import annotations

import os
import sys

_FOLDER = os.path.dirname(os.path.realpath(__file__))

# Python puts a script's folder first, where our `source.py` would hide the user's own: off with it, before any import.
if sys.path and os.path.realpath(sys.path[0]) == _FOLDER:
    del sys.path[0]


def load_package() -> None:
    """Makes `standpipe_worker` importable."""
    from importlib import util  # only now, with the path as it should be

    spec = util.spec_from_file_location(
        "standpipe_worker", os.path.join(_FOLDER, "__init__.py"), submodule_search_locations=[_FOLDER]
    )
    assert spec is not None
    assert spec.loader is not None
    package = util.module_from_spec(spec)
    sys.modules[spec.name] = package
    spec.loader.exec_module(package)


def main(mode: str, argument: str) -> int:
    """Runs one request, whose exit code is returned, or serves until the socket closes."""
    load_package()
    if mode == "serve":
        from standpipe_worker.forkserver import serve  # type: ignore[import-not-found] # just made

        return int(serve(int(argument)))
    from standpipe_worker.task import run, use_utf8  # type: ignore[import-not-found] # just made

    if mode == "debug":
        from standpipe_worker.debug import run  # type: ignore[import-not-found] # costs 20 ms
    else:
        os.dup2(1, 2)  # one stream, so that what is printed to both keeps its order in the log
    use_utf8()
    sys.path.insert(0, os.getcwd())  # as `python -m` does, which is how KFP starts its executor
    return int(run(argument))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
