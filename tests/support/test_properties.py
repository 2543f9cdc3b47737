"""Properties that are computed once."""

from __future__ import annotations

import os
import signal
import threading
import warnings

import pytest

from standpipe.support.properties import cached_property


class Computed:
    def __init__(self, number: int = 0, started: threading.Event | None = None) -> None:
        self.number = number
        self.started = started
        self.end = threading.Event()

    @cached_property
    def value(self) -> int:
        if self.started:
            self.started.set()
            self.end.wait(60)
        self.number += 1
        return self.number


def test_a_property_is_computed_once() -> None:
    computed = Computed()
    assert (computed.value, computed.value, Computed(5).value) == (1, 1, 6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    slow = Computed(started=threading.Event())
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    assert slow.started is not None
    assert slow.started.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads should not fork
        pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        os._exit(Computed(1).value - 2)
    assert os.waitpid(pid, 0)[1] == 0
    slow.end.set()
    thread.join()
