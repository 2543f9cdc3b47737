"""Output of the commands that show run history: colours on a terminal, plain text in other outputs."""

from __future__ import annotations

import os
import sys

from standpipe.support.terminal_text import strip_controls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: The colours of statuses, as ANSI codes; statuses without one are not coloured.
_COLOURS = {"FAILED": 31, "CANCELLED": 33, "INTERRUPTED": 33, "RUNNING": 36, "SUCCEEDED": 32}


def width() -> int:
    """Return the width of the terminal; unlimited if the output is not a terminal."""
    if not sys.stdout.isatty():
        return sys.maxsize
    import shutil  # only a terminal needs it, and `re` below

    return shutil.get_terminal_size().columns


def make_colorizer() -> Callable[[str, str], str]:
    """Return the function that gives a text the colour of a status; it asks the terminal no more than once."""
    return _colorize if _has_colours() else lambda text, status: text


def colorize_statuses(text: str) -> str:
    """Return a text with the statuses after the names of tasks in their colours, if the terminal has colours."""
    if not _has_colours():
        return text
    import re  # only a terminal needs it

    # As in `  train: failed in 3 s: …`.
    status = re.compile(rf"^( *[^:\n]+: )({'|'.join(_COLOURS).lower()})\b", re.MULTILINE)
    return status.sub(lambda match: match[1] + _colorize(match[2], match[2].upper()), text)


def print_text(text: str) -> None:
    """Print a text without commands for a terminal but colors; characters that its encoding lacks are escaped."""
    text, encoding = strip_controls(text, keep_colors=True), sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:  # its reader has exited, as `head` does
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or Python reports the error again when it exits


def _colorize(text: str, status: str) -> str:
    colour = _COLOURS.get(status)
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _has_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
