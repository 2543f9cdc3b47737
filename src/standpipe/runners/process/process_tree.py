"""A process with its descendants, as Linux shows them in /proc (proc(5)); on other systems, its process group alone.

Every task's process adopts the orphans among its descendants (`worker/orphans.py`), so all processes that it started
are below it for as long as it lives, daemons included.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress

_PAGE = os.sysconf("SC_PAGE_SIZE")

#: The lines of smaps_rollup for memory that the kernel cannot drop: anonymous memory, and mapped shared memory.
_UNRECLAIMABLE = re.compile(rb"^Pss_(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)

#: How long killed processes may take to end, and the time between two checks, in seconds.
_KILL_TIMEOUT = 1.0
_CHECK_INTERVAL = 0.002


def descendants(pid: int) -> list[int]:
    """Return the processes below one, parents before their children; none where there is no /proc."""
    pids: list[int] = []
    queue = [pid]
    while queue:
        children = _children(queue.pop())
        pids += children
        queue += children
    return pids


def signal_tree(pid: int, number: signal.Signals) -> None:
    """Send a signal to the group that a process leads, and to its descendants that have left the group."""
    below = descendants(pid)
    with suppress(ProcessLookupError, PermissionError):  # it has ended by now (on macOS, it may not be reaped yet)
        os.killpg(pid, number)
    for other in below:
        with suppress(ProcessLookupError, PermissionError):  # it has ended, or runs as another user by now
            if os.getpgid(other) != pid:
                os.kill(other, number)


def kill_tree(pid: int) -> None:
    """Kill a process and its descendants, where no fork server is left to kill its orphans.

    The process itself is killed last, and stopped until then: it adopts the orphans, so they can be found.
    """
    with suppress(ProcessLookupError, PermissionError):  # it has ended by now
        os.kill(pid, signal.SIGSTOP)
    limit = time.monotonic() + _KILL_TIMEOUT
    while time.monotonic() < limit and (living := [other for other in descendants(pid) if not _is_zombie(other)]):
        for other in living:
            with suppress(ProcessLookupError, PermissionError):  # it has ended, or runs as another user by now
                os.kill(other, signal.SIGKILL)
        time.sleep(_CHECK_INTERVAL)
    for kill in (os.killpg, os.kill):  # it may lead no group
        with suppress(ProcessLookupError, PermissionError):  # as above
            kill(pid, signal.SIGKILL)


def resident(pids: list[int]) -> int:
    """Return the resident memory of processes, in bytes. Memory that several share is counted for each of them."""
    return sum(int(fields[1]) * _PAGE for pid in pids if len(fields := _read(f"/proc/{pid}/statm").split()) > 1)


def unreclaimable(pids: list[int]) -> int:
    """Return the memory of processes that the kernel cannot drop, in bytes; shared memory is counted once.

    Mapped files do not count, as a control group does not kill for them. The kernel walks the page tables for this,
    which takes milliseconds per gigabyte.
    """
    return sum(_unreclaimable(pid) for pid in pids)


def _unreclaimable(pid: int) -> int:
    sizes = _UNRECLAIMABLE.findall(_read(f"/proc/{pid}/smaps_rollup"))
    return sum(map(int, sizes)) * 1024 if sizes else resident([pid])  # an old kernel, or another user's process


def _children(pid: int) -> list[int]:
    pids: list[int] = []
    with suppress(OSError):  # it has ended, or there is no /proc
        for thread in os.listdir(f"/proc/{pid}/task"):  # children are those of the thread that started them
            pids += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return pids


def _is_zombie(pid: int) -> bool:
    # The name of the program, in parentheses, may hold spaces; the state comes after it.
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"], [])


def _read(path: str) -> bytes:
    with suppress(OSError), open(path, "rb", buffering=0) as file:  # it has ended, or belongs to another user
        return file.read()
    return b""
