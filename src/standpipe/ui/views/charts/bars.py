"""Bars for numbers that can be compared: one metric of several runs, or several metrics from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from standpipe.model.frozen import frozen
from standpipe.ui.views.charts.numbers import format_number, format_percent
from standpipe.ui.views.charts.svg import element, join, shorten, svg

_ROW = 24
_BAR = 14
_LABELS = 190
_BARS = 300
_VALUES = 90

#: How many colours of series `charts.css` has.
COLORS = 10


@frozen
class Bar:
    """One bar. `value` is None if it is missing; `series` chooses the colour."""

    label: str
    value: float | None
    series: int = 0


def bar_chart(bars: Sequence[Bar], title: str, *, limits: tuple[float, float] | None = None) -> Markup:
    """Return horizontal bars with labels at the left and values at the right.

    Args:
        bars: the bars, from top to bottom.
        title: what they show.
        limits: the values at both ends of the scale; None for those of the bars, and zero.
    """
    numbers = [bar.value for bar in bars if bar.value is not None and math.isfinite(bar.value)]
    scale = _Scale(*(limits or (min([0.0, *numbers]), max([0.0, *numbers]))))
    rows = [_row(bar, index * _ROW, scale) for index, bar in enumerate(bars)]
    zero = scale.position(0.0)
    axis = element("line", class_="chart-axis", x1=zero, x2=zero, y1=0, y2=len(bars) * _ROW)
    return svg(_LABELS + _BARS + _VALUES, len(bars) * _ROW, title, *rows, axis, class_="chart bar-chart")


def meter(fraction: float) -> Markup:
    """Return a small bar for a number from 0 to 1, which is in the text beside it."""
    share = min(max(fraction, 0.0), 1.0)
    return svg(
        100,
        8,
        f"{format_percent(share)} of the range from 0 to 1",
        element("rect", class_="chart-track", width=100, height=8, rx=2),
        element("rect", class_="series-0", width=share * 100, height=8, rx=2),
        class_="chart chart-meter",
    )


@frozen
class _Scale:
    """Where values are in the picture. Neither a span nor a step of it is computed, as floats have limits."""

    low: float
    high: float

    def position(self, value: float) -> float:
        largest = max(abs(self.low), abs(self.high))
        if not largest or self.high <= self.low:
            return _LABELS
        low, high = self.low / largest, self.high / largest
        return _LABELS + min(max((value / largest - low) / (high - low), 0.0), 1.0) * _BARS


def _row(bar: Bar, top: float, scale: _Scale) -> Markup:
    middle = top + _ROW / 2
    text = "—" if bar.value is None else format_number(bar.value)
    return element(
        "g",
        element("title", f"{bar.label}: {text}"),
        element("text", shorten(bar.label, 28), class_="chart-label", x=_LABELS - 8, y=middle, text_anchor="end"),
        join(_bar(bar, top, scale)),
        element("text", text, class_="chart-value", x=_LABELS + _BARS + 8, y=middle),
    )


def _bar(bar: Bar, top: float, scale: _Scale) -> Sequence[Markup]:
    if bar.value is None or not math.isfinite(bar.value):
        return ()
    zero, end = scale.position(0.0), scale.position(bar.value)
    return (
        element(
            "rect",
            class_=f"series-{bar.series % COLORS}",
            x=min(zero, end),
            y=top + (_ROW - _BAR) / 2,
            width=max(abs(end - zero), 1.0),
            height=_BAR,
            rx=2,
        ),
    )
