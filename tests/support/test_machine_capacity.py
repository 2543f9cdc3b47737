"""The capacity of this machine, of containers and of services."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from standpipe.model.resources import Capacity
from standpipe.support.machine_capacity import read_available_memory, read_capacity

GIB = 1024**3
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
V2 = "31 23 0:38 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
V1 = (
    "30 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 30 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 30 0:32 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


def system(root: Path, groups: str, mounts: str, **files: str) -> Path:
    """Return a root folder with control groups and mounts; `__` in the names of files stands for `/`."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(groups)
    (root / "proc" / "self" / "mountinfo").write_text("23 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts)
    write(root / "sys" / "fs" / "cgroup", files)
    return root


def write(place: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = place.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def test_the_capacity_of_this_machine_is_read_quickly() -> None:
    read_capacity()
    took = []
    for _ in range(20):
        start = time.perf_counter()
        found = read_capacity(environ={})
        took.append(time.perf_counter() - start)

    assert 0 < found.cpu <= (os.cpu_count() or 1)
    assert 64 * 1024**2 < found.memory < 2**62
    assert min(took) < 0.005


def test_without_control_groups_the_capacity_is_the_machine(tmp_path: Path) -> None:
    assert read_capacity(tmp_path, {}) == Capacity(
        float(CORES or 1), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    )


def test_the_control_group_limits_the_capacity(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/\n", V2, **{"cpu.max": "50000 100000", "memory.max": str(GIB // 8)})

    assert read_capacity(root, {}) == Capacity(0.5, GIB // 8)


def test_parent_groups_limit_the_capacity(tmp_path: Path) -> None:
    files = {
        "a__b__cpu.max": "max 100000",
        "a__b__memory.max": str(GIB // 4),
        "a__cpu.max": "25000 100000",
        "a__memory.max": "max",
        "memory.max": str(GIB // 8),
        "c__memory.max": "1",
    }
    assert read_capacity(system(tmp_path, "0::/a/b\n", V2, **files), {}) == Capacity(0.25, GIB // 8)


@pytest.mark.parametrize(
    ("path", "shown", "place"), [("/docker/1", "/docker/1", ""), ("/docker/1", "/", "docker__1__")]
)
def test_groups_of_version_1_limit_the_capacity(tmp_path: Path, path: str, shown: str, place: str) -> None:
    files = {
        f"cpu,cpuacct__{place}cpu.cfs_quota_us": "20000",
        f"cpu,cpuacct__{place}cpu.cfs_period_us": "100000",
        f"memory__{place}memory.limit_in_bytes": str(GIB // 16),
    }
    root = system(tmp_path, f"9:memory:{path}\n4:cpu,cpuacct:{path}\n0::/\n", V1.format(root=shown), **files)

    assert read_capacity(root, {}) == Capacity(0.2, GIB // 16)


def test_groups_of_version_1_without_limits(tmp_path: Path) -> None:
    files = {
        "cpu,cpuacct__cpu.cfs_quota_us": "-1",
        "cpu,cpuacct__cpu.cfs_period_us": "100000",
        "memory__memory.limit_in_bytes": "9223372036854771712",
    }
    root = system(tmp_path, "9:memory:/\n4:cpu,cpuacct:/\n", V1.format(root="/"), **files)

    assert read_capacity(root, {}) == read_capacity(tmp_path / "nothing", {})


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("0,2", ("0", "2")), ("GPU-1, 3", ("GPU-1", "3")), ("", ()), ("-1", ()), ("1,-1,2", ("1",))],
)
def test_the_variable_selects_accelerators(tmp_path: Path, variable: str, expected: tuple[str, ...]) -> None:
    write(tmp_path, {"dev__nvidia0": ""})

    assert read_capacity(tmp_path, {"CUDA_VISIBLE_DEVICES": variable}).gpus == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["dev__nvidia0", "dev__nvidia1", "dev__nvidiactl", "dev__nvidia-uvm"], ("0", "1")),
        (["dev__nvidia3"], ("0",)),  # CUDA numbers the accelerators of a container from 0
        (["dev__null", "proc__driver__nvidia__gpus__0000:01:00.0__information"], ("0",)),
        (["dev__null"], ()),
    ],
)
def test_accelerators_are_found(tmp_path: Path, files: list[str], expected: tuple[str, ...]) -> None:
    write(tmp_path, dict.fromkeys(files, ""))

    assert read_capacity(tmp_path, {}).gpus == expected


def test_the_available_memory_is_what_the_system_says(tmp_path: Path) -> None:
    write(tmp_path, {"proc__meminfo": "MemTotal: 8 kB\nMemFree: 1 kB\nMemAvailable:    4096 kB\nBuffers: 2 kB"})
    assert read_available_memory(tmp_path) == 4096 * 1024
    assert read_available_memory(tmp_path / "missing") > 2**60
    assert read_available_memory() < read_capacity().memory * 2
