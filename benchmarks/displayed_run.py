"""Run a pipeline of many trivial tasks, quiet or displayed on a pseudo-terminal; print the seconds as JSON.

Usage: `displayed_run.py FOLDER quiet|live TASKS`. A thread reads what is written to the terminal, and draws nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import sys
import termios
import threading
import time

from standpipe import dsl, local
from standpipe.dsl.base_component import BaseComponent


@dsl.component
def add_one(x: int) -> int:
    return x + 1


def pipeline_of(tasks: int) -> BaseComponent:
    """Return a pipeline of so many tasks, a tenth of them one after the other, the rest in a loop."""

    @dsl.pipeline
    def many() -> None:
        previous = add_one(x=0)
        for _ in range(tasks // 10 - 1):
            previous = add_one(x=previous.output)
        with dsl.ParallelFor([*range(tasks - tasks // 10)]) as item:
            add_one(x=item)

    return many


def open_terminal() -> None:
    """Make a pseudo-terminal the standard output of this process, with a thread that reads it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))

    def read() -> None:
        while os.read(ours, 65536):
            pass

    os.dup2(theirs, 1)
    os.close(theirs)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    threading.Thread(target=read, daemon=True).start()


def main() -> None:
    """Measure one run, after a short one that prepares the environment."""
    root, mode, tasks = sys.argv[1], sys.argv[2], int(sys.argv[3])
    result = os.dup(1)
    os.environ.pop("CI", None)
    os.environ["TERM"] = "xterm"
    if mode == "live":
        open_terminal()
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, quiet=mode == "quiet")
    local.run(pipeline_of(20), {})
    started = time.perf_counter()
    local.run(pipeline_of(tasks), {})
    seconds = time.perf_counter() - started
    os.write(result, (json.dumps({"seconds": seconds}) + "\n").encode())


if __name__ == "__main__":
    main()
