"""The log of a container, followed while it runs: each byte once, also if the connection breaks in the middle."""

from __future__ import annotations

import re
import threading
from contextlib import suppress

from httpx2 import HTTPError

from standpipe.model.ports import Log
from standpipe.runners.kubernetes.api_errors import is_temporary
from standpipe.runners.kubernetes.connection import Connection

#: What a node writes before each line: the time in nanoseconds, always of the same width (kubelet, `logs.go`).
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")
_MAX_STAMP = 36

#: The seconds between two attempts to get a log.
_PAUSE = 0.5


class LogPosition:
    """Takes the times off the lines of a log, and leaves out what it has returned before.

    A log that is asked for again begins with the first line of the time of the last one.
    """

    def __init__(self) -> None:
        self.since = ""
        self._line_of_time = 0  # how many lines of this time came before the current one
        self._bytes_of_line = 0
        self._reset()

    def _reset(self) -> None:
        self._pending = b""
        self._at_start = True
        self._skip: int | None = 0  # bytes of the current line to leave out; None for all of it
        self._seen_of_time = 0

    def restart(self) -> None:
        """Expect the log from the time `since` on."""
        self._reset()

    def feed(self, data: bytes, *, is_end: bool = False) -> bytes:
        """Return what is new in a piece of a log.

        Args:
            data: the piece.
            is_end: whether nothing follows.
        """
        new = bytearray()
        rest = self._pending + data
        self._pending = b""
        while rest:
            if self._at_start:
                match = _STAMP.match(rest)
                if match is None and not is_end and len(rest) < _MAX_STAMP and b"\n" not in rest:
                    self._pending = rest
                    break
                self._begin_line(match[0][:-1].decode() if match else "")
                rest = rest[match.end() :] if match else rest
            line, end, rest = rest.partition(b"\n")
            new += self._take(line + end)
            self._at_start = bool(end)
        return bytes(new)

    def _begin_line(self, time: str) -> None:
        """Decide what to leave out of the line that begins: without a time, it is a message of the node."""
        self._at_start = False
        if not time:
            self._skip = 0
            return
        if time > self.since:
            self.since, self._line_of_time = time, 0
            self._seen_of_time, self._bytes_of_line, self._skip = 1, 0, 0
            return
        index = self._seen_of_time
        self._seen_of_time += 1
        if time < self.since or index < self._line_of_time:
            self._skip = None
        elif index == self._line_of_time:
            self._skip = self._bytes_of_line
        else:
            self._line_of_time, self._bytes_of_line, self._skip = index, 0, 0

    def _take(self, piece: bytes) -> bytes:
        if self._skip is None:
            return b""
        skipped, self._skip = min(self._skip, len(piece)), max(0, self._skip - len(piece))
        new = piece[skipped:]
        self._bytes_of_line += len(new)
        return new


class LogFollower:
    """Copies the log of a container in a thread of its own.

    Args:
        connection: the connection to the cluster.
        pod: the name of the pod.
        container: the name of the container, which has started.
        log: gets the bytes.
    """

    def __init__(self, connection: Connection, pod: str, container: str, log: Log) -> None:
        self._connection = connection
        self._pod = pod
        self._container = container
        self._log = log
        self._position = LogPosition()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._is_whole = False
        self._thread = threading.Thread(target=self._follow, daemon=True, name="standpipe-log")
        self._thread.start()

    def finish(self, seconds: float) -> bool:
        """Copy the rest of the log of a container that has ended; return whether all of it was there.

        Args:
            seconds: for how long to wait for what the thread has under way.
        """
        self._thread.join(seconds)
        with self._lock:
            self._closed.set()
        if not self._is_whole:
            with suppress(HTTPError):
                self._copy(follow=False)
                self._is_whole = True
        return self._is_whole

    def close(self) -> None:
        """Stop: the rest is of no interest, or there is none."""
        with self._lock:
            self._closed.set()

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._copy(follow=True)
            except HTTPError as error:
                if not is_temporary(error):  # the pod is gone
                    return
                self._closed.wait(_PAUSE)
            else:
                self._is_whole = True
                return

    def _copy(self, *, follow: bool) -> None:
        """Copy what is new, to the end of the log.

        Raises:
            HTTPError: if the connection breaks.
        """
        with self._lock:
            if follow and self._closed.is_set():
                return
            self._position.restart()
        opened = self._connection.open_log(self._pod, self._container, since=self._position.since, follow=follow)
        with opened as chunks:
            for chunk in chunks:
                if not self._write(chunk, follow=follow):
                    return
        self._write(b"", follow=follow, is_end=True)

    def _write(self, data: bytes, *, follow: bool, is_end: bool = False) -> bool:
        with self._lock:
            if follow and self._closed.is_set():  # `finish` has not waited, and copies the rest itself
                return False
            new = self._position.feed(data, is_end=is_end)
            if new:
                self._log.write(new)
            return True
