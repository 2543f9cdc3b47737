"""ROC curves: true positive rate over false positive rate, as many series as one likes to compare."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from standpipe.model.frozen import frozen
from standpipe.ui.views.charts.bars import COLORS
from standpipe.ui.views.charts.numbers import format_number
from standpipe.ui.views.charts.svg import element, join, shorten, svg

_SIZE = 320
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 12, 20, 48
_LEGEND_ROW = 22
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

#: The most points of a curve that are drawn: one for each pixel of the plot.
_MAX_POINTS = _SIZE

#: The most points that are also marked, so that their thresholds can be read.
_MAX_MARKS = 100


@frozen
class RocSeries:
    """One curve. `points` are (false positive rate, true positive rate, threshold), in the order of the first two.

    `auc` is the area under it; None if it has no points.
    """

    name: str
    points: Sequence[tuple[float, float, float]]
    auc: float | None


def roc_plot(series: Sequence[RocSeries], title: str = "ROC curve") -> Markup:
    """Return a plot of all curves, with a legend of their names and areas.

    Args:
        series: the curves.
        title: what they show.
    """
    legend_top = _TOP + _SIZE + _BOTTOM
    return svg(
        _LEFT + _SIZE + _RIGHT,
        legend_top + len(series) * _LEGEND_ROW,
        title,
        _grid(),
        element("line", class_="chart-chance", x1=_x(0), y1=_y(0), x2=_x(1), y2=_y(1)),
        join(_curve(each, index) for index, each in enumerate(series)),
        join(_legend(each, index, legend_top + index * _LEGEND_ROW) for index, each in enumerate(series)),
        class_="chart roc-plot",
    )


def _x(rate: float) -> float:
    return _LEFT + min(max(rate, 0.0), 1.0) * _SIZE


def _y(rate: float) -> float:
    return _TOP + (1 - min(max(rate, 0.0), 1.0)) * _SIZE


def _grid() -> Markup:
    middle = _TOP + _SIZE / 2
    return join(
        [
            *(element("line", class_="chart-grid", x1=_x(t), x2=_x(t), y1=_y(0), y2=_y(1)) for t in _TICKS),
            *(element("line", class_="chart-grid", x1=_x(0), x2=_x(1), y1=_y(t), y2=_y(t)) for t in _TICKS),
            *(
                element("text", f"{t:g}", class_="chart-tick", x=_x(t), y=_y(0) + 16, text_anchor="middle")
                for t in _TICKS
            ),
            *(element("text", f"{t:g}", class_="chart-tick", x=_LEFT - 8, y=_y(t), text_anchor="end") for t in _TICKS),
            element(
                "text",
                "False positive rate",
                class_="chart-title",
                x=_LEFT + _SIZE / 2,
                y=_y(0) + 36,
                text_anchor="middle",
            ),
            element(
                "text",
                "True positive rate",
                class_="chart-title",
                x=14,
                y=middle,
                text_anchor="middle",
                transform=f"rotate(-90 14 {middle:g})",
            ),
        ]
    )


def _curve(series: RocSeries, index: int) -> Markup:
    points = _thin(series.points)
    line = " ".join(f"{_x(fpr):.1f},{_y(tpr):.1f}" for fpr, tpr, _ in points)
    marks = points if len(points) <= _MAX_MARKS else ()
    return element(
        "g",
        element("polyline", class_="roc-line", points=line),
        join(_mark(series.name, *point) for point in marks),
        class_=f"roc-series line-{index % COLORS}",
    )


def _mark(name: str, fpr: float, tpr: float, threshold: float) -> Markup:
    rates = f"false positive rate {format_number(fpr)}, true positive rate {format_number(tpr)}"
    return element(
        "circle",
        element("title", f"{name}: threshold {format_number(threshold)}, {rates}"),
        class_="roc-mark",
        cx=_x(fpr),
        cy=_y(tpr),
        r=3,
    )


def _legend(series: RocSeries, index: int, top: float) -> Markup:
    middle = top + _LEGEND_ROW / 2
    area = "no points" if series.auc is None else f"AUC {series.auc:.4f}"
    return element(
        "g",
        element("title", f"{series.name}: {area}"),
        element("line", class_=f"roc-key line-{index % COLORS}", x1=_LEFT, x2=_LEFT + 18, y1=middle, y2=middle),
        element("text", shorten(series.name, 30), class_="chart-label", x=_LEFT + 26, y=middle),
        element("text", area, class_="chart-value", x=_LEFT + _SIZE, y=middle, text_anchor="end"),
    )


def _thin(points: Sequence[tuple[float, float, float]]) -> Sequence[tuple[float, float, float]]:
    """Return so few points that the curve looks the same: the first, the last, and those at equal steps between."""
    if len(points) <= _MAX_POINTS:
        return points
    step = (len(points) - 1) / (_MAX_POINTS - 1)
    return [points[round(index * step)] for index in range(_MAX_POINTS)]
