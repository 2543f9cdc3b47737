"""Which cores of this machine a task runs on, where the number of them is all that can be limited."""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Cores:
    """The cores that this process may run on, and how many limited tasks were put on each of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: Counter[int] = Counter()

    @contextmanager
    def some(self, cpu: float) -> Iterator[list[int]]:
        """As many whole cores as a task with that limit may use, the least busy ones; none if it may use all."""
        if not hasattr(os, "sched_getaffinity"):  # not on macOS
            yield []
            return
        there = sorted(os.sched_getaffinity(0))
        count = max(1, math.ceil(cpu))
        if count >= len(there):
            yield []
            return
        with self._lock:
            chosen = sorted(_from_different_places(there), key=self._busy.__getitem__)[:count]
            self._busy.update(chosen)
        try:
            yield chosen
        finally:
            with self._lock:
                self._busy.subtract(chosen)


def _from_different_places(cores: list[int]) -> list[int]:
    """The cores, beginning somewhere else in each process, so that two programs do not both take the first ones."""
    start = os.getpid() % len(cores)
    return cores[start:] + cores[:start]
