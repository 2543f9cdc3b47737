"""The totals of a run, as lists of runs show them: how many tasks there are in each status, and its scalar metrics.

The outline of a run that has ended has them (`history.progress`), so that a list reads no facts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from standpipe.model import events as e
from standpipe.model.refs import TaskRef
from standpipe.model.types import Json
from standpipe.model.values import ArtifactValue, Value

#: What tasks are counted as that succeeded with outputs of the cache.
CACHED = "CACHED"

#: The most metrics of a run, and the longest name of one. They are for columns, which people choose.
_MAX_METRICS = 100
_MAX_NAME = 100

_METRICS = "system.Metrics"

#: Names and numbers.
Scalars = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Metric:
    """The values of a metric in a run: how many tasks or outputs have it, its lowest and its highest value."""

    count: int
    lowest: float
    highest: float


@dataclass(frozen=True)
class RunTotals:
    """The totals of a run after some of its facts.

    `counts` are numbers of tasks by `Status` and `CACHED`, without nested pipelines, loops and iterations that have
    started. `metrics` are the numbers in the metadata of `Metrics` artifacts, and those among the outputs of the
    pipeline. `is_complete` is whether all facts of the run are in it.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    is_complete: bool = True

    def fields(self) -> dict[str, Json]:
        """Return the totals as JSON, as the run store keeps them."""
        metrics = {name: [each.count, each.lowest, each.highest] for name, each in self.metrics.items()}
        return {"counts": dict(self.counts), "metrics": metrics}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> RunTotals:
        """Return the totals of the JSON that `fields` returned."""
        return cls(fields["counts"], {name: Metric(*values) for name, values in fields["metrics"].items()})


class TotalsCounter:
    """Adds up the totals of a run."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._metrics: dict[str, Metric] = {}

    def totals(self) -> RunTotals:
        """Return what was added."""
        return RunTotals(self._counts, self._metrics)

    def add_task(self, status: str, *, is_cached: bool = False) -> None:
        """Add a task that has an executor, or was skipped."""
        name = CACHED if is_cached else status
        self._counts[name] = self._counts.get(name, 0) + 1

    def add_scalars(self, scalars: Scalars) -> None:
        """Add metrics of a task, or numbers among the outputs of the pipeline."""
        for name, value in scalars:
            self._add_metric(name, Metric(1, value, value))

    def add(self, other: TotalsCounter) -> None:
        """Add what another counter has."""
        for name, count in other._counts.items():
            self._counts[name] = self._counts.get(name, 0) + count
        for name, metric in other._metrics.items():
            self._add_metric(name, metric)

    def add_iteration(self, held: Sequence[Any], last: e.TaskSucceeded) -> None:
        """Add an iteration of a loop that has ended.

        Args:
            held: the times and facts about it, in turns, without the last one.
            last: the fact that it succeeded.
        """
        ended: list[Any] = []
        groups: set[TaskRef] = set()
        for fact in held[1::2]:
            status = _STATUSES.get(fact.__class__)
            if status:
                ended.append(fact)
            elif status is not None:
                groups.add(fact.task)
        for fact in ended if last.task in groups else (*ended, last):
            if not groups or fact.task not in groups:
                is_success = fact.__class__ is e.TaskSucceeded
                self.add_task(_STATUSES[fact.__class__], is_cached=bool(is_success and fact.cached_from))
                if is_success and fact.outputs:
                    self.add_scalars(metrics_of(fact.outputs))

    def _add_metric(self, name: str, metric: Metric) -> None:
        known = self._metrics.get(name)
        if known is not None:
            lowest, highest = min(known.lowest, metric.lowest), max(known.highest, metric.highest)
            self._metrics[name] = Metric(known.count + metric.count, lowest, highest)
        elif len(self._metrics) < _MAX_METRICS and len(name) <= _MAX_NAME:
            self._metrics[name] = metric


#: The status of the tasks that a fact is about; empty for groups.
_STATUSES: dict[type, str] = {
    e.DagStarted: "",
    e.LoopStarted: "",
    e.IterationStarted: "",
    e.TaskSucceeded: "SUCCEEDED",
    e.TaskFailed: "FAILED",
    e.TaskSkipped: "SKIPPED",
    e.TaskCancelled: "CANCELLED",
}


def metrics_of(outputs: Mapping[str, Value]) -> Scalars:
    """Return the numbers in the metadata of the `Metrics` artifacts among outputs."""
    pairs: list[tuple[str, float]] = []
    for value in outputs.values():
        for artifact in value if isinstance(value, list) else (value,):
            if not isinstance(artifact, ArtifactValue):
                break  # a list of something else, which may be long
            pairs += scalars_of(artifact.type.schema_title, artifact.metadata)
    return tuple(pairs)


def scalars_of(artifact_type: str, metadata: Mapping[str, Any]) -> Scalars:
    """Return the numbers of an artifact, if it is a `Metrics` artifact."""
    return numbers_of(metadata) if artifact_type == _METRICS else ()


def scalar_metrics(artifacts: Iterable[tuple[str | None, str, Mapping[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return the numbers of `Metrics` artifacts, by the path of the task that produced them and the name of the metric.

    Args:
        artifacts: the producer, the type and the metadata of each artifact.
    """
    metrics: dict[str, dict[str, float]] = {}
    for producer, artifact_type, metadata in artifacts:
        numbers = scalars_of(artifact_type, metadata)
        if producer is not None and numbers:
            metrics.setdefault(producer, {}).update(numbers)
    return metrics


def numbers_of(values: Mapping[str, Any]) -> Scalars:
    """Return the finite numbers among values."""
    return tuple(
        (name, value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    )
