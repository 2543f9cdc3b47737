"""The capacity of the machine that this process may use: CPU cores, memory and accelerators.

Control groups of version 1 or 2 (cgroups(7)) limit the share of a container or a service; the limits of parent groups
apply, too. All values are read from files, in less than a millisecond.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from standpipe.model.resources import Capacity
from standpipe.support.system_files import read_text

#: The memory, in bytes, of a system that does not report it: more than any task requests.
_UNKNOWN_MEMORY = 2**62

_GPU = re.compile(r"nvidia\d+")


def read_capacity(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> Capacity:
    """Return the capacity that this process may use now.

    Args:
        root: the folder that contains `/proc`, `/sys` and `/dev`.
        environ: environment variables; `CUDA_VISIBLE_DEVICES` selects accelerators.
    """
    groups = list(_find_groups(root))
    return Capacity(
        cpu=min([float(count_cores()), *(limit for group in groups for limit in _read_cpu_limit(group))]),
        memory=min([_read_memory(), *(limit for group in groups for limit in _read_memory_limit(group))]),
        gpus=_find_gpus(root, environ),
    )


def read_available_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that processes can get now without swapping; a lot where the system does not say."""
    return _read_meminfo(root).get("MemAvailable", _UNKNOWN_MEMORY)


def read_memory_use(root: Path = Path("/")) -> tuple[int, int] | None:
    """Return the bytes of memory that all of this machine uses, and those that it has; None where it does not say."""
    amounts = _read_meminfo(root)
    if "MemAvailable" not in amounts or "MemTotal" not in amounts:
        return None
    return amounts["MemTotal"] - amounts["MemAvailable"], amounts["MemTotal"]


def _read_meminfo(root: Path) -> dict[str, int]:
    """Return the first amounts in `/proc/meminfo`, in bytes; none where there is no such file."""
    lines = (line.partition(":") for line in read_text(root / "proc/meminfo").splitlines()[:5])
    return {name: int(amount.split()[0]) * 1024 for name, _, amount in lines if amount.strip()}


def count_cores() -> int:
    """Return on how many cores this process may run, whatever share of them it may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no CPU affinity


def _read_memory() -> int:
    with suppress(ValueError, OSError):  # the system does not have these names
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _UNKNOWN_MEMORY


def _find_groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the control groups of this process and of their parent groups."""
    own = [line.split(":", 2) for line in read_text(root / "proc/self/cgroup").splitlines()]
    paths = {name: path for _, controllers, path in own for name in controllers.split(",")}
    for line in read_text(root / "proc/self/mountinfo").splitlines():
        mount_fields, _, system_fields = line.partition(" - ")
        kind, _, options = system_fields.split()[:3]
        names = {"cgroup2": {""}, "cgroup": {"cpu", "memory"} & set(options.split(","))}.get(kind, set())
        mounted, mount_point = mount_fields.split()[3:5]
        for path in {paths[name] for name in names if name in paths}:
            if path == mounted or path.startswith(mounted.rstrip("/") + "/"):
                inner = Path(os.path.relpath(path, mounted))
                yield from (root / mount_point.lstrip("/") / part for part in (inner, *inner.parents))


def _read_cpu_limit(group: Path) -> Iterator[float]:
    """Yield the number of cores that a group may use; nothing if it is not limited."""
    quota, _, period = read_text(group / "cpu.max").partition(" ")  # version 2; `max` without a limit
    if not quota:  # version 1; -1 without a limit
        quota, period = read_text(group / "cpu.cfs_quota_us"), read_text(group / "cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period):
        yield int(quota) / int(period)


def _read_memory_limit(group: Path) -> Iterator[int]:
    """Yield the bytes of memory that a group may use; nothing if they are not limited."""
    # Without a limit, version 2 has `max`, and version 1 a number that is larger than any memory.
    limit = read_text(group / "memory.max") or read_text(group / "memory.limit_in_bytes")
    if limit.isdigit():
        yield int(limit)


def _find_gpus(root: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return CUDA's identifiers of the accelerators: those in `CUDA_VISIBLE_DEVICES`, otherwise numbers from 0.

    CUDA ignores all identifiers after the first invalid one
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#env-vars).
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        end = next((index for index, name in enumerate(names) if name in ("", "-1")), len(names))
        return tuple(names[:end])
    devices = [name for name in _list_names(root / "dev") if _GPU.fullmatch(name)]
    devices = devices or _list_names(root / "proc/driver/nvidia/gpus")
    return tuple(map(str, range(len(devices))))


def _list_names(folder: Path) -> list[str]:
    with suppress(OSError):  # the folder does not exist
        return os.listdir(folder)
    return []
