"""Processes that outlive their parents: what a task left running although it is not in the task's group any more.

A daemon has a session of its own, so no signal to the task's group reaches it, and Linux gives it to init when its
parent ends; unless a process above has asked to have it (`PR_SET_CHILD_SUBREAPER`, prctl(2)). Each task asks, so that
its daemons are its own as long as it lives, and the fork server asks, so that they are its own afterwards.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import List

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

#: How long what was killed may take to be gone, in seconds, and how often to look.
_DIES_WITHIN = 1.0
_PAUSE = 0.001


def adopt() -> bool:
    """Lets this process have the orphans among its descendants; returns whether the system does that."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> bool:
    """Has the kernel kill this process when its parent dies; returns whether the system does that."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def end() -> None:
    """Kills the children of this process, and then those that they leave, until there is none that dies in time."""
    limit = time.monotonic() + _DIES_WITHIN
    while (left := children()) and time.monotonic() < limit:
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):  # it has ended, or runs as another user by now
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # there is none left
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(_PAUSE)


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    with suppress(ImportError, AttributeError, OSError):  # a Python without ctypes, a C library without prctl
        import ctypes  # costs 5 ms, which only the fork server pays

        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    return False


def children() -> List[int]:
    """The children of this process, which has one thread; none where the system does not tell (proc(5))."""
    with suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]
    return []
