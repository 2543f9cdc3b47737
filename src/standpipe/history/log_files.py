"""Reads the logs of attempts in pieces: a log may be longer than the memory, and may grow meanwhile."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from standpipe.history.records import Attempt, Status
from standpipe.support.untrusted_files import open_below

#: The most bytes and lines of a log that are read at once.
MAX_BYTES = 512 * 1024
MAX_LINES = 1000

#: Lines are counted, and texts are searched, in files of at most so many bytes.
_MAX_SEARCHED = 1024**3
_CHUNK = 1024 * 1024

_COMMANDS = re.compile(rb"\x1b\[[\d;:]*[ -/]*[@-~]")


@dataclass(frozen=True)
class LogPiece:
    """A part of a log.

    Attributes:
        start: the number of the byte at which it begins.
        end: the number of the byte after its last whole line.
        lines: its whole lines, without their ends.
        rest: what follows the last whole line: the task has not ended that line yet.
        stop: the number of the byte after that.
        size: the size of the log.
    """

    start: int
    end: int
    lines: tuple[str, ...]
    rest: str
    stop: int
    size: int


@dataclass(frozen=True)
class Match:
    """A line with the text of a search: its number, from 1, the number of the byte after it, and its text."""

    number: int
    end: int
    text: str


def read_tail(
    path: Path, root: Path, *, end: int | None = None, most: int = MAX_LINES, most_bytes: int = MAX_BYTES
) -> LogPiece:
    """Return the last lines of a log, or those before a byte.

    Args:
        path: the log.
        root: the folder below which no link is followed.
        end: the number of the byte after the last line that is read; None for the end of the log.
        most: the most lines.
        most_bytes: the most bytes.

    Raises:
        OSError: if it cannot be read; UntrustedFileError if it is not a regular file.
    """
    with _opened(path, root) as file:
        size = os.fstat(file).st_size
        stop = size if end is None else min(end, size)
        start = max(0, stop - most_bytes)
        data = _read(file, start, stop - start)
    if start:
        first = data.find(b"\n") + 1  # 0 if a single line is longer than all that is read
        start, data = start + first, data[first:]
    *lines, rest = data.split(b"\n")
    skipped = lines[:-most] if len(lines) > most else []
    start += sum(map(len, skipped)) + len(skipped)
    return LogPiece(start, stop - len(rest), tuple(map(_decode, lines[len(skipped) :])), _decode(rest), stop, size)


def read_on(path: Path, root: Path, offset: int) -> LogPiece:
    """Return the lines of a log from a byte on, as many as one piece has; from its begin if it has become shorter.

    Raises:
        OSError: as `read_tail`.
    """
    with _opened(path, root) as file:
        size = os.fstat(file).st_size
        start = offset if 0 <= offset <= size else 0
        data = _read(file, start, MAX_BYTES)
    *lines, rest = data.split(b"\n")
    if not lines and len(data) == MAX_BYTES:  # a line without an end
        return LogPiece(start, start + len(data), (_decode(data),), "", start + len(data), size)
    end = start + len(data) - len(rest)
    return LogPiece(start, end, tuple(map(_decode, lines)), _decode(rest), start + len(data), size)


def read_bytes(path: Path, root: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield a log from a byte on up to its size at the beginning, in pieces.

    Raises:
        OSError: as `read_tail`.
    """
    with _opened(path, root) as file:
        size = os.fstat(file).st_size
        while offset < size and (data := _read(file, offset, min(MAX_BYTES, size - offset))):
            yield data
            offset += len(data)


def find_tail(path: Path, root: Path, lines: int) -> int:
    """Return the number of the byte at which the last lines of a log begin, one without an end included.

    Args:
        path: the log.
        root: the folder below which no link is followed.
        lines: how many lines.

    Raises:
        OSError: as `read_tail`.
    """
    with _opened(path, root) as file:
        size = end = os.fstat(file).st_size
        left = lines + (_read(file, max(0, size - 1), 1) == b"\n")
        while end and left > 0:
            start = max(0, end - _CHUNK)
            block = _read(file, start, end - start)
            for at in _line_ends(block):
                left -= 1
                if not left:
                    return start + at + 1
            end = start
        return size if lines < 1 else 0


