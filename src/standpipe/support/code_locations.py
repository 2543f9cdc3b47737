"""Lines of the user's code as text."""

from __future__ import annotations

import os

from standpipe.model.events import CodeLocation
from standpipe.support.notebooks import name_cell


def describe_location(location: CodeLocation) -> str:
    """Return a line of code as people name it: `train.py, line 34`.

    A component of a compiled pipeline has no file: `function train, line 3 of its source`.
    """
    if location.has_file:
        return describe_place(location.file, location.line)
    return f"function {location.function}, line {location.line} of its source"


def name_line(location: CodeLocation | None) -> str:
    """Return a line of code as `train.py, line 34: `, the same in each folder; empty if it has no file."""
    if location is None or not location.has_file:
        return ""
    return f"{name_cell(location.file) or os.path.basename(location.file)}, line {location.line}: "


def describe_place(file: str, line: int) -> str:
    """Return a file and a line of it as `describe_location` does; empty if the file is.

    Args:
        file: an absolute path, or a name such as `<stdin>`.
        line: the number of the line, from 1.
    """
    return f"{shorten_path(file)}, line {line}" if file else ""


def shorten_path(path: str) -> str:
    """Return a path as seen from the current folder, if it is in there; otherwise the path itself, or its cell."""
    folder = os.getcwd().rstrip(os.sep) + os.sep
    return name_cell(path) or path.removeprefix(folder)
