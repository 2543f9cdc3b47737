"""The limits of a task's process, set before the user's code runs; child processes inherit them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Mapping

from . import orphans


def enter(limits: Mapping[str, Any]) -> bool:
    """Limit this process; return whether it has joined a control group, which enforces all limits.

    Args:
        limits: `group` is the file to write to in order to join a control group (cgroup v2). Without it, or if joining
            fails, `data` is the most private memory of each process, in bytes, and `cores` are those it may run on.
    """
    if limits.get("group") and _join(limits["group"]):
        orphans.die_with_parent()  # it has left the group of its service, which may be killed as a whole
        return True
    if limits.get("data"):
        _limit_data(limits["data"])
    if limits.get("cores") and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):  # these cores were taken offline: it runs on the others
            os.sched_setaffinity(0, limits["cores"])
    return False


def _join(group: str) -> bool:
    with suppress(OSError):  # this user may create groups there, but not move processes into them
        with open(group, "wb", buffering=0) as file:
            file.write(b"0")
        return True
    return False


def _limit_data(size: int) -> None:
    """Limit the private, writable memory of each process (`RLIMIT_DATA`).

    `RLIMIT_AS` would count reserved address space, too, of which CUDA, Java and Go take many times what they use.
    """
    import resource  # few tasks have a limit

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = size if hard == resource.RLIM_INFINITY else min(size, hard)
    with suppress(ValueError, OSError):  # a second line of defence, which some systems lack
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
