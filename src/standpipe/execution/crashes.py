"""Crashes of a task in C code: what `faulthandler` wrote to its log, without the frames of Standpipe and of the SDK."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile

#: The first line of a report, and the first ones of what follows it: frames of C (Python 3.14), and a list of modules.
_HEADING = "Fatal Python error: "
_REST = ("Current thread's C stack trace", "Extension modules: ")

#: A frame of the code that calls the user's function: the worker's, at its path here or in a container, or the SDK's.
_CALLER = re.compile(r'  File "[^"]*/(?:standpipe/worker/\w+|kfp/dsl/executor\w*)\.py", line \d+ in ')


def drop_caller_frames(lines: Iterable[str]) -> list[str]:
    """Return lines of a log without those of a crash report that are about the code which calls the user's function."""
    return [line for line in lines if not _CALLER.match(line)]


def find_crash(log: str) -> str:
    """Return the Python stacks in the last crash report of a log; empty if it has none."""
    lines = log.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(_HEADING)]
    if not starts:
        return ""
    report = takewhile(lambda line: not line.startswith(_REST), lines[starts[-1] :])
    return "\n".join(drop_caller_frames(report)).rstrip()
