"""The resource usage of a task: of its process, and of the child processes that it has waited for."""

from __future__ import annotations

import json
import resource
import sys
from typing import Any, Dict, Optional

#: The unit of `ru_maxrss`, in bytes (getrusage(2)).
_UNIT = 1 if sys.platform == "darwin" else 1024


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
    """Write the usage until now into a file, as JSON, with the exit code of this process if it is known already."""
    content = current() if exit_code is None else {**current(), "exit_code": exit_code}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)
