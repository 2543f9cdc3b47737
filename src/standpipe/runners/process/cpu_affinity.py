"""The cores that a task may run on, where their number is all that can be limited."""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class CorePool:
    """The cores that this process may run on, and the number of limited tasks on each of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: Counter[int] = Counter()

    @contextmanager
    def reserve(self, cpu: float) -> Iterator[list[int]]:
        """Reserve the least busy cores for a task, for as long as the block lasts.

        Args:
            cpu: the task's limit, in cores; it is rounded up.

        Yields:
            The numbers of the cores; empty if the task may use all.
        """
        if not hasattr(os, "sched_getaffinity"):  # not on macOS
            yield []
            return
        available = sorted(os.sched_getaffinity(0))
        count = max(1, math.ceil(cpu))
        if count >= len(available):
            yield []
            return
        with self._lock:
            chosen = sorted(_rotated(available), key=self._busy.__getitem__)[:count]
            self._busy.update(chosen)
        try:
            yield chosen
        finally:
            with self._lock:
                self._busy.subtract(chosen)


def _rotated(cores: list[int]) -> list[int]:
    """Return the cores, starting at another one in each process, so that two programs do not both use the first."""
    start = os.getpid() % len(cores)
    return cores[start:] + cores[:start]
