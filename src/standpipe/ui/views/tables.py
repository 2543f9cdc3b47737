"""Tables of text files: CSV, TSV and records of JSON, with what their columns contain."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from standpipe.model.frozen import frozen
from standpipe.model.types import Json
from standpipe.ui.views.charts import shorten

#: The most rows and columns that are shown, and the most characters of a cell.
MAX_ROWS = 200
MAX_COLUMNS = 50
_MAX_CELL = 200

#: What separates the columns of a text whose name does not say so, and the rows that must agree in it.
_DELIMITERS = ",\t;|"
_SAMPLE = 20

_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?|nan", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_BOOLEANS = frozenset(("true", "false"))


#: The types whose values are aligned at the right; those of Parquet files have a width after their name.
_NUMERIC = ("integer", "number", "int", "uint", "float", "double", "decimal")


@frozen
class Column:
    """A column: its name, and the type of its values, such as `integer`."""

    name: str
    type: str

    @property
    def is_numeric(self) -> bool:
        """Whether its values are aligned at the right."""
        return self.type.startswith(_NUMERIC)


@frozen
class Table:
    """The first rows of a table.

    `row_count` and `column_count` are those of the whole table; unless `is_exact`, it has more rows than that.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    row_count: int
    column_count: int
    is_exact: bool = True


def find_delimiter(text: str) -> str:
    """Return what separates the columns of a text; empty if it does not look like a table.

    Args:
        text: its beginning, of whole lines.
    """
    for delimiter in _DELIMITERS:
        rows = _read_rows(text, delimiter, _SAMPLE)
        widths = {len(row) for row in rows if row}
        if len(rows) > 1 and len(widths) == 1 and widths.pop() > 1:
            return delimiter
    return ""


def read_table(text: str, delimiter: str, line_count: int | None = None) -> Table | None:
    """Return the table in a text; None if it has no rows, or is not a table.

    Args:
        text: the text of the file, or its beginning, of whole lines.
        delimiter: what separates the columns.
        line_count: if `text` is the beginning: the lines of the file, or of the part of it that was counted, without
            those that end in quotes.
    """
    rows = [row for row in _read_rows(text, delimiter, None if line_count is None else MAX_ROWS + 2) if row]
    if not rows:
        return None
    width = max(map(len, rows))
    first = [[_shorten(cell) for cell in row[:MAX_COLUMNS]] for row in rows[: MAX_ROWS + 1]]
    names = first.pop(0) if _is_header(first) else []
    row_count = (line_count or len(rows)) - bool(names)
    names += [f"column {number}" for number in range(len(names) + 1, min(width, MAX_COLUMNS) + 1)]
    shown = [(*row, *("",) * (len(names) - len(row))) for row in first[:MAX_ROWS]]
    return make_table(names, shown, max(row_count, len(shown)), width)


def read_records(records: Sequence[Json], row_count: int) -> Table | None:
    """Return a table of JSON objects whose values are neither lists nor objects; None if they are something else.

    Args:
        records: the first of them.
        row_count: the number of all.
    """
    names: dict[str, None] = {}
    for record in records:
        if not isinstance(record, dict) or any(isinstance(value, (dict, list)) for value in record.values()):
            return None
        names |= dict.fromkeys(record)
    shown = [*names][:MAX_COLUMNS]
    rows = [tuple(_shorten(_cell(record.get(name))) for name in shown) for record in records[:MAX_ROWS]]
    return make_table(shown, rows, row_count, len(names)) if names else None


def make_table(names: Sequence[str], rows: Sequence[Sequence[str]], row_count: int, column_count: int) -> Table:
    """Return a table of texts, with the types of its columns as its rows have them.

    Args:
        names: the names of the columns that are shown.
        rows: the rows that are shown, each as long as `names`.
        row_count: the number of all rows.
        column_count: the number of all columns.
    """
    types = [_type_of(column) for column in zip(*rows, strict=True)] or ["empty"] * len(names)
    columns = tuple(Column(shorten(name, 60), type) for name, type in zip(names, types, strict=True))
    return Table(columns, tuple(map(tuple, rows)), row_count, column_count)


def _read_rows(text: str, delimiter: str, limit: int | None) -> list[list[str]]:
    """Return the first rows; those before a fault if there is one."""
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            rows.append(row)
            if len(rows) == limit:
                break
    except csv.Error:  # a cell that is too long
        pass
    return rows


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row has names of columns: texts, each once. Pandas leaves the first one empty."""
    first = rows[0]
    return (
        len(set(first)) == len(first)
        and all(name.strip() for name in first[1:])
        and not any(_NUMBER.fullmatch(name.strip()) or _DATE.fullmatch(name.strip()) for name in first)
    )


def _type_of(cells: Sequence[str]) -> str:
    values = [cell.strip() for cell in cells if cell.strip()]
    if not values:
        return "empty"
    if all(map(_INTEGER.fullmatch, values)):
        return "integer"
    if all(map(_NUMBER.fullmatch, values)):
        return "number"
    if all(value.lower() in _BOOLEANS for value in values):
        return "boolean"
    return "date" if all(map(_DATE.fullmatch, values)) else "text"


def _shorten(cell: str) -> str:
    return cell if len(cell) < _MAX_CELL and cell.isprintable() else shorten(cell, _MAX_CELL)


def _cell(value: Json) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
