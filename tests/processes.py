"""Processes that tests start together or wait for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def run_together(program: str, arguments: Sequence[Sequence[str]], rounds: int = 1) -> list[str]:
    """Run a program in one process for each list of arguments, and begin each round in all of them at the same time.

    Before each round, the program calls `print(flush=True)` and then `input()`.

    Returns:
        What each process wrote to its standard error.
    """
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, *each],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in arguments
    ]
    for _ in range(rounds):
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        for process in running:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it has failed, which its standard error tells
                process.stdin.write("\n")
                process.stdin.flush()
    return [process.communicate()[1] for process in running]


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before the file was opened, or while it was read
        return False


def wait_until(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Wait until a condition is true, and return whether it became true within some seconds."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.005)
    return True
