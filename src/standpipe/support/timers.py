"""A timer that ends with a block, and cancels what runs in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from standpipe.model.cancellation import Cancellation


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
    linked = Cancellation(cancel)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        linked.set(urgent=urgent)

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), expire)
    timer.daemon = True  # it must not delay the end of a program that has stopped waiting for the block
    unlink = cancel.on_set(lambda: linked.set(urgent=cancel.urgent))
    if seconds:
        timer.start()
    else:
        expire()  # a task that is quick enough would escape a timer
    try:
        yield linked, expired
    finally:
        timer.cancel()
        unlink()
