"""Output of the commands that show run history: colours on a terminal, plain text in other outputs."""

from __future__ import annotations

import os
import sys

from standpipe.support.terminal_text import strip_controls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: ANSI codes for `make_painter`.
BOLD, RED, GREEN, CYAN = 1, 31, 32, 36

#: The colours of statuses, as ANSI codes; statuses without one are not coloured.
_COLOURS = {"FAILED": 31, "CANCELLED": 33, "INTERRUPTED": 33, "RUNNING": 36, "SUCCEEDED": 32}

#: The same for the statuses of checks, which stand at the beginning of a line.
_OF_CHECKS = {"PROBLEM": 31, "WARNING": 33, "OK": 32}

#: The colours of labels: none of them is that of a failure.
_LABEL_COLOURS = (36, 32, 33, 34, 35, 96, 92, 94, 95)


def width() -> int:
    """Return the width of the terminal; unlimited if the output is not a terminal."""
    if not sys.stdout.isatty():
        return sys.maxsize
    import shutil  # only a terminal needs it, and `re` below

    return shutil.get_terminal_size().columns


def make_colorizer() -> Callable[[str, str], str]:
    """Return the function that gives a text the colour of a status; it asks the terminal no more than once."""
    return _colorize if has_colors() else lambda text, status: text


def colorize_statuses(text: str) -> str:
    """Return a text with the statuses after the names of tasks in their colours, if the terminal has colours."""
    if not has_colors():
        return text
    import re  # only a terminal needs it

    # As in `  train: failed in 3 s: …`.
    status = re.compile(rf"^( *[^:\n]+: )({'|'.join(_COLOURS).lower()})\b", re.MULTILINE)
    return status.sub(lambda match: match[1] + _colorize(match[2], match[2].upper()), text)


def make_labeler() -> Callable[[str], str]:
    """Return the function that makes the label of a task before a line: coloured on a terminal, each in its colour."""
    paint = make_painter()
    return lambda name: paint(f"[{name}]", _LABEL_COLOURS[sum(name.encode(errors="replace")) % len(_LABEL_COLOURS)])


def make_painter() -> Callable[[str, int], str]:
    """Return the function that gives a text a colour by its ANSI code, such as `RED`, if the terminal has colours."""
    return _paint if has_colors() else lambda text, code: text


def print_text(text: str) -> bool:
    """Print a text without commands for a terminal but colors; characters that its encoding lacks are escaped.

    Returns:
        Whether somebody reads it: False if the reader has exited, as `head` does.
    """
    text, encoding = strip_controls(text, keep_colors=True), sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        leave_output()
        return False
    return True


def leave_output() -> None:
    """Write nothing more: the reader of the output has exited. Otherwise Python reports that again when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _paint(text: str, code: int) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _colorize(text: str, status: str) -> str:
    colour = (_COLOURS | _OF_CHECKS).get(status)
    return _paint(text, colour) if colour else text


def has_colors() -> bool:
    """Return whether standard output is a terminal with colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
