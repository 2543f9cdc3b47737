"""A process with all that descends from it, as Linux shows it in /proc (proc(5)); elsewhere, its group alone.

Every task's process takes in the orphans among its descendants (`worker/orphans.py`), so that what it started is below
it for as long as it lives, daemons included.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress

_PAGE = os.sysconf("SC_PAGE_SIZE")

#: What of a process's memory the kernel could not drop: its own, and that shared memory which it has mapped.
_KEPT = re.compile(rb"^Pss_(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)

#: How long killed processes may take to be gone, in seconds, and how often to look.
_GONE_WITHIN = 1.0
_LOOK_EVERY = 0.002


def descendants(pid: int) -> list[int]:
    """The processes below one, parents before their children; none where the system does not tell."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = _children(waiting.pop())
        found += below
        waiting += below
    return found


def signal_tree(pid: int, number: signal.Signals) -> None:
    """Sends a signal to the group that a process leads, and to those of its descendants that have left the group."""
    below = descendants(pid)
    with suppress(ProcessLookupError, PermissionError):  # it has ended by now (on macOS, it may not be reaped yet)
        os.killpg(pid, number)
    for other in below:
        with suppress(ProcessLookupError, PermissionError):  # it has ended, or runs as another user by now
            if os.getpgid(other) != pid:
                os.kill(other, number)


def kill_tree(pid: int) -> None:
    """Kills a process and its descendants where nobody above is there to kill those that it would leave.

    The process itself goes last, stopped until then: the orphans come to it, where they are found.
    """
    with suppress(ProcessLookupError, PermissionError):  # it has ended by now
        os.kill(pid, signal.SIGSTOP)
    limit = time.monotonic() + _GONE_WITHIN
    while time.monotonic() < limit and (living := [other for other in descendants(pid) if not _is_zombie(other)]):
        for other in living:
            with suppress(ProcessLookupError, PermissionError):  # it has ended, or runs as another user by now
                os.kill(other, signal.SIGKILL)
        time.sleep(_LOOK_EVERY)
    for kill in (os.killpg, os.kill):  # it may lead no group
        with suppress(ProcessLookupError, PermissionError):  # as above
            kill(pid, signal.SIGKILL)


def resident(pids: list[int]) -> int:
    """The memory that processes have mapped, in bytes. What several share is counted for each of them."""
    return sum(int(fields[1]) * _PAGE for pid in pids if len(fields := _read(f"/proc/{pid}/statm").split()) > 1)


def kept(pids: list[int]) -> int:
    """The memory of processes that the kernel could not drop, in bytes; what they share is counted once.

    Files that are mapped are not in it, as they are not what a control group kills for. To find it the kernel walks
    the page tables, which takes milliseconds for each gigabyte.
    """
    return sum(_kept(pid) for pid in pids)


def _kept(pid: int) -> int:
    sizes = _KEPT.findall(_read(f"/proc/{pid}/smaps_rollup"))
    return sum(map(int, sizes)) * 1024 if sizes else resident([pid])  # an old kernel, or another user's process


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # it has ended, or there is no /proc
        for thread in os.listdir(f"/proc/{pid}/task"):  # children are those of the thread that started them
            found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def _is_zombie(pid: int) -> bool:
    # The name of the program, in parentheses, may hold spaces; the state comes after it.
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"], [])


def _read(path: str) -> bytes:
    with suppress(OSError), open(path, "rb", buffering=0) as file:  # it has ended, or belongs to another user
        return file.read()
    return b""
