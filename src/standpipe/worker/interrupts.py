"""Interrupts of a task that runs in a process with other threads: a `KeyboardInterrupt` in its thread."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator

#: The seconds between two signals.
_INTERVAL = 0.2


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
    """Raises the exception in the thread that creates it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._is_open = True

    def __call__(self) -> None:
        with self._lock:
            if self._is_open:
                self._interrupt()

    def close(self) -> None:
        """Stop, and drop an exception that has not been raised yet, as far as that is possible.

        There is a call that takes it back, but after that Python 3.11 hangs under a profiler or a debugger.
        """
        with suppress(KeyboardInterrupt), self._lock:
            self._is_open = False

    def _interrupt(self) -> None:
        kind = ctypes.py_object(KeyboardInterrupt)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), kind)


class _BySignal(_ByException):
    """Sends SIGINT to the main thread, which creates it. Other signals keep their handler.

    A signal that arrives just before a system call does not end that, so it is sent until the handler has run.
    """

    def __init__(self, previous: Any) -> None:
        super().__init__()
        self._previous = previous
        self._is_pending = False
        signal.signal(signal.SIGINT, self._handle)

    def close(self) -> None:
        """Stop, drop what is pending, and restore the handler."""
        super().close()
        signal.signal(signal.SIGINT, self._previous)

    def _interrupt(self) -> None:
        if signal.getsignal(signal.SIGINT) == self._handle:
            self._is_pending = True
            threading.Thread(target=self._send, daemon=True, name="standpipe-interrupt").start()
        else:  # the task has a handler of its own, or a debugger
            super()._interrupt()

    def _send(self) -> None:
        while True:
            with self._lock:
                if not (self._is_open and self._is_pending and signal.getsignal(signal.SIGINT) == self._handle):
                    return
                signal.pthread_kill(self._thread, signal.SIGINT)
            time.sleep(_INTERVAL)

    def _handle(self, number: int, frame: Any) -> None:
        if self._is_pending:
            self._is_pending = False
            if self._is_open:
                raise KeyboardInterrupt
        elif callable(self._previous):
            self._previous(number, frame)
