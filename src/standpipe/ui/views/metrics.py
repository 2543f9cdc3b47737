"""What the metadata of an artifact say about a model: numbers, a confusion matrix, ROC curves, and slices of these.

The shapes are those that KFP's artifact classes write (`worker/artifacts.py`), and those of its backend, which wraps
lists and structures (`{"list": [...]}`, `{"struct": {...}}`). Tasks may write anything: what does not have one of the
shapes is left to the table of the metadata.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from standpipe.history.records import Artifact
from standpipe.model.frozen import field, frozen
from standpipe.model.types import Json
from standpipe.ui.views.charts import RocSeries

#: The types whose plain numbers are metrics.
_METRICS = frozenset(("system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics"))

_CURVE, _MATRIX, _SLICES = "confidenceMetrics", "confusionMatrix", "evaluationSlices"

#: Names that KFP's schema gives to the numbers of a classifier.
_LABELS = {"aucPrc": "AUC of precision and recall", "aucRoc": "AUC of the ROC curve", "logLoss": "Log loss"}


@frozen
class Scalar:
    """A metric that is one number."""

    name: str
    value: float

    @property
    def is_fraction(self) -> bool:
        """Whether it is a number from 0 to 1, as accuracies and most scores are."""
        return 0 <= self.value <= 1


@frozen
class CategoryScores:
    """How well one category was predicted. A score is None if it divides by zero; `support` is its number of cases."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: float


@frozen
class ConfusionMatrix:
    """How often each true category (row) was predicted as each category (column)."""

    categories: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]

    @property
    def total(self) -> float:
        """The number of cases."""
        return sum(map(sum, self.rows))

    @property
    def accuracy(self) -> float | None:
        """The share of the cases that were predicted correctly; None if there are none."""
        return _ratio(sum(row[index] for index, row in enumerate(self.rows)), self.total)

    @property
    def scores(self) -> tuple[CategoryScores, ...]:
        """The scores of each category."""
        predicted = [sum(column) for column in zip(*self.rows, strict=True)]
        return tuple(
            _score(name, row[index], predicted[index], sum(row))
            for index, (name, row) in enumerate(zip(self.categories, self.rows, strict=True))
        )


@frozen
class Classification:
    """The metrics of a classifier, for all data or for one slice of them."""

    scalars: tuple[Scalar, ...] = ()
    matrix: ConfusionMatrix | None = None
    curve: RocSeries | None = None

    @property
    def auc(self) -> float | None:
        """The area under the ROC curve, as it was logged or else as its points give it."""
        logged = next((scalar.value for scalar in self.scalars if scalar.name == _LABELS["aucRoc"]), None)
        return logged if logged is not None else self.curve.auc if self.curve else None


@frozen
class Metrics(Classification):
    """All metrics of one artifact. `slices` are by label, in the order in which they were logged."""

    slices: Mapping[str, Classification] = field(default_factory=dict)

    @property
    def curves(self) -> tuple[RocSeries, ...]:
        """All curves: that of the artifact, then those of its slices."""
        return tuple(each.curve for each in (self, *self.slices.values()) if each.curve)

    def __bool__(self) -> bool:
        return bool(self.scalars or self.matrix or self.curve or self.slices)


def read_metrics(artifact: Artifact) -> Metrics:
    """Return the metrics in the metadata of an artifact; nothing, which is false, if it has none.

    Numbers are metrics in KFP's three types of metrics only. Curves, matrices and slices have shapes that nothing else
    has, and are recognised in artifacts of any type.

    Args:
        artifact: the artifact. Its name is the name of its curve.
    """
    metadata = artifact.metadata
    whole = _classification(artifact.name, metadata)
    return Metrics(
        whole.scalars if artifact.type in _METRICS else (), whole.matrix, whole.curve, _slices(metadata.get(_SLICES))
    )


def read_curve(name: str, readings: Json) -> RocSeries | None:
    """Return the ROC curve in a list of readings, as `log_roc_curve` writes them; None if it is something else.

    Args:
        name: the name of the curve.
        readings: the list. Readings whose numbers are missing or no numbers are left out.
    """
    items = _unwrap(readings)
    points = sorted(_points(items)) if isinstance(items, list) else []
    return RocSeries(name, tuple(points), _area(points)) if points else None


def read_matrix(value: Json) -> ConfusionMatrix | None:
    """Return the confusion matrix that `log_confusion_matrix` has written; None if it is something else."""
    value = _unwrap(value)
    if not isinstance(value, Mapping):
        return None
    specs, rows = _unwrap(value.get("annotationSpecs")), _unwrap(value.get("rows"))
    if not isinstance(specs, list) or not isinstance(rows, list) or not specs or len(rows) != len(specs):
        return None
    numbers = [_row(row) for row in rows]
    if any(row is None or len(row) != len(specs) for row in numbers):
        return None
    return ConfusionMatrix(tuple(map(_category, specs)), tuple(row for row in numbers if row is not None))


def _classification(name: str, metadata: Mapping[str, Json]) -> Classification:
    return Classification(
        tuple(
            Scalar(_LABELS.get(key, key), number)
            for key, value in metadata.items()
            if (number := _number(value)) is not None
        ),
        read_matrix(metadata.get(_MATRIX)),
        read_curve(name, metadata.get(_CURVE)),
    )


def _slices(value: Json) -> dict[str, Classification]:
    items = _unwrap(value)
    slices = {}
    for item in map(_unwrap, items if isinstance(items, list) else ()):
        metrics = _unwrap(item.get("sliceClassificationMetrics")) if isinstance(item, Mapping) else None
        if isinstance(item, Mapping) and isinstance(metrics, Mapping):
            label = str(item.get("slice", ""))
            slices[label] = _classification(label, metrics)
    return slices


def _unwrap(value: Json) -> Json:
    """Return a list or a structure without the name of its kind, which KFP's backend puts around it."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, content),) = value.items()
        if (kind == "list" and isinstance(content, list)) or (kind == "struct" and isinstance(content, Mapping)):
            return content
    return value


def _number(value: Json) -> float | None:
    """Return a number that can be drawn: neither a boolean, nor infinite, nor too large for a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def _points(readings: Sequence[Json]) -> Iterator[tuple[float, float, float]]:
    for reading in map(_unwrap, readings):
        if isinstance(reading, Mapping):
            fpr, tpr = _number(reading.get("falsePositiveRate")), _number(reading.get("recall"))
            threshold = _number(reading.get("confidenceThreshold"))
            if fpr is not None and tpr is not None:
                yield fpr, tpr, math.nan if threshold is None else threshold


def _area(points: Sequence[tuple[float, float, float]]) -> float:
    """Return the area under a curve by the trapezoidal rule, its ends drawn to (0, 0) and (1, 1)."""
    rates = [(0.0, 0.0), *((fpr, tpr) for fpr, tpr, _ in points), (1.0, 1.0)]
    return sum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in pairwise(rates))


def _row(value: Json) -> tuple[float, ...] | None:
    row = _unwrap(value)
    cells = _unwrap(row.get("row")) if isinstance(row, Mapping) else row
    numbers = [_number(cell) for cell in cells] if isinstance(cells, list) else [None]
    return None if None in numbers else tuple(number for number in numbers if number is not None)


def _category(spec: Json) -> str:
    spec = _unwrap(spec)
    return str(spec.get("displayName", spec.get("id", ""))) if isinstance(spec, Mapping) else str(spec)


def _score(name: str, hits: float, predicted: float, support: float) -> CategoryScores:
    return CategoryScores(
        name, _ratio(hits, predicted), _ratio(hits, support), _ratio(2 * hits, predicted + support), support
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
