"""Processes that outlive their parents: daemons that a task leaves running outside of its process group.

A daemon has a session of its own, so signals to the task's group do not reach it. When its parent ends, Linux makes it
a child of init, unless a process above is a subreaper (`PR_SET_CHILD_SUBREAPER`, prctl(2)). Each task is one, so that
its daemons are below it as long as it lives, and so is the fork server, which has them afterwards.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any, Callable, List, Optional

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

#: How long killed processes may take to end, and the time between two checks, in seconds.
_KILL_TIMEOUT = 1.0
_PAUSE = 0.001


def adopt() -> bool:
    """Make this process adopt the orphans among its descendants; return whether the system supports that."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> bool:
    """Make the kernel kill this process when its parent dies; return whether the system supports that."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_children() -> None:
    """Kill the children of this process, then the orphans that they leave, until none is left or time is up."""
    limit = time.monotonic() + _KILL_TIMEOUT
    while (pids := children()) and time.monotonic() < limit:
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):  # it has ended, or runs as another user by now
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # there is none left
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(_PAUSE)


def _prctl(option: int, value: int) -> bool:
    prctl = _prctl_of_c()
    return prctl is not None and prctl(option, value, 0, 0, 0) == 0


@lru_cache(maxsize=None)  # forked tasks use the server's: to load it again touches 100 pages, which are then copied
def _prctl_of_c() -> Optional[Callable[..., Any]]:
    """Return the C function prctl(2); None if the system has none, or this Python cannot call it."""
    if sys.platform == "linux":
        with suppress(ImportError, AttributeError, OSError):  # a Python without ctypes, a C library without prctl
            import ctypes  # costs 5 ms, once per fork server

            return ctypes.CDLL(None).prctl
    return None


def children() -> List[int]:
    """Return the children of this process, which has one thread; none where there is no /proc (proc(5))."""
    with suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children", "rb", buffering=0) as file:
        return list(map(int, file.read().split()))  # unbuffered, as every task pays for it
    return []
