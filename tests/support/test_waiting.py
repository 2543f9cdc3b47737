"""Waits for calls that cannot be interrupted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from standpipe.model.cancellation import Cancellation
from standpipe.support.waiting import iterate_in_thread


class Panic(BaseException):
    """Like that of a library in Rust, which is no `Exception`."""


@pytest.mark.parametrize("kind", [ValueError, Panic])
def test_an_error_of_the_other_thread_is_raised(kind: type[BaseException]) -> None:
    def produce() -> Iterator[int]:
        yield 1
        raise kind("failed")

    items = iterate_in_thread(produce, Cancellation())
    assert next(items) == 1
    with pytest.raises(kind, match="failed"):
        next(items)


def test_a_cancellation_ends_the_wait() -> None:
    cancel, release = Cancellation(), threading.Event()
    threading.Timer(0.05, cancel.set).start()
    try:
        assert list(iterate_in_thread(lambda: [release.wait(30)], cancel)) == []
    finally:
        release.set()
