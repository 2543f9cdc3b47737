"""The resource usage of a task: of its process, and of the child processes that it has waited for."""

from __future__ import annotations

import json
import resource
import sys
from contextlib import suppress
from typing import Any, Dict, Optional

#: The unit of `ru_maxrss`, in bytes (getrusage(2)).
_UNIT = 1 if sys.platform == "darwin" else 1024

#: The files that count the processes of a container which the kernel has killed for their memory: in version 2 of
#: control groups, and in version 1.
_KILL_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def current() -> Dict[str, Any]:
    """Return the usage of this process and its children until now; see `from_rusage`."""
    own, children = (
        from_rusage(resource.getrusage(resource.RUSAGE_SELF)),
        from_rusage(resource.getrusage(resource.RUSAGE_CHILDREN)),
    )
    return {
        "cpu_seconds": own["cpu_seconds"] + children["cpu_seconds"],
        "peak_memory": max(own["peak_memory"], children["peak_memory"]),
    }


def from_rusage(usage: Any) -> Dict[str, Any]:
    """Convert a result of `os.wait4` or `getrusage`.

    `cpu_seconds` is the time of all processes together; `peak_memory`, in bytes, is that of the largest one.
    """
    return {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_memory": usage.ru_maxrss * _UNIT}


def write(path: str, exit_code: Optional[int] = None) -> None:
    """Write the usage until now into a file, as JSON.

    If the exit code of this process is known already, it is written, too, with the number of `memory_kills`, as a
    container has failed if the kernel has killed one of its processes for its memory.
    """
    content = current()
    if exit_code is not None:
        content.update(exit_code=exit_code, memory_kills=count_memory_kills())
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)


def count_memory_kills() -> Optional[int]:
    """Return how many processes of this container the kernel has killed for their memory; None if that is unknown."""
    for path in _KILL_COUNTERS:
        with suppress(OSError, KeyError, ValueError), open(path, encoding="ascii") as file:
            return int(dict(map(str.split, file))["oom_kill"])
    return None
