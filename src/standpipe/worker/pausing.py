"""Pauses of a task, which end when their user removes a file."""

from __future__ import annotations

import atexit
import os
import time
from contextlib import suppress
from typing import Any, Callable, List, Mapping, Sequence

from .source import unload

#: The seconds between two looks at the file.
_INTERVAL = 0.2

#: The exit code of a task that is interrupted: the shell's convention for SIGINT.
INTERRUPTED = 130


def run_with_pauses(pause: Mapping[str, Any], run: Callable[[], int]) -> int:
    """Run a task, and pause before it, or after it, when the process has little left to do but to end.

    As on a cluster, which keeps a container whose process has ended, exit handlers have been called by then, and what
    the component has left open is closed, so that its files are complete.

    Args:
        pause: `file`, which exists during a pause, and the booleans `before`, `after_success` and `after_failure`.
        run: runs the task, and returns its exit code.
    """
    codes: List[int] = []
    atexit.register(_pause_after, pause, codes)  # the first one, so that it is called after all others
    try:
        if pause["before"]:
            wait(pause["file"], "before it runs")
    except KeyboardInterrupt:
        return INTERRUPTED
    codes.append(run())
    return codes[0]


def _pause_after(pause: Mapping[str, Any], codes: Sequence[int]) -> None:
    # A task that was interrupted is cancelled, and ends.
    if codes and codes[0] != INTERRUPTED and pause["after_failure" if codes[0] else "after_success"]:
        unload()
        with suppress(KeyboardInterrupt):
            wait(pause["file"], "after it has failed" if codes[0] else "after it has succeeded")


def wait(path: str, where: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(where + "\n")
    print(f"[paused {where}; to let it continue, remove {path}]", flush=True)
    while os.path.exists(path):
        time.sleep(_INTERVAL)
