"""The time of a run, and the wait for its next event."""

from __future__ import annotations

import math
import time
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Tells the time to the driver, and waits for it. Tests have a clock that need not wait."""

    def now(self) -> float:
        """Return the time in seconds since the epoch. It never goes back."""

    def wait(self, queue: SimpleQueue[T], until: float, at_most: float) -> T | None:
        """Return the next item of a queue, or None if none came until a time, or within `at_most` seconds."""


class SystemClock:
    """The clock of the machine: seconds since the epoch that pass evenly, even if somebody sets the machine's clock."""

    def __init__(self) -> None:
        self._epoch = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._epoch + time.monotonic()

    def wait(self, queue: SimpleQueue[T], until: float, at_most: float) -> T | None:
        """Return the next item of a queue; see `Clock`."""
        patience = at_most if math.isinf(until) else min(at_most, max(0.0, until - self.now()))
        try:
            return queue.get(timeout=patience)
        except Empty:
            return None
