"""What the page Compare shows: runs side by side, and what changed from the first one to each of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from markupsafe import Markup

from standpipe.history import Run
from standpipe.history.artifacts import LocatedArtifact, output_artifacts
from standpipe.model.frozen import frozen
from standpipe.ui.views.charts import RocSeries, heat_map, roc_plot
from standpipe.ui.views.differences import Differences, RecordedRun, compare_runs
from standpipe.ui.views.embedded import HTML, MARKDOWN
from standpipe.ui.views.metrics import Metrics, read_metrics
from standpipe.ui.views.side_by_side import Table, merge_keys, table_of_metrics, table_of_values
from standpipe.ui.views.task_differences import parameters_in

#: The most runs that are compared.
MAX_RUNS = 10

#: The most artifacts of each kind that are shown.
_MAX_ARTIFACTS = 20

#: The most curves of one plot, which has so many colours.
_MAX_CURVES = 10


@frozen
class RunColumn:
    """A run, as the heads of the tables name it. `letter` is its name on this page, `number` its position from 0."""

    number: int
    letter: str
    id: str
    pipeline: str
    status: str
    created: datetime
    duration: float | None
    tasks: int


@frozen
class Picture:
    """A picture of one run."""

    column: RunColumn
    svg: Markup | None


@frozen
class Pictures:
    """The same artifact of each run, as pictures side by side."""

    name: str
    pictures: tuple[Picture, ...]


@frozen
class Documents:
    """The same artifact of each run, as documents side by side; None where a run does not have it."""

    name: str
    artifacts: tuple[tuple[RunColumn, LocatedArtifact | None], ...]


@frozen
class Comparison:
    """All that the page shows."""

    columns: tuple[RunColumn, ...]
    parameters: Table
    outputs: Table
    metrics: Table
    matrices: tuple[Pictures, ...]
    curves: tuple[Markup, ...]
    markdown: tuple[Documents, ...]
    html: tuple[Documents, ...]
    changes: tuple[Differences, ...]


#: Where an artifact is in a run, which is the same in runs that are compared: the path of its task, and its name.
_Key = tuple[str, str]


def compare(recorded: Sequence[RecordedRun], *, only_differences: bool = False) -> Comparison:
    """Return what the page shows of 2 or more runs.

    Args:
        recorded: the runs, in the order of the columns; the others are compared with the first.
        only_differences: whether rows of tables are left out in which all runs have the same value.
    """
    runs = [each.run for each in recorded]
    columns = tuple(_column(number, run) for number, run in enumerate(runs))
    artifacts = [{each.key: each for each in output_artifacts(run)} for run in runs]
    metrics = [
        {key: found for key, each in by_key.items() if (found := read_metrics(each.artifact))} for by_key in artifacts
    ]
    inputs, outputs = [parameters_in(run.inputs) for run in runs], [parameters_in(run.outputs) for run in runs]
    return Comparison(
        columns=columns,
        parameters=table_of_values(inputs, only_differences=only_differences),
        outputs=table_of_values(outputs, only_differences=only_differences),
        metrics=table_of_metrics(metrics, only_differences=only_differences),
        matrices=tuple(_matrices(columns, metrics)),
        curves=tuple(_plots(columns, metrics)),
        markdown=tuple(_documents(columns, artifacts, MARKDOWN)),
        html=tuple(_documents(columns, artifacts, HTML)),
        changes=tuple(compare_runs(recorded[0], other) for other in recorded[1:]),
    )


def _column(number: int, run: Run) -> RunColumn:
    tasks = sum(not task.children for task in run.all_tasks())
    return RunColumn(
        number, chr(ord("A") + number), run.id, run.pipeline, run.status.value, run.created, run.duration, tasks
    )


def _matrices(columns: Sequence[RunColumn], metrics: Sequence[Mapping[_Key, Metrics]]) -> Iterator[Pictures]:
    """Yield the confusion matrices: a row of pictures for each artifact."""
    for key in _keys_with(metrics, lambda found: found.matrix is not None):
        name = " / ".join(key)
        found = [by_key.get(key) for by_key in metrics]
        yield Pictures(name, tuple(_matrix(*pair, name) for pair in zip(columns, found, strict=True)))


def _matrix(column: RunColumn, found: Metrics | None, name: str) -> Picture:
    matrix = found.matrix if found else None
    title = f"Confusion matrix {name} of run {column.letter}"
    return Picture(column, heat_map(matrix.categories, matrix.rows, title) if matrix else None)


def _plots(columns: Sequence[RunColumn], metrics: Sequence[Mapping[_Key, Metrics]]) -> Iterator[Markup]:
    """Yield all ROC curves in one plot, or, if they are too many to be told apart, a plot for each artifact."""
    keys = _keys_with(metrics, lambda found: found.curve is not None)
    series = {
        key: [
            RocSeries(f"{column.letter} {key[0]}", curve.points, curve.auc)
            for column, by_key in zip(columns, metrics, strict=True)
            if key in by_key and (curve := by_key[key].curve)
        ]
        for key in keys
    }
    together = [each for key in keys for each in series[key]]
    if 0 < len(together) <= _MAX_CURVES:
        yield roc_plot(together, "ROC curves of all runs")
    elif together:
        yield from (roc_plot(series[key], f"ROC curves of {' / '.join(key)}") for key in keys)


def _keys_with(metrics: Sequence[Mapping[_Key, Metrics]], condition: Callable[[Metrics], bool]) -> list[_Key]:
    return merge_keys({key: True for key, found in by_key.items() if condition(found)} for by_key in metrics)[
        :_MAX_ARTIFACTS
    ]


def _documents(
    columns: Sequence[RunColumn], artifacts: Sequence[Mapping[_Key, LocatedArtifact]], kind: str
) -> Iterator[Documents]:
    """Yield the artifacts of a type: a row of documents for each."""
    of_kind = [{key: each for key, each in by_key.items() if each.artifact.type == kind} for by_key in artifacts]
    for key in merge_keys(of_kind)[:_MAX_ARTIFACTS]:
        yield Documents(
            " / ".join(key), tuple((column, each.get(key)) for column, each in zip(columns, of_kind, strict=True))
        )
