"""The memory limit of a task where no control group enforces it: its process tree is measured periodically."""

from __future__ import annotations

import time

from standpipe.runners.process.process_tree import descendants, resident, unreclaimable

#: Seconds between two checks. In that time a process may allocate some hundred megabytes, hence `process_limit`.
_INTERVAL = 0.05

#: The pause after a costly check, as a multiple of its duration, so that checks slow no task by more than a tenth.
_PAUSE_FACTOR = 10

_GIB = 1024**3


class MemoryWatch:
    """Checks whether a process tree exceeds its limit.

    Resident memory, summed over the processes, is cheap to read and mostly below the limit, which settles it. Only
    where it is not, the memory that the kernel could not drop is measured, of which forked processes share a lot.

    Args:
        limit: in bytes.

    `next` is the time of the next check (`time.monotonic`). `peak` is the most that was measured, in bytes; 0 if no
    measurement was needed.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.next = 0.0
        self.peak = 0

    def is_exceeded(self, pid: int) -> bool:
        """Return whether the tree below a process exceeds the limit. It is measured only when `next` has come."""
        now = time.monotonic()
        if now < self.next:
            return False
        self.next = now + _INTERVAL
        tree = [pid, *descendants(pid)]
        if resident(tree) <= self.limit:
            return False
        memory = unreclaimable(tree)
        self.next += (time.monotonic() - now) * _PAUSE_FACTOR
        self.peak = max(self.peak, memory)
        return memory > self.limit


def process_limit(limit: int) -> int:
    """Return the most private memory, in bytes, that one process of a watched task may allocate between two checks.

    It is far above the limit, because a process may allocate more than it uses, as for the stacks of its threads.
    """
    return max(2 * limit, limit + _GIB)
