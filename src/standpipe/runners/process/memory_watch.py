"""Watches the memory of a task where no control group does: of its whole process tree, every few milliseconds."""

from __future__ import annotations

import time

from standpipe.runners.process.process_tree import descendants, kept, resident

#: Seconds between two looks. In that time a process may take some hundred megabytes, hence `backstop`.
_EVERY = 0.05

#: How many times as long as a costly look took there is none, so that looking slows no task by more than a tenth.
_REST = 10

_GIB = 1024**3


class MemoryWatch:
    """Looks whether a process tree keeps its limit, in bytes; `peak` is the most that was found, 0 if little was.

    What is mapped, counted for each process, is known at once, and mostly below the limit: then so is all else. Only
    where it is not, the memory is measured that the processes really keep, where forked processes share a lot.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.next = 0.0
        self.peak = 0

    def is_exceeded(self, pid: int) -> bool:
        """Whether the tree below a process has more than its limit. It is asked anew only when `next` has come."""
        now = time.monotonic()
        if now < self.next:
            return False
        self.next = now + _EVERY
        tree = [pid, *descendants(pid)]
        if resident(tree) <= self.limit:
            return False
        found = kept(tree)
        self.next += (time.monotonic() - now) * _REST
        self.peak = max(self.peak, found)
        return found > self.limit


def backstop(limit: int) -> int:
    """The most memory of its own that one process of a watched task may ask for, between two looks.

    It is far from the limit, because a process may ask for more than it uses, as for the stacks of its threads.
    """
    return max(2 * limit, limit + _GIB)
