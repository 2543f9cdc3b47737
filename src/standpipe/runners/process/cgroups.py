"""Control groups (cgroup v2): the kernel's own limits for a set of processes, where we may make such groups.

The rules are those of https://docs.kernel.org/admin-guide/cgroup-v2.html. Most users may not make any; all that goes
wrong here means that the task is limited in the other way.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from standpipe.model.resources import Limits
from standpipe.support.locks import try_lock

#: The period, in microseconds, for which a group has its share of the cores, and the smallest share.
_PERIOD = 100_000
_SMALLEST_SHARE = 1_000

#: How often, and after how many seconds each time, an attempt is made to remove a group whose processes were killed.
_TRIES = 50
_PAUSE = 0.002

#: Numbers the groups of this process, which may have many runners at once.
_numbering = itertools.count()


@dataclass(frozen=True)
class Usage:
    """What the processes of a group used together. `kills` is how many of them were killed for memory.

    `peak_memory`, in bytes, is what counts towards the limit: the files that the kernel kept in memory for them, too,
    which it drops rather than kill, and not what they share with the process that they were forked from.
    """

    cpu_seconds: float | None
    peak_memory: int | None
    kills: int


class Group:
    """A control group for one attempt. Its folder is locked for as long as its maker lives (`_sweep`)."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder = folder
        folder.mkdir()
        try:
            self._lock = _locked(folder)
        except OSError:
            folder.rmdir()
            raise
        try:
            self._limit(limits)
        except OSError:
            os.close(self._lock)
            folder.rmdir()
            raise

    @property
    def entrance(self) -> str:
        """The file that a process joins the group by: it writes a 0."""
        return str(self._folder / "cgroup.procs")

    def usage(self) -> Usage:
        """What was used until now; kernels before 5.19 do not tell the peak of memory."""
        microseconds = _numbers(self._folder / "cpu.stat").get("usage_usec")
        events = _numbers(self._folder / "memory.events")
        peak = _text(self._folder / "memory.peak")
        return Usage(
            None if microseconds is None else microseconds / 1e6,
            int(peak) if peak.isdigit() else None,
            events.get("oom_kill", 0),
        )

    def remove(self) -> None:
        """Kills what is left in the group, and removes it. What takes longer to die leaves it to a later sweep."""
        _end(self._folder)
        os.close(self._lock)

    def _limit(self, limits: Limits) -> None:
        if limits.memory is not None:
            _write(self._folder / "memory.max", str(limits.memory))
            with suppress(OSError):  # a kernel without swap
                _write(self._folder / "memory.swap.max", "0")
            _write(self._folder / "memory.oom.group", "1")
        if limits.cpu is not None:
            share = max(_SMALLEST_SHARE, round(limits.cpu * _PERIOD))
            _write(self._folder / "cpu.max", f"{share} {_PERIOD}")


class ControlGroups:
    """Makes control groups, below the nearest group above this process that lets us.

    Args:
        proc: where the system tells of processes.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def group(self, limits: Limits) -> Group | None:
        """A new group with these limits; None if it cannot be had."""
        needed = {name for name, limit in (("memory", limits.memory), ("cpu", limits.cpu)) if limit is not None}
        for folder in self._above:
            with suppress(OSError):  # it is not ours to change, or it holds processes, which then may have no groups
                _enable(folder, needed)
                return Group(folder / f"standpipe-{os.getpid()}-{next(_numbering)}", limits)
        return None

    @cached_property
    def _above(self) -> list[Path]:
        """The groups that this process is in, its own first, which is cleared of what killed programs have left."""
        mount, root = self._mount()
        own = next((line[3:] for line in _text(self._proc / "self" / "cgroup").splitlines() if line[:3] == "0::"), "")
        if mount is None or not own or "/.." in own or not Path(own).is_relative_to(root):
            return []
        folder = mount / Path(own).relative_to(root)
        above = [folder, *folder.parents][: len(Path(own).relative_to(root).parts) + 1]
        for place in above:
            _sweep(place)
        return above

    def _mount(self) -> tuple[Path | None, str]:
        """Where cgroup v2 is mounted, and which group that shows."""
        for line in _text(self._proc / "self" / "mountinfo").splitlines():
            fields, _, kind = line.partition(" - ")
            if kind.startswith("cgroup2 "):
                root, mount = fields.split()[3:5]
                return Path(mount), root
        return None, ""


def _enable(folder: Path, controllers: set[str]) -> None:
    """Has a group control these in the groups below it.

    The kernel lets a group that holds processes control the cores, and no memory; but then it is the root of a tree of
    threads, and no process can join the groups below it. So it is left as it is, unless it is the root of all groups,
    which may hold processes, and has no type.

    Raises:
        OSError: if it cannot.
    """
    kind = _text(folder / "cgroup.type")
    if kind and (kind != "domain" or _text(folder / "cgroup.procs")):
        raise OSError(f"{folder} is {kind}, or holds processes")
    missing = controllers - set(_text(folder / "cgroup.subtree_control").split())
    if missing - set(_text(folder / "cgroup.controllers").split()):
        raise OSError(f"{folder} does not have all of {controllers}")
    if missing:
        _write(folder / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(missing)))


def _sweep(folder: Path) -> None:
    """Removes the groups of programs that were killed, with all that these left running there.

    Their process ids would not tell: a living program may be in a container, where it has another one.
    """
    for group in folder.glob("standpipe-*-*"):
        with suppress(OSError):  # its program lives, or somebody else removes it
            lock = _locked(group)
            _end(group)
            os.close(lock)


def _locked(folder: Path) -> int:
    """Locks a folder until the descriptor that is returned is closed, at the latest when this process ends.

    Raises:
        OSError: if somebody else has locked it, or it is gone.
    """
    opened = os.open(folder, os.O_RDONLY)
    if not try_lock(opened):
        os.close(opened)
        raise BlockingIOError(f"{folder} is locked by another process")
    return opened


def _end(folder: Path) -> None:
    """Kills what is in a group, and removes it if that dies in time."""
    with suppress(OSError):  # a kernel before 5.14; the runner has killed what it knows of
        _write(folder / "cgroup.kill", "1")
    for _ in range(_TRIES):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:  # it is somebody else's; otherwise a process in it is not gone yet
                return
        else:
            return
        time.sleep(_PAUSE)


def _numbers(path: Path) -> dict[str, int]:
    """The content of a file with a name and a number in each line."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(path: Path) -> str:
    with suppress(OSError):  # this system does not tell
        return path.read_text().strip()
    return ""


def _write(path: Path, text: str) -> None:
    with open(path, "wb", buffering=0) as file:  # the kernel takes a setting in one piece
        file.write(text.encode())
