"""Notices about transfers that take long: how much is done, and how fast."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from standpipe.model.locations import redact_uri
from standpipe.model.resources import format_memory
from standpipe.support.notices import Notice, inform_as_this_thread

#: Seconds until the first notice, and between two others. Short transfers have none.
_FIRST, _INTERVAL = 2.0, 10.0


class Progress:
    """Counts the bytes of a transfer, which is a block, and tells the user about them from time to time.

    A thread tells, so that a transfer is seen that a server delays. Any thread may count.

    Args:
        verb: what is done, such as `Upload`.
        uri: where the payload is in the store.
        total: its bytes.
        tell: takes the notices; by default the user, unless the run of this thread is quiet.
    """

    def __init__(self, verb: str, uri: str, total: int, tell: Notice | None = None) -> None:
        self._verb = verb
        self._uri = redact_uri(uri)
        self._total = total
        self._tell = tell or inform_as_this_thread()
        self._lock = threading.Lock()
        self._done = 0
        self._has_ended = threading.Event()
        self._is_shown = False
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="standpipe-progress")

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._has_ended.set()
        self._thread.join()
        if self._is_shown and error is None:
            seconds = time.monotonic() - self._began
            self._tell(
                f"{self._verb}ed {self._uri}: {format_memory(self._total)} in {seconds:.1f} s, "
                f"{_rate(self._total, seconds)}."
            )

    def add(self, size: int) -> None:
        """Count bytes that have been read on one side of the transfer."""
        with self._lock:
            self._done += size

    def _watch(self) -> None:
        before, last, pause = 0, self._began, _FIRST
        while not self._has_ended.wait(pause):
            done, now, pause = min(self._done, self._total), time.monotonic(), _INTERVAL
            self._tell(
                f"{self._verb}ing {self._uri}: {format_memory(done)} of {format_memory(self._total)} "
                f"({100 * done // max(self._total, 1)} %), {_rate(done - before, now - last)}."
            )
            before, last, self._is_shown = done, now, True


def _rate(size: int, seconds: float) -> str:
    """Return bytes in a time as text.

    >>> _rate(3 * 1024**2, 2.0)
    '1.5 MiB/s'
    """
    return f"{format_memory(int(size / max(seconds, 0.001)))}/s"
