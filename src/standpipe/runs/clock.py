"""The clock of a run, which also waits for its next event."""

from __future__ import annotations

import math
import time
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Tells the driver the time, and waits. Tests use a clock that does not wait for real time."""

    def now(self) -> float:
        """Return the time in seconds since the epoch. It never decreases."""

    def wait(self, queue: SimpleQueue[T], until: float, at_most: float) -> T | None:
        """Return the next item of a queue, or None if there is none in time.

        Args:
            queue: the queue.
            until: the time, in seconds since the epoch, to wait for.
            at_most: the most seconds to wait.
        """


class SystemClock:
    """The clock of the machine. Changes of the machine's time during a run do not affect it."""

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
