"""Timers that end with a block: call a function after some time, or cancel what runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from standpipe.model.cancellation import Cancellation


@contextmanager
def call_after(seconds: float, function: Callable[[], None]) -> Iterator[threading.Event]:
    """Call a function in another thread after so many seconds, unless the block ends first.

    Yields:
        An event that is set right before the call.
    """
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        function()

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), expire)
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


@contextmanager
def cancel_after(
    seconds: float, cancel: Cancellation, *, urgent: bool = False
) -> Iterator[tuple[Cancellation, threading.Event]]:
    """Give a block a cancellation of its own, which is set together with `cancel`, or after so many seconds.

    Args:
        seconds: the time; it is set at once for 0.
        cancel: the cancellation that comes from outside.
        urgent: whether what runs is killed, and not asked first, when the time has passed.

    Yields:
        The cancellation, and an event that is set when the time has passed.
    """
    linked = Cancellation()
    unlink = cancel.on_set(lambda: linked.set(urgent=cancel.urgent))
    try:
        with call_after(seconds, lambda: linked.set(urgent=urgent)) as expired:
            if not seconds:  # a task that is quick enough would escape a timer
                expired.set()
                linked.set(urgent=urgent)
            yield linked, expired
    finally:
        unlink()
