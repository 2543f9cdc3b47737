"""A confusion matrix as a heat map: the rows are true categories, the columns predicted ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from standpipe.ui.views.charts.numbers import format_number, format_percent
from standpipe.ui.views.charts.svg import element, join, shorten, svg

#: The most categories that are drawn. More could not be told apart.
MAX_CATEGORIES = 60

#: The darkest colour of a cell in `charts.css`; 0 is for cells that are empty.
_LEVELS = 10

#: From this number of categories on, cells are too small for text.
_NO_TEXT = 18
_CHARACTER = 7.0
_LONGEST = 22


def heat_map(categories: Sequence[str], rows: Sequence[Sequence[float]], title: str) -> Markup:
    """Return the heat map, with counts, and with the percentage of each row while cells have space for it.

    The colour of a cell is its share of its row, since categories are seldom of one size.

    Args:
        categories: the names of the categories.
        rows: for each true category, how often each category was predicted.
        title: what it shows.
    """
    names = [shorten(name, _LONGEST) or "(empty)" for name in categories[:MAX_CATEGORIES]]
    size = _cell_size(len(names))
    margin = 40 + max([len(name) for name in names], default=0) * _CHARACTER
    slanted = any(len(name) * _CHARACTER > size for name in names)
    top = 30 + (max(len(name) for name in names) * _CHARACTER * 0.72 + 8 if slanted else 18)
    width, height = margin + size * len(names), top + size * len(names)
    right = top * 0.9 if slanted else 8  # a slanted label of the last column reaches beyond it
    return svg(
        width + right,
        height + 4,
        title,
        _axis_titles(margin, top, width, height),
        join(_column_label(name, margin + (i + 0.5) * size, top - 8, slanted) for i, name in enumerate(names)),
        join(_row_label(name, margin - 8, top + (i + 0.5) * size) for i, name in enumerate(names)),
        join(
            _cell(categories, rows, row, column, margin + column * size, top + row * size, size)
            for row in range(len(names))
            for column in range(len(names))
        ),
        class_="chart heat-map",
    )


def _cell_size(count: int) -> float:
    return 72.0 if count <= 5 else 56.0 if count <= 8 else 44.0 if count <= 12 else 34.0 if count < _NO_TEXT else 14.0


def _axis_titles(left: float, top: float, right: float, bottom: float) -> Markup:
    x, y = (left + right) / 2, (top + bottom) / 2
    return element("text", "Predicted", class_="chart-title", x=x, y=12, text_anchor="middle") + element(
        "text", "True", class_="chart-title", x=12, y=y, text_anchor="middle", transform=f"rotate(-90 12 {y:g})"
    )


def _column_label(name: str, x: float, y: float, slanted: bool) -> Markup:
    turn = f"rotate(-45 {x:g} {y:g})" if slanted else None
    return element(
        "text", name, class_="chart-label", x=x, y=y, text_anchor="start" if slanted else "middle", transform=turn
    )


def _row_label(name: str, x: float, y: float) -> Markup:
    return element("text", name, class_="chart-label", x=x, y=y, text_anchor="end")


def _cell(
    categories: Sequence[str], rows: Sequence[Sequence[float]], row: int, column: int, x: float, y: float, size: float
) -> Markup:
    count, total = rows[row][column], sum(rows[row])
    share = count / total if total > 0 and count > 0 else 0.0
    level = min(math.ceil(share * _LEVELS), _LEVELS)
    sentence = f"True {categories[row]}, predicted {categories[column]}: {format_number(count)}"
    return element(
        "g",
        element("title", f"{sentence} ({format_percent(share)} of the row)"),
        element("rect", class_=f"heat-{level}", x=x + 0.5, y=y + 0.5, width=size - 1, height=size - 1, rx=2),
        join(_cell_text(count, share, level, x + size / 2, y + size / 2, size)),
        class_="heat-cell correct" if row == column else "heat-cell",
    )


def _cell_text(count: float, share: float, level: int, x: float, y: float, size: float) -> Sequence[Markup]:
    if size < 30:
        return ()
    text = format_number(count)
    if len(text) * _CHARACTER > size:
        text = f"{count:.2g}"
    class_ = f"heat-text heat-text-{level}" if count else "heat-zero"
    if size < 50 or not count:
        return (element("text", text, class_=class_, x=x, y=y, text_anchor="middle"),)
    return (
        element("text", text, class_=class_, x=x, y=y - 7, text_anchor="middle"),
        element("text", format_percent(share), class_=f"{class_} heat-percent", x=x, y=y + 9, text_anchor="middle"),
    )
