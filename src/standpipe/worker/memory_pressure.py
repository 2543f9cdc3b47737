"""Whether memory runs out, upon which a template process without tasks gives up its own."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import List, Tuple

#: The share of the memory that has to be available.
_SHARE = 0.1

#: The folder of control groups of version 2 (cgroups(7)); others are not looked at.
_GROUPS = "/sys/fs/cgroup"


def is_memory_scarce() -> bool:
    """Return whether less than a tenth of the memory of this machine or control group is available.

    False where that is unknown. The page cache counts as available, as the system gives it up when memory is needed.
    """
    return any(available < _SHARE * total for available, total in (*_machine(), *_group()))


def _machine() -> List[Tuple[int, int]]:
    sizes = dict(re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE))
    return [(int(sizes["MemAvailable"]), int(sizes["MemTotal"]))] if len(sizes) == 2 else []


def _group() -> List[Tuple[int, int]]:
    match = re.search(r"^0::(/.*)$", _read("/proc/self/cgroup"), re.MULTILINE)
    folder = _GROUPS + (match.group(1).rstrip("/") if match else "")
    limit, used = _read(f"{folder}/memory.max").strip(), _read(f"{folder}/memory.current").strip()
    cache = re.search(r"^inactive_file (\d+)", _read(f"{folder}/memory.stat"), re.MULTILINE)
    if not limit.isdigit() or not used.isdigit():
        return []
    return [(int(limit) - int(used) + (int(cache.group(1)) if cache else 0), int(limit))]


def _read(path: str) -> str:
    with suppress(OSError), open(path) as file:
        return file.read()
    return ""
