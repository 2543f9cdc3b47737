"""Lines of styled text: what a display draws, before it becomes characters for a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from standpipe.console.nodes import State
from standpipe.model.frozen import frozen


class Span(NamedTuple):
    """A piece of a line; the names of styles are the keys of `_CODES`, separated by spaces."""

    text: str
    style: str = ""


#: A line as its pieces.
Line = Sequence[Span]

#: The parameters of the styles in commands for terminals (ECMA-48).
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


@frozen
class Symbols:
    """The characters of a display. `states` has those of the members of `State`, in their order."""

    states: str
    branch: str
    last_branch: str
    line: str
    full: str
    empty: str
    omission: str
    separator: str

    def of(self, state: State) -> str:
        """Return the symbol of a state."""
        return self.states[_ORDER[state]]


_ORDER = {state: index for index, state in enumerate(State)}

UNICODE = Symbols("·○▸↻✓≡-✗!", "├ ", "└ ", "│ ", "━", "─", "…", "·")
ASCII = Symbols(".o*~+=-x!", "|-", "`-", "| ", "#", ".", "...", "|")


def symbols_for(encoding: str) -> Symbols:
    """Return the characters that an encoding has."""
    return UNICODE if encoding.lower().replace("-", "").startswith("utf") else ASCII


def cell_width(text: str) -> int:
    """Return how many columns a text takes; those of East Asia and emoji take two, combining characters none.

    >>> cell_width("abc"), cell_width("日本"), cell_width("e\u0301")
    (3, 4, 1)
    """
    return len(text) if text.isascii() else sum(map(_width_of, text))


def _width_of(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


def crop(text: str, width: int, omission: str = "…") -> str:
    """Return a text in at most so many columns; a longer one ends with the sign of an omission."""
    if cell_width(text) <= width:
        return text
    room, kept = width - cell_width(omission), 0
    for index, character in enumerate(text):
        kept += _width_of(character)
        if kept > room:
            return text[:index] + omission if room >= 0 else omission[:width]
    return text


def crop_line(line: Iterable[Span], width: int, omission: str = "…") -> list[Span]:
    """Return a line in at most so many columns."""
    shown: list[Span] = []
    for span in line:
        text = crop(span.text, width, omission)
        shown.append(Span(text, span.style))
        width -= cell_width(text)
        if text != span.text or width <= 0:
            break
    return shown


def to_text(line: Line, *, colored: bool) -> str:
    """Return a line as characters for a terminal."""
    if not colored:
        return "".join(span.text for span in line)
    return "".join(_colorize(span) for span in line)


def _colorize(span: Span) -> str:
    if not span.style or not span.text:
        return span.text
    return f"\x1b[{';'.join(_CODES[name] for name in span.style.split())}m{span.text}\x1b[0m"
