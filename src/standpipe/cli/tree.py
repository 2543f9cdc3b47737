"""Trees of tasks with notes beside them, as commands print them."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

#: The lines of a tree: before a branch, before the last one, beside branches that follow, and beside none.
_LINES = ("├─ ", "└─ ", "│  ", "   ")
_ASCII_LINES = ("|- ", "`- ", "|  ", "   ")

#: The widest name that notes are beside; those of a longer one are below it.
_WIDEST_NAME = 34

#: The least width of notes.
_LEAST_NOTES = 24


class Branch(NamedTuple):
    """A task in a tree. Each of the `notes` is a paragraph beside its name."""

    name: str
    notes: Sequence[str] = ()
    children: Sequence[Branch] = ()


def render_tree(branches: Sequence[Branch], width: int) -> Iterator[str]:
    """Yield the lines of a tree.

    Args:
        branches: the tasks of the outermost level.
        width: the width of the terminal.
    """
    lines = _LINES if _can_encode("".join(_LINES)) else _ASCII_LINES
    rows = list(_rows(branches, "", lines))
    fitting = [len(row.first) for row in rows if len(row.first) <= _WIDEST_NAME]
    column = max(fitting, default=_WIDEST_NAME) + 2
    for row in rows:
        yield from _render_row(row, column, max(width - column, _LEAST_NOTES))


class _Row(NamedTuple):
    """A task with the lines of the tree: before its name, and before the lines that continue it."""

    first: str
    rest: str
    notes: Sequence[str]


def _rows(branches: Sequence[Branch], prefix: str, lines: tuple[str, str, str, str]) -> Iterator[_Row]:
    branch, last, beside, below = lines
    for number, each in enumerate(branches):
        is_last = number == len(branches) - 1
        rest = prefix + (below if is_last else beside)
        own = rest + (beside if each.children else below)
        yield _Row(f"{prefix}{last if is_last else branch}{each.name}", own, each.notes)
        yield from _rows(each.children, rest, lines)


def _render_row(row: _Row, column: int, width: int) -> Iterator[str]:
    notes = [line for note in row.notes for line in _wrap(note, width)]
    if notes and len(row.first) <= column - 2:
        yield f"{row.first:<{column}}{notes.pop(0)}"
    else:
        yield row.first
    yield from (f"{row.rest:<{column}}{note}".rstrip() for note in notes)


def _wrap(text: str, width: int) -> Iterable[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
