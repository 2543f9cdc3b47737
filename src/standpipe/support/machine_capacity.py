"""What this process may use of the machine: its cores, its memory and its accelerators.

A container or a service has its share by control groups, of version 1 or 2 (cgroups(7)); what a group above ours may
use bounds ours, too. Everything is read from files, in less than a millisecond.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from standpipe.model.resources import Capacity
from standpipe.support.system_files import read_text

#: What a system is taken to have that does not tell how much memory it has: more than any task asks for.
_UNKNOWN = 2**62

_GPU = re.compile(r"nvidia\d+")


def capacity(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> Capacity:
    """What there is, at the moment of the call.

    Args:
        root: where the files are in which Linux tells of itself.
        environ: where `CUDA_VISIBLE_DEVICES` may say which accelerators are to be used.
    """
    groups = list(_groups(root))
    return Capacity(
        cpu=min([float(_cores()), *(share for group in groups for share in _shares(group))]),
        memory=min([_memory(), *(limit for group in groups for limit in _limits(group))]),
        gpus=_gpus(root, environ),
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS lets nobody choose among its cores


def _memory() -> int:
    with suppress(ValueError, OSError):  # a system without these names
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _UNKNOWN


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups that this process is in, with those of the groups above."""
    own = [line.split(":", 2) for line in read_text(root / "proc/self/cgroup").splitlines()]
    paths = {name: path for _, controllers, path in own for name in controllers.split(",")}
    for line in read_text(root / "proc/self/mountinfo").splitlines():
        place, _, system = line.partition(" - ")
        kind, _, options = system.split()[:3]
        names = {"cgroup2": {""}, "cgroup": {"cpu", "memory"} & set(options.split(","))}.get(kind, set())
        shown, mount = place.split()[3:5]
        for path in {paths[name] for name in names if name in paths}:
            if path == shown or path.startswith(shown.rstrip("/") + "/"):
                inner = Path(os.path.relpath(path, shown))
                yield from (root / mount.lstrip("/") / part for part in (inner, *inner.parents))


def _shares(group: Path) -> Iterator[float]:
    """The cores that a group may use, if that is limited."""
    quota, _, period = read_text(group / "cpu.max").partition(" ")  # version 2; `max` is no limit
    if not quota:
        quota = read_text(group / "cpu.cfs_quota_us")  # version 1; -1 is no limit
        period = read_text(group / "cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period):
        yield int(quota) / int(period)


def _limits(group: Path) -> Iterator[int]:
    """The memory that a group may use, if that is limited."""
    # Without a limit, version 2 says `max`, and version 1 more than any machine has.
    limit = read_text(group / "memory.max") or read_text(group / "memory.limit_in_bytes")
    if limit.isdigit():
        yield int(limit)


def _gpus(root: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """CUDA's names for the accelerators: as the variable says, else their numbers, from 0.

    What the variable names after something that is none is not visible to CUDA either
    (https://docs.nvidia.com/cuda/cuda-c-programming-guide/#env-vars).
    """
    given = environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        end = next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))
        return tuple(names[:end])
    found = [name for name in _names(root / "dev") if _GPU.fullmatch(name)] or _names(root / "proc/driver/nvidia/gpus")
    return tuple(map(str, range(len(found))))


def _names(folder: Path) -> list[str]:
    with suppress(OSError):  # there is none
        return os.listdir(folder)
    return []
