"""Control groups (cgroup v2): the kernel's limits for a set of processes, where this user may create such groups.

The rules are those of https://docs.kernel.org/admin-guide/cgroup-v2.html. Most users may not create any: whatever
fails here means that the task is limited by other means.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from standpipe.model.resources import Limits
from standpipe.support.forking import Descriptor
from standpipe.support.locks import open_for_locking, try_lock, unlock
from standpipe.support.properties import cached_property
from standpipe.support.system_files import read_text

#: The period of a group's CPU quota, and the smallest quota, in microseconds.
_PERIOD = 100_000
_SMALLEST_QUOTA = 1_000

#: How often a group whose processes were killed is tried to be removed, and the seconds between two tries.
_REMOVAL_TRIES = 50
_PAUSE = 0.002

#: The numbers of this process's groups; it may have several runners.
_numbers_of_groups = itertools.count()


@dataclass(frozen=True)
class Usage:
    """The resources that the processes of a group used together.

    `kills` is the number of processes that the kernel killed for memory. `peak_memory`, in bytes, is what counts
    towards the limit: it includes cached files, which the kernel drops before it kills, and excludes memory that is
    shared with the process that they were forked from.
    """

    cpu_seconds: float | None
    peak_memory: int | None
    kills: int


class Group:
    """A control group for one attempt. Its folder is locked for as long as this process lives (`_sweep`)."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        folder.mkdir()
        try:
            self._lock = _lock(folder)
        except OSError:
            folder.rmdir()
            raise
        try:
            self._limit(limits)
        except OSError:
            unlock(self._lock)
            folder.rmdir()
            raise

    @property
    def join_file(self) -> str:
        """The path of the file that a process writes `0` to in order to join the group."""
        return str(self._folder / "cgroup.procs")

    def usage(self) -> Usage:
        """Return the usage until now; kernels before 5.19 do not report the peak memory."""
        microseconds = _numbers(self._folder / "cpu.stat").get("usage_usec")
        events = _numbers(self._folder / "memory.events")
        peak = read_text(self._folder / "memory.peak")
        return Usage(
            None if microseconds is None else microseconds / 1e6,
            int(peak) if peak.isdigit() else None,
            events.get("oom_kill", 0),
        )

    def remove(self) -> None:
        """Kill what is left in the group, and remove it, or leave that to a later sweep if a process takes too long."""
        _kill_and_remove(self._folder)
        unlock(self._lock)

    def _limit(self, limits: Limits) -> None:
        if limits.memory is not None:
            _write(self._folder / "memory.max", str(limits.memory))
            with suppress(OSError):  # a kernel without swap
                _write(self._folder / "memory.swap.max", "0")
            _write(self._folder / "memory.oom.group", "1")
        if limits.cpu is not None:
            quota = max(_SMALLEST_QUOTA, round(limits.cpu * _PERIOD))
            _write(self._folder / "cpu.max", f"{quota} {_PERIOD}")


class ControlGroups:
    """Creates control groups, below the nearest group above this process where that is allowed.

    Args:
        proc: the proc file system.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def create(self, limits: Limits) -> Group | None:
        """Create a group with these limits; return None if that is not possible."""
        needed = {name for name, limit in (("memory", limits.memory), ("cpu", limits.cpu)) if limit is not None}
        for folder in self._ancestors:
            with suppress(OSError):  # no permission, or it holds processes, and such a group may have none below it
                _enable(folder, needed)
                return Group(folder / f"standpipe-{os.getpid()}-{next(_numbers_of_groups)}", limits)
        return None

    @cached_property
    def _ancestors(self) -> list[Path]:
        """The groups that this process is in, its own first, without what killed programs have left in them."""
        mount, root = self._mount()
        lines = read_text(self._proc / "self" / "cgroup").splitlines()
        own = next((line[3:] for line in lines if line[:3] == "0::"), "")
        if mount is None or not own or "/.." in own or not Path(own).is_relative_to(root):
            return []
        folder = mount / Path(own).relative_to(root)
        ancestors = [folder, *folder.parents][: len(Path(own).relative_to(root).parts) + 1]
        for ancestor in ancestors:
            _sweep(ancestor)
        return ancestors

    def _mount(self) -> tuple[Path | None, str]:
        """Return where cgroup v2 is mounted, and the group at the root of the mount."""
        for line in read_text(self._proc / "self" / "mountinfo").splitlines():
            fields, _, kind = line.partition(" - ")
            if kind.startswith("cgroup2 "):
                root, mount = fields.split()[3:5]
                return Path(mount), root
        return None, ""


def _enable(folder: Path, controllers: set[str]) -> None:
    """Enable controllers for the groups below a group.

    In a group that holds processes, the kernel lets us enable `cpu` but not `memory`; but then the group becomes the
    root of a threaded subtree, and no process can join the groups below it. So such a group is left alone, unless it
    is the root of all groups, which may hold processes and has no type.

    Raises:
        OSError: if they cannot be enabled.
    """
    kind = read_text(folder / "cgroup.type")
    if kind and (kind != "domain" or read_text(folder / "cgroup.procs")):
        raise OSError(f"{folder} is {kind}, or holds processes")
    missing = controllers - set(read_text(folder / "cgroup.subtree_control").split())
    if missing - set(read_text(folder / "cgroup.controllers").split()):
        raise OSError(f"{folder} does not have all of {controllers}")
    if missing:
        _write(folder / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(missing)))


def _sweep(folder: Path) -> None:
    """Remove the groups of programs that were killed, with the processes in them.

    Locks tell which programs live. Process ids do not: a program in a container has another id there.
    """
    for group in folder.glob("standpipe-*-*"):
        with suppress(OSError):  # its program lives, or another process removes it
            lock = _lock(group)
            _kill_and_remove(group)
            unlock(lock)


def _lock(folder: Path) -> Descriptor:
    """Lock a folder. The lock ends with `unlock`, at the latest with this process.

    Raises:
        OSError: if another process has locked it, or it does not exist any more.
    """
    lock = open_for_locking(partial(os.open, folder, os.O_RDONLY | os.O_CLOEXEC))
    if not try_lock(lock.number):
        unlock(lock)
        raise BlockingIOError(f"{folder} is locked by another process")
    return lock


def _kill_and_remove(folder: Path) -> None:
    """Kill the processes of a group, and remove it if they end in time."""
    with suppress(OSError):  # a kernel before 5.14; the runner has killed the processes that it knows of
        _write(folder / "cgroup.kill", "1")
    for _ in range(_REMOVAL_TRIES):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:  # another user's; otherwise a process in it has not ended yet
                return
        else:
            return
        time.sleep(_PAUSE)


def _numbers(path: Path) -> dict[str, int]:
    """Parse a file with a name and a number in each line."""
    pairs = (line.split() for line in read_text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _write(path: Path, text: str) -> None:
    with open(path, "wb", buffering=0) as file:  # the kernel needs a setting in a single write
        file.write(text.encode())
