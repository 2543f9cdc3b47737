"""What the commands that look back print: colours on a terminal, plain text elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standpipe.history import Status

#: The colours of what is not as it should be, and of what goes on, as terminals number them.
_COLOURS = {"FAILED": 31, "CANCELLED": 33, "INTERRUPTED": 33, "RUNNING": 36, "SUCCEEDED": 32}

#: The status in a line such as `  train: failed in 3 s: …`.
_STATUS = re.compile(rf"^( *[^:\n]+: )({'|'.join(_COLOURS).lower()})\b", re.MULTILINE)


def width() -> int:
    """How many characters a line may have; where nobody sees it, as many as it needs."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def painted(text: str, status: Status) -> str:
    """A text in the colour of a status, on a terminal that has colours."""
    return _painted(text, status.value) if _has_colours() else text


def painted_lines(text: str) -> str:
    """A text with the statuses behind the names of tasks in their colours, on a terminal that has colours."""
    return _STATUS.sub(lambda found: found[1] + _painted(found[2], found[2].upper()), text) if _has_colours() else text


def show(text: str) -> None:
    """Prints a text; characters that the terminal's encoding lacks are written as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:  # its reader has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again at its exit


def _painted(text: str, status: str) -> str:
    colour = _COLOURS.get(status)
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _has_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
