"""Marks: text that stands for a channel inside other text.

`f"{task.output}.csv"` in a pipeline function contains the mark of the output. A mark is registered when the channel is
turned into text, and replaced by a placeholder when the Plan is built. Each trace has its own table of marks, so that a
mark of another pipeline is detected.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from standpipe.errors import AuthoringError

MARK_PATTERN = r"\{\{channel:task=[^;{}]*;name=(?P<name>[^;{}]+);type=[^;{}]*;\}\}"


class _ActiveTable(threading.local):
    """The marks of the pipeline that this thread traces, by their text. Each thread has its own."""

    marks: dict[str, Any] | None = None


_active = _ActiveTable()


@contextmanager
def collect_marks() -> Iterator[None]:
    """Register marks in a new table until the block ends."""
    _active.marks = {}
    try:
        yield
    finally:
        _active.marks = None


def register_mark(text: str, channel: object) -> str:
    """Record that a text stands for a channel, if a pipeline is being traced, and return the text."""
    if _active.marks is not None:
        _active.marks.setdefault(text, channel)
    return text


def resolve_mark(text: str, location: str) -> Any:
    """Return the channel that a mark stands for.

    Args:
        text: the mark.
        location: the location of the text that contains the mark, for the message.

    Raises:
        AuthoringError: if the mark was not made in the pipeline that is being traced.
    """
    if _active.marks is None or text not in _active.marks:
        raise AuthoringError(
            f"{location} contains the placeholder {text}, which stands for a value of another pipeline. Pass a value "
            "of another pipeline as an argument."
        )
    return _active.marks[text]


def has_marks(text: str) -> bool:
    """Return whether a text contains a mark."""
    return re.search(MARK_PATTERN, text) is not None
