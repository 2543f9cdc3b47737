"""Error reports of tasks: a traceback with the lines of the user's code and none of Standpipe's."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from contextlib import suppress
from typing import Any, Dict, List, Optional, Union

from .source import is_user_file

#: The most characters of a text in the error details. The log has all of it.
_MAX_TEXT = 100_000

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep

#: The folder of Python's own modules.
_PYTHON = os.path.dirname(os.path.abspath(os.__file__)) + os.sep

#: Parts of the paths of installed packages, in environments and in the Python of Debian.
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def report(error: BaseException, path: str) -> None:
    """Print the traceback to stderr, and write the error details, as JSON, into the file at `path`."""
    text = traceback_text(error)
    _print(text)
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(description(error, text), file)
    except OSError as failure:  # a full disk, perhaps: the log still has the traceback
        _print(f"The error details could not be written to {path}: {failure}\n")


def _print(text: str) -> None:
    with suppress(OSError, ValueError):  # the task has closed it
        sys.stderr.write(text)
        sys.stderr.flush()


def description(error: BaseException, text: str) -> Dict[str, Any]:
    """Return the content of an error file.

    `kind` and `message` are the exception's class and text, `summary` is both in one line, `traceback` is the text;
    `name` is the undefined name of a NameError in the user's code; `location` is the innermost line of the user's code.
    """
    # Libraries refine MemoryError, as NumPy does for its arrays.
    kind = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    details = {"kind": kind, "message": _text(error), "summary": _summary(error), "traceback": text}
    name = _missing_name(error)
    if name:
        details["name"] = name
    shown: Dict[str, Any] = {key: _shorten(value) for key, value in details.items()}
    location = _location(error)
    if location:
        shown["location"] = location
    return shown


def _location(error: BaseException) -> Optional[Dict[str, Union[str, int]]]:
    """Return the file, line, function and code of the innermost frame of the user's code; None if it has none."""
    frames = _user_frames(traceback.extract_tb(error.__traceback__))
    for frame in reversed(frames):
        if _is_users(frame.filename):
            code = _shorten((frame.line or "").strip())
            return {"file": frame.filename, "line": frame.lineno or 0, "function": frame.name, "code": code}
    return None


def _is_users(filename: str) -> bool:
    """Return whether a file is the user's: the component's, or a module that is neither Python's nor a package's."""
    if is_user_file(filename):
        return True
    is_installed = filename.startswith(_PYTHON) or any(part in filename for part in _PACKAGES)
    return os.path.isabs(filename) and not is_installed


def _shorten(text: str) -> str:
    """Return a text without its middle, if it is too long."""
    half = _MAX_TEXT // 2
    return text if len(text) <= _MAX_TEXT else f"{text[:half]} [… {len(text) - 2 * half} characters …] {text[-half:]}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a method of the user's may fail in any way
        return "<no text: its __str__ failed>"


def _summary(error: BaseException) -> str:
    """Return the line that names the exception: the first one without indent, after the source of a syntax error."""
    text = "".join(traceback.TracebackException.from_exception(error, limit=0).format_exception_only())
    return next((line for line in text.split("\n") if line and not line.startswith(" ")), type(error).__name__)


def traceback_text(error: BaseException) -> str:
    """Return the traceback of an error and its causes, without the frames of this package."""
    formatted = traceback.TracebackException.from_exception(error)
    _clean(formatted, set())
    # Without frames, some versions of Python still write the heading.
    return re.sub(r"^Traceback \(most recent call last\):\n(?=\S)", "", "".join(formatted.format()), flags=re.MULTILINE)


def _clean(error: traceback.TracebackException, seen: set[int]) -> None:
    if id(error) in seen:  # exceptions may refer to each other in a circle
        return
    seen.add(id(error))
    error.stack = traceback.StackSummary.from_list(_user_frames(error.stack))
    for other in (error.__cause__, error.__context__, *(getattr(error, "exceptions", None) or ())):
        if other is not None:
            _clean(other, seen)


def _user_frames(stack: traceback.StackSummary) -> List[traceback.FrameSummary]:
    """Return the frames from the first one of the user's code, without ours; all but ours if there is none."""
    first = next((index for index, frame in enumerate(stack) if is_user_file(frame.filename)), 0)
    return [frame for frame in stack[first:] if not _is_ours(frame.filename)]


def _is_ours(filename: str) -> bool:
    return filename.startswith((_HERE, "<frozen "))


def _missing_name(error: BaseException) -> Optional[str]:
    """Return the undefined name if the user's own code raised a NameError, else None."""
    if type(error) is not NameError:
        return None
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not is_user_file(frames[-1].filename):
        return None
    match = re.match(r"name '(.+?)' is not defined", str(error))  # Python 3.9 has it nowhere else
    return match[1] if match else None
