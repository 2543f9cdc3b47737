"""The terminal of this process, which tasks with a breakpoint use as well."""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import suppress


def terminal_path() -> str:
    """Return the path of the terminal at which the user types for this process; empty if there is none."""
    with suppress(OSError, ValueError):  # it is closed, or not a file
        if sys.stdin is not None and sys.stdin.isatty():
            number = sys.stdin.fileno()
            return os.ttyname(number) if _is_in_foreground(number) else ""
    return ""


def _is_in_foreground(descriptor: int) -> bool:
    """Return whether this process gets what is typed at a terminal, and not the shell that has started it."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True  # it is not the terminal of its session, and so no shell's


def is_terminal_held(path: str) -> bool:
    """Return whether a task holds the lock of a terminal, at which its user talks to a debugger.

    Args:
        path: the path of the terminal.
    """
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOCTTY)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # this system has no locks of terminals, or the terminal was closed
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return False
