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
    """The clock of the machine, as it was when this object was made: setting it later makes no difference.

    Time in which the machine is suspended does not pass, where the system says so (Linux and macOS do): an hour of
    patience is an hour in which something could have happened.

    Args:
        not_before: a time of which the clock is never behind, in seconds since the epoch. For a run that is resumed it
            is that of the last fact, so that the times of a run ascend even if the machine's clock was set back.
    """

    def __init__(self, not_before: float = 0.0) -> None:
        self._epoch = max(time.time(), not_before) - time.monotonic()

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
