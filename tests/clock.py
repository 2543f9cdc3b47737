"""A clock for the driver that does not wait: a wait for a time ends almost at once."""

from __future__ import annotations

import math
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

#: Real seconds that an attempt, which is a function in tests, may take to return before time advances.
_PATIENCE = 0.02


class FastClock:
    """Implements `standpipe.runs.clock.Clock`. Time only advances when the driver waits for a time."""

    def __init__(self, start: float = 1_000_000.0, *, in_steps: bool = False) -> None:
        """Make a clock; one that goes `in_steps` passes no moment at which the driver polls."""
        self.time = start
        self._in_steps = in_steps

    def now(self) -> float:
        return self.time

    def wait(self, queue: SimpleQueue[T], until: float, at_most: float) -> T | None:
        try:
            is_waited_for = math.isinf(until) and not self._in_steps
            return queue.get(timeout=at_most if is_waited_for else min(at_most, _PATIENCE))
        except Empty:
            is_step = self._in_steps or math.isinf(until)
            self.time = max(self.time, min(until, self.time + at_most) if is_step else until)
            return None
