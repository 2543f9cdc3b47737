"""What a task took of the machine, as the system counts it for a process and for those that it has waited for."""

from __future__ import annotations

import json
import resource
import sys
from typing import Any, Dict

#: The unit of `ru_maxrss`, in bytes (getrusage(2)).
_UNIT = 1 if sys.platform == "darwin" else 1024


def used() -> Dict[str, Any]:
    """What this process and its children have taken until now; see `of`."""
    own, children = of(resource.getrusage(resource.RUSAGE_SELF)), of(resource.getrusage(resource.RUSAGE_CHILDREN))
    return {
        "cpu_seconds": own["cpu_seconds"] + children["cpu_seconds"],
        "peak_memory": max(own["peak_memory"], children["peak_memory"]),
    }


def of(usage: Any) -> Dict[str, Any]:
    """The numbers in what `os.wait4` and `getrusage` give.

    `cpu_seconds` is the time of all processes together; `peak_memory` is in bytes, that of the largest of them.
    """
    return {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_memory": usage.ru_maxrss * _UNIT}


def leave(path: str) -> None:
    """Writes what was used until now into a file, as JSON."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(used(), file)