def _line_ends(block: bytes) -> Iterator[int]:
    """Yield the numbers of the bytes that end lines, the last one first."""
    at = block.rfind(b"\n")
    while at >= 0:
        yield at
        at = block.rfind(b"\n", 0, at)


def count_lines(path: Path, root: Path, end: int) -> int | None:
    """Return how many lines end before a byte of a log; None if it is too large to count them.

    Raises:
        OSError: as `read_tail`.
    """
    if end > _MAX_SEARCHED:
        return None
    with _opened(path, root) as file:
        return sum(_read(file, at, min(_CHUNK, end - at)).count(b"\n") for at in range(0, end, _CHUNK))


def search(path: Path, root: Path, text: str, most: int, until: float = math.inf) -> tuple[list[Match], bool]:
    """Return the lines of a log that contain a text, and whether a part of the log was not searched.

    Capital and small letters of ASCII are the same, and colors do not matter.

    Args:
        path: the log.
        root: the folder below which no link is followed.
        text: the text.
        most: the most lines that are returned.
        until: the time at which the search ends, as `time.monotonic` returns it.

    Raises:
        OSError: as `read_tail`.
    """
    needle = text.encode(errors="surrogateescape").lower()
    matches: list[Match] = []
    number, offset = 0, 0
    for block in _blocks(path, root):
        if time.monotonic() > until:
            return matches, True
        if needle in _COMMANDS.sub(b"", block).lower():
            at = offset
            for index, line in enumerate(block.split(b"\n"), number + 1):
                at += len(line) + 1
                if needle in _COMMANDS.sub(b"", line).lower():
                    matches.append(Match(index, at, _decode(line)))
                    if len(matches) > most:
                        return matches[:most], True
        number += block.count(b"\n")
        offset += len(block)
    return matches, offset >= _MAX_SEARCHED


def describe_problem(error: Exception, attempt: Attempt) -> str:
    """Return why a log cannot be shown."""
    if isinstance(error, FileNotFoundError):
        if attempt.status is Status.RUNNING:
            return "It has not printed anything yet."
        return f"The log was removed: {attempt.log}."
    if isinstance(error, OSError) and error.strerror:
        return f"The log cannot be read: {error.strerror} ({attempt.log})."
    return f"The log cannot be read: {error}"


def describe_truncation(attempt: Attempt, size: int) -> str:
    """Return that a log of some bytes lacks what its task printed; empty if nothing is missing."""
    if (attempt.log_bytes or 0) <= size:
        return ""
    return f"The log was truncated: it has {size} of the {attempt.log_bytes} bytes that the task printed."


def _blocks(path: Path, root: Path) -> Iterator[bytes]:
    """Yield a log in blocks that end with a line, but for lines that are longer than a block."""
    with _opened(path, root) as file:
        at, size = 0, min(os.fstat(file).st_size, _MAX_SEARCHED)
        while at < size:
            block = _read(file, at, min(_CHUNK, size - at))
            if not block:
                return
            whole = block.rfind(b"\n") + 1
            if whole and at + len(block) < size:
                block = block[:whole]
            yield block
            at += len(block)


@contextmanager
def _opened(path: Path, root: Path) -> Iterator[int]:
    file = open_below(path, root)
    try:
        yield file
    finally:
        os.close(file)


def _read(file: int, start: int, length: int) -> bytes:
    """Return bytes of an open file, fewer only at its end."""
    data = os.pread(file, length, start)
    while len(data) < length and (more := os.pread(file, length - len(data), start + len(data))):
        data += more
    return data


def _decode(data: bytes) -> str:
    return data.decode(errors="replace")
