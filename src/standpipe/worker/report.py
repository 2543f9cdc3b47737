"""Says what went wrong in a task in the user's own terms: a traceback that shows the user's lines and none of ours."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from contextlib import suppress
from typing import Any, Dict, List, Optional

from .source import is_user_file

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def report(error: BaseException, path: str) -> None:
    """Prints the traceback to stderr and writes it, as JSON, into the file at `path`."""
    text = traceback_text(error)
    _print(text)
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(description(error, text), file)
    except OSError as refusal:  # a full disk, perhaps: the log still has the traceback
        _print(f"The error could not be written to {path}: {refusal}\n")


def _print(text: str) -> None:
    with suppress(OSError, ValueError):  # the task has closed it
        sys.stderr.write(text)
        sys.stderr.flush()


def description(error: BaseException, text: str) -> Dict[str, Any]:
    """The content of an error file.

    `kind` and `message` are the exception's class and text, `summary` is both in one line, `traceback` is the text;
    `name` is the name that the user's code looked for in vain, if that is what happened.
    """
    # Libraries refine MemoryError, as NumPy does for its arrays.
    kind = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    told = {"kind": kind, "message": _text(error), "summary": _summary(error), "traceback": text}
    name = _missing_name(error)
    return {**told, "name": name} if name else told


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  it is the user's own method, and has to be survived
        return "<no text: its __str__ failed>"


def _summary(error: BaseException) -> str:
    """The line that names the exception: the first that is not indented, as a syntax error shows its place before."""
    told = "".join(traceback.TracebackException.from_exception(error).format_exception_only())
    return next((line for line in told.split("\n") if line and not line.startswith(" ")), type(error).__name__)


def traceback_text(error: BaseException) -> str:
    """The traceback of an error and of those that it came from, without the frames of this package."""
    told = traceback.TracebackException.from_exception(error)
    _clean(told, set())
    # Where no frame is left, some Pythons write the heading nevertheless.
    return re.sub(r"^Traceback \(most recent call last\):\n(?=\S)", "", "".join(told.format()), flags=re.MULTILINE)


def _clean(told: traceback.TracebackException, seen: set[int]) -> None:
    if id(told) in seen:  # exceptions may refer to each other in a circle
        return
    seen.add(id(told))
    told.stack = traceback.StackSummary.from_list(_user_frames(told.stack))
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None:
            _clean(other, seen)


def _user_frames(stack: traceback.StackSummary) -> List[traceback.FrameSummary]:
    """The frames from the user's first on, without ours; without a frame of the user's, all that are not ours."""
    first = next((index for index, frame in enumerate(stack) if is_user_file(frame.filename)), 0)
    return [frame for frame in stack[first:] if not _is_ours(frame.filename)]


def _is_ours(filename: str) -> bool:
    return filename.startswith((_HERE, "<frozen "))


def _missing_name(error: BaseException) -> Optional[str]:
    """The name that the user's own code looked for in vain, or None if that is not what happened."""
    frames = traceback.extract_tb(error.__traceback__)
    if type(error) is not NameError or not frames or not is_user_file(frames[-1].filename):
        return None
    found = re.match(r"name '(.+?)' is not defined", str(error))  # Python 3.9 tells it nowhere else
    return found[1] if found else None
