"""The log of an attempt: kept in its folder byte by byte, and shown line by line."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from standpipe.support.redaction import NO_SECRETS, Redactor

LOG_NAME = "log.txt"

#: A line longer than this is shown in pieces, so that a task which never ends its line cannot fill the memory.
_LONGEST_LINE = 8192

#: How many lines at the end of a log are remembered, for the story of a failure.
_LINES_OF_TAIL = 50


class TaskLog:
    """Takes what a task prints: every byte goes to `log.txt`, every line to `show`.

    Bytes that are no UTF-8 are shown as replacement characters and kept as they were. Of a line that was written over
    itself, as progress bars are, its last state is shown. Secrets are neither kept nor shown; where the task has
    printed what could be the beginning of one, that waits for the task's next bytes, or its end.
    """

    def __init__(self, folder: Path, show: Callable[[str], None], redactor: Redactor = NO_SECRETS) -> None:
        self.path = folder / LOG_NAME
        self._show = show
        self._redacted = redactor.open_stream()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._tail: deque[str] = deque(maxlen=_LINES_OF_TAIL)
        self.bytes = 0
        self.lines = 0

    @property
    def tail(self) -> str:
        """The last lines that were shown."""
        return "\n".join(self._tail)

    def __enter__(self) -> TaskLog:
        self._file = self.path.open("wb", buffering=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._keep(self._redacted.finish())
        finally:
            self._file.close()
        self._take(self._decode(b"", final=True))
        if self._rest:
            self.lines += 1
            self._line(self._rest)

    def write(self, data: bytes) -> None:
        """Keeps the bytes and shows the lines that they complete."""
        self._keep(self._redacted.feed(data))

    def _keep(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # a write may take a part only, as the last one before a disk is full
            rest = rest[self._file.write(rest) :]
        self.bytes += len(data)
        self.lines += data.count(b"\n")
        self._take(self._decode(data))

    def _take(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line(line)
        while len(self._rest) > _LONGEST_LINE:
            self._line(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]

    def _line(self, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2]
        self._tail.append(shown)
        self._show(shown)
