"""Whether memory runs out: then a template process without tasks ends, and no other one starts."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Iterator, List, Tuple

#: The share of the memory that has to be available.
_SHARE = 0.1

#: The folder of control groups of version 2 (cgroups(7)); others are not looked at.
_GROUPS = "/sys/fs/cgroup"


def is_memory_scarce() -> bool:
    """Return whether less than a tenth of the memory is available, of this machine or of a control group around it.

    False where that is unknown. The page cache counts as available, as the system gives it up when memory is needed.
    """
    return any(available < _SHARE * total for available, total in (*_machine(), *_groups()))


def _machine() -> List[Tuple[int, int]]:
    sizes = dict(re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE))
    return [(int(sizes["MemAvailable"]), int(sizes["MemTotal"]))] if len(sizes) == 2 else []


def _groups() -> Iterator[Tuple[int, int]]:
    """Yield the available bytes and the limit of the group of this process and of each around it that has one."""
    match = re.search(r"^0::(/.*)$", _read("/proc/self/cgroup"), re.MULTILINE)
    path = match.group(1).rstrip("/") if match else ""
    while True:
        folder = _GROUPS + path
        limit, used = _read(f"{folder}/memory.max").strip(), _read(f"{folder}/memory.current").strip()
        cache = re.search(r"^inactive_file (\d+)", _read(f"{folder}/memory.stat"), re.MULTILINE)
        if limit.isdigit() and used.isdigit():
            yield int(limit) - int(used) + (int(cache.group(1)) if cache else 0), int(limit)
        if not path:
            return
        path = path.rpartition("/")[0]


def _read(path: str) -> str:
    with suppress(OSError), open(path) as file:
        return file.read()
    return ""
