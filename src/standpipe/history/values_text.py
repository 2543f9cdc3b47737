"""Inputs, outputs, items and metrics as short text, the same from recorded facts and from records.

The outline of a run in the run store has these texts, so they say nothing that may change later, as whether a file
exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from standpipe.history.records import Artifact
from standpipe.history.totals import Metric
from standpipe.model.values import ArtifactValue

#: The most characters of a value, and of the item of an iteration.
_MAX_VALUE = 200
_MAX_ITEM = 60

#: The most values of a kind.
_MAX_VALUES = 50


def describe_item(item: Any) -> str:
    """Return the item of an iteration as text."""
    return _shorten(_describe(item, ""), _MAX_ITEM)


def describe_values(title: str, values: Mapping[str, Any], run: str) -> Iterator[str]:
    """Yield the lines of inputs or outputs.

    Args:
        title: what they are.
        values: by name, as in facts or as in records.
        run: the id of the run. The paths of its artifacts begin in its folder.
    """
    yield from _list(title, [f"{name} = {_describe(value, run)}" for name, value in values.items()])


def describe_metrics(metrics: Mapping[str, Metric]) -> Iterator[str]:
    """Yield the lines of metrics, with the range of those that several tasks have."""
    yield from _list("metrics", [_describe_metric(name, metrics[name]) for name in sorted(metrics)])


def _list(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {line}" for line in lines[:_MAX_VALUES])
    if len(lines) > _MAX_VALUES:
        yield f"  and {len(lines) - _MAX_VALUES} more"


def _describe_metric(name: str, metric: Metric) -> str:
    span = "" if metric.lowest == metric.highest else f" to {metric.highest:g}"
    tasks = "" if metric.count == 1 else f", of {metric.count} tasks"
    return f"{name} = {metric.lowest:g}{span}{tasks}"


def _describe(value: Any, run: str) -> str:
    if isinstance(value, (Artifact, ArtifactValue)):
        return _describe_artifact(value, run)
    if isinstance(value, list) and value and isinstance(value[0], (Artifact, ArtifactValue)):
        return _shorten(f"[{', '.join(_describe_artifact(each, run) for each in value[:_MAX_VALUES])}]", _MAX_VALUE)
    return _shorten(repr(value), _MAX_VALUE)


def _describe_artifact(artifact: Artifact | ArtifactValue, run: str) -> str:
    """Return the type of an artifact and its path, without the folder of its run."""
    if isinstance(artifact, Artifact):
        title, location = artifact.type, artifact._location
    else:
        title, location = artifact.type.schema_title, artifact.location
    _, folder, path = location.partition(f"/{run}/") if run else ("", "", "")
    return f"{title.removeprefix('system.')} at {path if folder else location}"


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
