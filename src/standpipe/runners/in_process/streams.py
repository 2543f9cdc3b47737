"""The standard streams of this process while a task runs: what the task prints goes to its log."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from standpipe.model.ports import Log

#: The modules of Python's debugger: what they print is a dialog with the user.
_DEBUGGER_MODULES = frozenset(("bdb", "cmd", "pdb"))

#: How the names of Standpipe's own threads begin.
_OWN_THREADS = "standpipe"


@contextmanager
def streams_to_log(log: Log) -> Iterator[None]:
    """Write what this thread, and those that it starts, print during the block to a log.

    Other threads, and Python's debugger, keep the streams of this process. Only Python's streams are replaced: what
    child processes and C code write to the descriptors 1 and 2 goes where it went before.
    """
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    router = _Router(log)
    streams = {name: _text_stream(original, router) for name, original in before.items()}
    vars(sys).update(streams)
    try:
        yield
    finally:
        router.close()
        vars(sys).update(before)


def _text_stream(original: Any, router: _Router) -> io.TextIOWrapper:
    raw: Any = _TaskOutput(original, router)  # it takes all bytes at once, as a buffered stream does
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", "\n", write_through=True)


class _Router:
    """Decides what is written to the log of a task."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._others = frozenset(thread.ident for thread in threading.enumerate()) - {threading.get_ident()}
        self._lock = threading.RLock()
        self._is_writing = False  # to the log, which shows the text on the original stream
        self._is_open = True

    def close(self) -> None:
        """End the task. What still has its streams, such as a handler of `logging`, writes to the original ones."""
        with self._lock:
            self._is_open = False

    def write(self, data: bytes, module: object) -> bool:
        """Write to the log, and return True; return False for what is not the task's.

        Args:
            data: the bytes.
            module: the name of the module that writes.
        """
        with self._lock:
            if self._is_writing or not self._is_open or module in _DEBUGGER_MODULES or self._is_in_other_thread():
                return False
            self._is_writing = True
            try:
                self._log.write(data)
            finally:
                self._is_writing = False
            return True

    def _is_in_other_thread(self) -> bool:
        thread = threading.current_thread()
        return thread.ident in self._others or thread.name.startswith(_OWN_THREADS)


class _TaskOutput(io.RawIOBase):
    """The bytes of one standard stream.

    Args:
        original: the stream that it stands for; None in a process that has none.
        router: decides where they go.
    """

    def __init__(self, original: Any, router: _Router) -> None:
        self._original = original
        self._router = router

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the original stream, for child processes and for `input()` of a debugger."""
        if self._original is None:
            raise io.UnsupportedOperation("fileno")
        number: int = self._original.fileno()
        return number

    def write(self, data: Any) -> int:
        """Write bytes to the log, or to the original stream."""
        content = bytes(data)
        if not self._router.write(content, sys._getframe(1).f_globals.get("__name__")) and self._original is not None:
            self._original.write(content.decode("utf-8", "replace"))
            self._original.flush()
        return len(content)
