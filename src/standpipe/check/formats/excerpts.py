"""The lines of files that findings are about, and the columns that are marked."""

from __future__ import annotations

import os

from standpipe.check.checker import LocatedFinding
from standpipe.check.sources import SourceFile, find_mark
from standpipe.model.frozen import frozen


@frozen
class Excerpt:
    """A line, and the columns that are marked, counted from 1, the last one not included."""

    line: str
    start: int
    end: int


def read_excerpt(located: LocatedFinding) -> Excerpt | None:
    """Return the line of a finding; None if it has none, or may have a secret."""
    if located.location is None or located.location.line < 1 or located.is_hidden:
        return None
    line = SourceFile(located.location.file).line(located.location.line)
    if not line.strip():
        return None
    start = find_mark(line, located.mark)
    if start < 0:
        start = len(line) - len(line.lstrip())
        return Excerpt(line, start + 1, len(line.rstrip()) + 1)
    return Excerpt(line, start + 1, start + len(located.mark) + 1)


def display_path(file: str) -> str:
    """Return the path of a file relative to the current folder, if it is in it."""
    if file.startswith("<"):
        return file
    relative = os.path.relpath(file)
    return file if relative.startswith("..") else relative
