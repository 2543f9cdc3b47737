"""Tables as text: columns with a head, aligned by spaces."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from standpipe.support.terminal_text import strip_controls


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        head: the titles of the columns.
        rows: the texts of each row, one for each column.
        right: the titles of the columns that are aligned on the right, as numbers are.
    """
    cells = [[_one_line(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (
            cell.rjust(width) if title in right else cell.ljust(width)
            for title, cell, width in zip(head, row, widths, strict=True)
        )
        yield "  ".join(aligned).rstrip()


def _one_line(text: str) -> str:
    return " ".join(strip_controls(text).split())
