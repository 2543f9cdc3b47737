"""Where users call components and define functions: the file and line of their own code, which warnings name."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache
from types import FrameType
from typing import Any

from standpipe.model.plan import SourceLocation

_PACKAGE = "standpipe"

#: How many lines of decorators are searched for the `def` of a function.
_MAX_DECORATOR_LINES = 500


def caller_location() -> SourceLocation | None:
    """Return the location of the statement outside this package that led to this call; None if there is none."""
    frame = caller_frame()
    return None if frame is None else SourceLocation(absolute_path(frame.f_code.co_filename), frame.f_lineno)


def caller_frame() -> FrameType | None:
    """Return the frame of the statement outside this package that led to this call; None if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not _is_own(frame):
            return frame
        frame = frame.f_back
    return None


def warn_caller(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the statement outside this package that led to this call, however many of our functions are between."""
    frame: FrameType | None = sys._getframe(0)
    level = 1
    while frame is not None and _is_own(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)


def warn_at(location: SourceLocation | None, text: str) -> None:
    """Warn of the line of a call or block that was recorded before; of the current one if its line is unknown."""
    if location is None:
        warn_caller(text)
    else:
        warnings.warn_explicit(text, UserWarning, location.file, location.line)


def _is_own(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__") or ""
    return module == _PACKAGE or module.startswith(f"{_PACKAGE}.")


def function_location(function: Callable[..., Any]) -> SourceLocation:
    """Return the location of the `def` of a function, below its decorators.

    If the source cannot be read, it is the line that Python has for the function: that of its first decorator.
    """
    import inspect  # these take long to import, and programs that define no component need neither
    import linecache

    code = inspect.unwrap(function).__code__
    definition = re.compile(rf"\s*(async\s+)?def\s+{re.escape(code.co_name)}\b")
    first = code.co_firstlineno
    lines = linecache.getlines(code.co_filename, function.__globals__)
    for number in range(first, min(first + _MAX_DECORATOR_LINES, len(lines) + 1)):
        if definition.match(lines[number - 1]):
            return SourceLocation(absolute_path(code.co_filename), number)
    return SourceLocation(absolute_path(code.co_filename), first)


@lru_cache(maxsize=256)
def absolute_path(file: str) -> str:
    """Return a file name as an absolute path. Names such as `<stdin>` and `<ipython-input-1>` stay as they are."""
    return file if file.startswith("<") else os.path.abspath(file)
