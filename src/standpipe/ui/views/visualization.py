"""The metrics of an artifact as charts and tables, for the template `preview.html`."""

from __future__ import annotations

from markupsafe import Markup

from standpipe.model.frozen import frozen
from standpipe.ui.views.charts import format_number, format_percent, heat_map, meter, roc_plot
from standpipe.ui.views.charts.heat_map import MAX_CATEGORIES
from standpipe.ui.views.metrics import Classification, ConfusionMatrix, Metrics, Scalar

#: The most heat maps of slices.
_MOST_MATRICES = 12


@frozen
class ScalarRow:
    """A metric that is one number, as text and in full; `meter` is a bar for a number from 0 to 1, or empty."""

    name: str
    text: str
    full: str
    meter: Markup


@frozen
class MatrixView:
    """A heat map, its accuracy, and the scores of its categories as texts: precision, recall, F1 and support."""

    title: str
    chart: Markup
    accuracy: str
    total: str
    scores: tuple[tuple[str, ...], ...]
    note: str


@frozen
class SliceTable:
    """The numbers of all slices: a column for each that one of them has."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@frozen
class Visualization:
    """What is shown of metrics. It is false if there is nothing."""

    scalars: tuple[ScalarRow, ...]
    matrices: tuple[MatrixView, ...]
    roc: Markup
    slices: SliceTable | None

    def __bool__(self) -> bool:
        return bool(self.scalars or self.matrices or self.roc or self.slices)


def visualize(metrics: Metrics) -> Visualization:
    """Return the charts and tables of metrics."""
    return Visualization(
        tuple(map(scalar_row, metrics.scalars)),
        tuple(_matrices(metrics)),
        roc_plot(metrics.curves) if metrics.curves else Markup(),
        _slice_table(metrics) if metrics.slices else None,
    )


def scalar_row(scalar: Scalar) -> ScalarRow:
    """Return a metric as it is shown."""
    return ScalarRow(
        scalar.name,
        format_number(scalar.value),
        repr(scalar.value),
        meter(scalar.value) if scalar.is_fraction else Markup(),
    )


def matrix_view(matrix: ConfusionMatrix, title: str = "Confusion matrix") -> MatrixView:
    """Return a confusion matrix as it is shown.

    Args:
        matrix: the matrix.
        title: what it shows.
    """
    count = len(matrix.categories)
    note = f"Only the first {MAX_CATEGORIES} of {count} categories are drawn." if count > MAX_CATEGORIES else ""
    return MatrixView(
        title,
        heat_map(matrix.categories, matrix.rows, title),
        _percent(matrix.accuracy),
        format_number(matrix.total),
        tuple(
            (each.name, *map(_percent, (each.precision, each.recall, each.f1)), format_number(each.support))
            for each in matrix.scores[:MAX_CATEGORIES]
        ),
        note,
    )


def _matrices(metrics: Metrics) -> list[MatrixView]:
    whole = [matrix_view(metrics.matrix)] if metrics.matrix else []
    slices = [
        matrix_view(each.matrix, f"Confusion matrix of {label}")
        for label, each in metrics.slices.items()
        if each.matrix
    ]
    return [*whole, *slices[:_MOST_MATRICES]]


def _slice_table(metrics: Metrics) -> SliceTable:
    cells = {label: _slice_cells(each) for label, each in metrics.slices.items()}
    names = tuple(dict.fromkeys(name for row in cells.values() for name in row))
    return SliceTable(
        names, tuple((label, tuple(row.get(name, "—") for name in names)) for label, row in cells.items())
    )


def _slice_cells(metrics: Classification) -> dict[str, str]:
    cells = {}
    if metrics.matrix:
        cells = {"Cases": format_number(metrics.matrix.total), "Accuracy": _percent(metrics.matrix.accuracy)}
    if metrics.curve and metrics.curve.auc is not None:
        cells["ROC AUC"] = f"{metrics.curve.auc:.4f}"
    return cells | {scalar.name: format_number(scalar.value) for scalar in metrics.scalars}


def _percent(fraction: float | None) -> str:
    return "—" if fraction is None else format_percent(fraction)
