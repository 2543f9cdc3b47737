"""Pauses of a task, which end when their user removes a file."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Mapping

#: The seconds between two looks at the file.
_INTERVAL = 0.2

#: The exit code of a task that is interrupted while it is paused: the shell's convention for SIGINT.
_INTERRUPTED = 130


def run_with_pauses(pause: Mapping[str, Any], run: Callable[[], int]) -> int:
    """Run a task, and pause before or after it.

    Args:
        pause: `file`, which exists during a pause, and the booleans `before`, `after_success` and `after_failure`.
        run: runs the task, and returns its exit code.
    """
    try:
        if pause["before"]:
            _wait(pause["file"], "before it runs")
        code = run()
        if pause["after_failure" if code else "after_success"]:
            _wait(pause["file"], "after it has failed" if code else "after it has succeeded")
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _wait(path: str, where: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(where + "\n")
    print(f"[paused {where}; to let it continue, remove {path}]", flush=True)
    while os.path.exists(path):
        time.sleep(_INTERVAL)
