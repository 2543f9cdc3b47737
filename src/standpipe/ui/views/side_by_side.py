"""Tables with a column for each of several runs: their parameters, outputs and scalar metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from standpipe.history.records import Value
from standpipe.model.frozen import frozen
from standpipe.ui.views.changes import difference, format_delta, same_value, value_text
from standpipe.ui.views.charts import format_number
from standpipe.ui.views.metrics import Metrics

_T = TypeVar("_T")

#: The most rows of a table.
_MAX_ROWS = 500

#: Words in the names of metrics of which less is better.
_LESS_IS_BETTER = frozenset(
    ("loss", "error", "mae", "mse", "rmse", "mape", "perplexity", "latency", "seconds", "time", "duration")
)


@frozen
class Cell:
    """A value of one run as text, None where the run does not have it.

    `delta` is its difference from the first run, as text with its sign; empty for the first run, and for values that
    are not numbers. `is_best` is whether no other run has a better one.
    """

    text: str | None
    delta: str = ""
    is_best: bool = False


@frozen
class Row:
    """One value of each run. `where` is the task and the artifact that it belongs to; empty for those of the run."""

    name: str
    cells: tuple[Cell, ...]
    differs: bool
    where: str = ""
    direction: str = ""


@frozen
class Table:
    """Rows, the number of those that are left out because all runs have the same, and because they are too many."""

    rows: tuple[Row, ...]
    equal: int = 0
    hidden: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.equal)


def table_of_values(values: Sequence[Mapping[str, Value]], *, only_differences: bool = False) -> Table:
    """Return a row for each name among the inputs or outputs of the runs.

    Args:
        values: those of each run.
        only_differences: whether to leave out the rows in which all runs have the same value.
    """
    rows = [
        _row(name, [each.get(name) for each in values], [name in each for each in values])
        for name in merge_keys(values)
    ]
    return _table(rows, only_differences=only_differences)


def _row(name: str, values: Sequence[Value], present: Sequence[bool]) -> Row:
    cells = tuple(
        Cell(value_text(value), _delta(values[0], value) if number else "") if exists else Cell(None)
        for number, (value, exists) in enumerate(zip(values, present, strict=True))
    )
    differs = not all(present) or not all(same_value(values[0], value) for value in values[1:])
    return Row(name, cells, differs)


def table_of_metrics(metrics: Sequence[Mapping[tuple[str, str], Metrics]], *, only_differences: bool = False) -> Table:
    """Return a row for each scalar metric of each artifact, with the best value marked.

    Args:
        metrics: those of each run, by the path of a task and the name of its output.
        only_differences: whether to leave out the rows in which all runs have the same value.
    """
    scalars = [
        {(*key, scalar.name): scalar.value for key, found in by_key.items() for scalar in found.scalars}
        for by_key in metrics
    ]
    rows = [_metric_row(key, [each.get(key) for each in scalars]) for key in merge_keys(scalars)]
    return _table(rows, only_differences=only_differences)


def merge_keys(mappings: Iterable[Mapping[_T, object]]) -> list[_T]:
    """Return the keys of all mappings, each once, in their order."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _table(rows: Sequence[Row], *, only_differences: bool) -> Table:
    shown = [row for row in rows if row.differs or not only_differences]
    return Table(tuple(shown[:_MAX_ROWS]), len(rows) - len(shown), max(0, len(shown) - _MAX_ROWS))


def _metric_row(key: tuple[str, str, str], values: Sequence[float | None]) -> Row:
    task, artifact, name = key
    known = [value for value in values if value is not None]
    is_less_better = less_is_better(name)
    best = (min if is_less_better else max)(known)
    has_best = len(known) > 1 and min(known) != max(known)
    cells = tuple(
        Cell(None)
        if value is None
        else Cell(format_number(value), _delta(values[0], value) if number else "", has_best and value == best)
        for number, value in enumerate(values)
    )
    direction = "less is better" if is_less_better else "more is better"
    return Row(name, cells, len(known) < len(values) or has_best, f"{task} / {artifact}", direction)


def less_is_better(metric: str) -> bool:
    """Return whether less of a metric is better, which only its name can tell.

    >>> [less_is_better(name) for name in ("accuracy", "log_loss", "RMSE", "f1", "train time", "sometimes")]
    [False, True, True, False, True, False]
    """
    words = "".join(character if character.isalnum() else " " for character in metric.lower()).split()
    return any(word in _LESS_IS_BETTER or word.endswith(("loss", "error")) for word in words)


def _delta(first: Value, value: Value) -> str:
    return format_delta(difference(first, value))
