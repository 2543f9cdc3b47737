"""Draws lines at the bottom of a terminal, again and again, and writes others above them that stay."""

from __future__ import annotations

from collections.abc import Sequence

from standpipe.console.screen import Screen
from standpipe.console.styled import cell_width
from standpipe.support.terminal_text import strip_controls

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"


class Painter:
    """The last lines of a terminal. Each change is one write, so that the terminal shows no state in between.

    The caller has the lines cropped to the width of the terminal: a line that wraps would not be erased.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._drawn: list[str] = []  # with the cursor in the line below them
        self._width = 0

    def paint(self, above: str, lines: Sequence[str], width: int) -> None:
        """Write text above the display, and draw the display.

        Args:
            above: complete lines, which stay; perhaps none.
            lines: the lines of the display.
            width: the columns of the terminal.
        """
        if not above and [*lines] == self._drawn and width == self._width:
            return
        parts = [self._to_top(width)]
        if self._drawn and (above or len(lines) < len(self._drawn) or width != self._width):
            parts.append(_ERASE_BELOW)
        parts.append(above)
        parts += [f"{line}{_ERASE_LINE}\n" for line in lines]
        if bool(lines) is not bool(self._drawn):
            parts.append(_HIDE_CURSOR if lines else _SHOW_CURSOR)
        self._drawn, self._width = [*lines], width
        self._screen.write("".join(parts))
        self._screen.flush()

    def _to_top(self, width: int) -> str:
        """Return the command that moves the cursor to the first line of the display.

        Most terminals wrap lines again when they become narrower.
        """
        rows = len(self._drawn)
        if width < self._width:
            rows = sum(max(1, -(-_length(line) // max(1, width))) for line in self._drawn)
        return f"\r\x1b[{rows}A" if rows else ""


def _length(line: str) -> int:
    return cell_width(strip_controls(line))
