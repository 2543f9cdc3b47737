"""The log of an attempt: stored in its folder byte by byte, and shown line by line."""

from __future__ import annotations

import codecs
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from standpipe.model.layout import LOG_FILE
from standpipe.support.redaction import NO_SECRETS, Redactor
from standpipe.support.terminal_text import strip_controls
from standpipe.support.untrusted_files import create_file, create_file_in

#: Characters after which a line is shown in pieces, so that a task which never ends its line cannot fill the memory.
_MAX_LINE = 8192

#: How many lines at the end of a log stay in memory, for the failure report. A crash report has the stacks of threads.
_TAIL_LINES = 200


class TaskLog:
    """Takes what a task prints: every byte goes to `log.txt`, every line to `show`.

    Bytes that are not UTF-8 are stored as they are and shown as replacement characters. Of a line that overwrites
    itself, as progress bars do, the last state is shown. Commands for a terminal are stored and, but for colors, not
    shown. Secrets are neither stored nor shown; bytes that could be the beginning of one are held back until the next
    bytes, or the end of the task.

    Args:
        folder: the folder of the attempt.
        root: the folder below which no link is followed: the pipeline root.
        show: called with each line.
        redactor: removes secrets.

    Raises:
        UntrustedFileError: on entry, if another task has put anything at its path, or a link on the way.
        OSError: on entry, if it cannot be created.
    """

    def __init__(self, folder: Path, root: Path, show: Callable[[str], None], redactor: Redactor = NO_SECRETS) -> None:
        self.path = folder / LOG_FILE
        self._root = root
        self._file = -1  # the descriptor of the file
        self._show = show
        self._redacted = redactor.open_stream()
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.bytes = 0
        self.lines = 0

    @property
    def tail(self) -> str:
        """Return the last lines that were shown."""
        return "\n".join(self._tail)

    def create_in(self, folder: int) -> None:
        """Create the file in its folder, which is open, before entry; errors are those of entry."""
        self._file = create_file_in(folder, LOG_FILE, self.path)

    def __enter__(self) -> TaskLog:
        if self._file < 0:
            self._file = create_file(self.path, self._root)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._store(self._redacted.finish())
        finally:
            os.close(self._file)
        self._decode_lines(self._decode(b"", final=True))
        if self._rest:
            self.lines += 1
            self._show_line(self._rest)

    def write(self, data: bytes) -> None:
        """Store the bytes, and show the lines that they complete."""
        self._store(self._redacted.feed(data))

    def _store(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # a write may be partial, as the last one before a disk is full
            rest = rest[os.write(self._file, rest) :]
        self.bytes += len(data)
        self.lines += data.count(b"\n")
        self._decode_lines(self._decode(data))

    def _decode_lines(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._show_line(line)
        while len(self._rest) > _MAX_LINE:
            self._show_line(self._rest[:_MAX_LINE])
            self._rest = self._rest[_MAX_LINE:]

    def _show_line(self, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2]
        self._tail.append(strip_controls(shown))
        self._show(strip_controls(shown, keep_colors=True))
