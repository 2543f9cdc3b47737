"""Threads that are reused, and never keep a process from ending; those of `concurrent.futures` do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue


class DaemonThreads:
    """Executes functions, each in a thread. A thread that is free is used again, as a new one costs 0.1 ms."""

    def __init__(self) -> None:
        self._functions: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._free: SimpleQueue[None] = SimpleQueue()  # has an item for each thread that waits; faster than a semaphore
        self._count = 0

    def execute(self, function: Callable[[], object]) -> None:
        """Execute a function, which raises nothing. For one thread."""
        self._functions.put(function)
        try:
            self._free.get_nowait()
        except Empty:
            self._count += 1
            threading.Thread(target=self._work, daemon=True, name=f"standpipe-{self._count}").start()

    def close(self) -> None:
        """Let each thread end once its function has; this does not wait for it."""
        for _ in range(self._count):
            self._functions.put(None)

    def _work(self) -> None:
        while (function := self._functions.get()) is not None:
            function()
            del function  # which may hold a lot of memory until the next one comes
            self._free.put(None)
