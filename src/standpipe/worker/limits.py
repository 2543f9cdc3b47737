"""Puts a task's process under its limits, before any code of the user's runs; all that it starts inherits them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Mapping

from . import orphans


def enter(limits: Mapping[str, Any]) -> bool:
    """Limits this process; returns whether a control group does it, which needs nothing else.

    `group` is the file that processes join a control group by (cgroup v2); where there is none, or it takes nobody,
    `data` is the most memory of its own that each process may have, in bytes, and `cores` are those it may run on.
    """
    if limits.get("group") and _joined(limits["group"]):
        orphans.die_with_parent()  # whoever ends all processes of a service does not find those in another group
        return True
    if limits.get("data"):
        _limit_data(limits["data"])
    if limits.get("cores") and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):  # the machine has lost these cores since: it runs on those that there are
            os.sched_setaffinity(0, limits["cores"])
    return False


def _joined(group: str) -> bool:
    with suppress(OSError):  # this user may make groups there, and may not move processes into them
        with open(group, "wb", buffering=0) as file:
            file.write(b"0")
        return True
    return False


def _limit_data(size: int) -> None:
    """Lets no process have more private, writable memory than this (`RLIMIT_DATA`).

    `RLIMIT_AS` would count what is only reserved, too, of which CUDA, Java and Go take many times what they use.
    """
    import resource  # few tasks have a limit

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = size if hard == resource.RLIM_INFINITY else min(size, hard)
    with suppress(ValueError, OSError):  # it is a second line of defence, and some systems have none
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
