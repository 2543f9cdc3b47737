"""Interrupts of a task that runs in a process with other threads: a `KeyboardInterrupt` in its thread."""

from __future__ import annotations

import ctypes
import signal
import threading
from contextlib import contextmanager
from typing import Any, Callable, Iterator


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Give a function that interrupts this thread, as Ctrl-C does, for other threads to call during the block.

    In the main thread a signal ends system calls such as `time.sleep`. In other threads, which get no signals, the
    exception is raised when Python code runs next. The function does nothing after the block.
    """
    previous = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    interrupt = _BySignal(previous) if is_main and previous is not None else _ByException()
    try:
        yield interrupt
    finally:
        interrupt.close()


class _ByException:
    """Raises the exception in a thread by its number."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._is_open = True

    def __call__(self) -> None:
        with self._lock:
            if self._is_open:
                self._raise(ctypes.py_object(KeyboardInterrupt))

    def close(self) -> None:
        """Stop, and drop an exception that has not been raised yet."""
        with self._lock:
            self._is_open = False
            self._raise(None)

    def _raise(self, kind: Any) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), kind)


class _BySignal:
    """Sends SIGINT to the main thread. Other signals keep their handler."""

    def __init__(self, previous: Any) -> None:
        self._thread = threading.get_ident()
        self._previous = previous
        self._lock = threading.Lock()
        self._is_open = True
        self._sent = 0
        signal.signal(signal.SIGINT, self._handle)

    def __call__(self) -> None:
        with self._lock:
            if self._is_open:
                self._sent += 1
                signal.pthread_kill(self._thread, signal.SIGINT)

    def close(self) -> None:
        """Restore the handler, unless the task has set one of its own that is to stay."""
        with self._lock:
            self._is_open = False
        signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: Any) -> None:
        if self._sent:
            self._sent = 0
            if self._is_open:
                raise KeyboardInterrupt
        elif callable(self._previous):
            self._previous(number, frame)
