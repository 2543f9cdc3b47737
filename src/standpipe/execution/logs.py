"""The log of an attempt: kept in its folder byte by byte, and shown line by line."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

LOG_NAME = "log.txt"

#: A line longer than this is shown in pieces, so that a task which never ends its line cannot fill the memory.
_LONGEST_LINE = 8192


class TaskLog:
    """Takes what a task prints: every byte goes to `log.txt`, every line to `show`.

    Bytes that are no UTF-8 are shown as replacement characters and kept as they were.
    """

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        self.path = folder / LOG_NAME
        self._show = show
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def __enter__(self) -> TaskLog:
        self._file = self.path.open("wb", buffering=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()
        self._take(self._decode(b"", final=True))
        if self._rest:
            self._show(self._rest)

    def write(self, data: bytes) -> None:
        """Keeps the bytes and shows the lines that they complete."""
        self._file.write(data)
        self._take(self._decode(data))

    def _take(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._show(line.rstrip("\r"))
        while len(self._rest) > _LONGEST_LINE:
            self._show(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]
