"""A timer that ends with a block."""

from __future__ import annotations

import threading

from standpipe.model.cancellation import Cancellation
from standpipe.support.timers import cancel_after


def test_the_timer_ends_with_the_block() -> None:
    with cancel_after(3600, Cancellation()) as (linked, expired):
        timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(30)

    assert timers
    assert not any(timer.is_alive() for timer in timers)
    assert not expired.is_set()
    assert not linked


def test_the_outer_cancellation_reaches_the_block() -> None:
    cancel = Cancellation()

    with cancel_after(3600, cancel) as (linked, expired):
        assert not linked
        cancel.set(urgent=True)
        assert linked
        assert linked.urgent
    assert not expired.is_set()


def test_the_timeout_cancels_the_block_only() -> None:
    cancel = Cancellation()
    woken = threading.Event()

    with cancel_after(0.001, cancel) as (linked, expired):
        linked.on_set(woken.set)
        assert woken.wait(30)
        assert expired.is_set()
        assert not linked.urgent
    assert not cancel


def test_zero_seconds_cancel_at_once() -> None:
    with cancel_after(0, Cancellation(), urgent=True) as (linked, expired):
        assert linked.urgent
        assert expired.is_set()
