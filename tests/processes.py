"""Processes that tests start together or wait for."""

from __future__ import annotations

import os
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


def process_ids() -> list[int]:
    """Return the ids of all processes; any of them may end meanwhile.

    `Path("/proc").glob` raises `ProcessLookupError` if one ends while it looks at it.
    """
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read_process(pid: int, file: str) -> bytes:
    """Return a file of a process in `/proc`; nothing if the process has ended, or belongs to another user."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def has_variable(pid: int, variable: str) -> bool:
    """Return whether a process was started with an environment variable, written as `NAME=value`."""
    return variable.encode() in read_process(pid, "environ").split(b"\0")


def command_of(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    return read_process(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    return read_process(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"], [b"X"])


def wait_until(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Wait until a condition is true, and return whether it became true within some seconds."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.005)
    return True
