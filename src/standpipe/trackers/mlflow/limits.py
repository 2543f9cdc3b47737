"""What MLflow takes: names of parameters, metrics and tags, lengths of values, sizes of requests (MLflow 3.17.2).

The server rejects a whole request for one name that it does not take, so names and values are made to fit here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from standpipe.model.types import Json
from standpipe.model.values import Value, find_artifacts, shorten, to_text

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 5000  # older servers take no more
MAX_PARAMS = 100
MAX_METRICS = 800  # of the 1,000 entries that a request may have, with its parameters and tags

#: The most bytes of the parameters of a request, which may have 1,000,000 with its metrics and tags.
_MAX_BYTES = 600_000

_FORBIDDEN = re.compile(r"[^/\w.\- ]")
_METRICS = "system.Metrics"

Entry = dict[str, Json]


def clean_key(name: str) -> str:
    """Return a name as MLflow takes it: it may be that of a file, and must not be another name for the same one.

    >>> [clean_key(name) for name in ("rate", "top-5 %", "/a//b/../c", "..", "")]
    ['rate', 'top-5 _', 'a/b/_/c', '_', '_']
    """
    steps = (step for step in _FORBIDDEN.sub("_", name).split("/") if step)
    return "/".join("_" if step in (".", "..") else step for step in steps)[:MAX_KEY].rstrip("/") or "_"


def make_params(values: Mapping[str, Value], prefix: str = "") -> dict[str, str]:
    """Return parameters as MLflow has them: text. Artifacts are left out, and what is absent."""
    return {
        clean_key(prefix + name): shorten(to_text(value), MAX_PARAM)
        for name, value in values.items()
        if value is not None and not any(find_artifacts([value]))
    }


def make_metrics(outputs: Mapping[str, Value]) -> dict[str, float]:
    """Return the scalar metrics in the artifacts of type `Metrics`; a name that two of them have, with the output's."""
    metrics: dict[str, float] = {}
    for output, value in outputs.items():
        for artifact in find_artifacts([value]):
            if artifact.type.schema_title == _METRICS:
                for name, number in artifact.metadata.items():
                    if isinstance(number, (int, float)) and not isinstance(number, bool):
                        key = clean_key(name)
                        metrics[clean_key(f"{output}.{name}") if key in metrics else key] = number
    return metrics


def make_tags(tags: Mapping[str, str]) -> list[Entry]:
    """Return tags as entries of a request; those without a value are left out."""
    return [{"key": key, "value": shorten(value, MAX_TAG)} for key, value in tags.items() if value]


def make_batches(
    params: Mapping[str, str], metrics: Mapping[str, float], tags: Mapping[str, str], at: float
) -> Iterator[dict[str, list[Entry]]]:
    """Yield the bodies of requests that log entries.

    Args:
        params: the parameters.
        metrics: the metrics.
        tags: the tags, fewer than a hundred.
        at: the time of the metrics, in seconds since the epoch.
    """
    time = round(at * 1000)
    numbers = [{"key": key, "value": value, "timestamp": time, "step": 0} for key, value in metrics.items()]
    texts: list[Entry] = [{"key": key, "value": value} for key, value in params.items()]
    kinds = {
        "params": _split(texts, MAX_PARAMS),
        "metrics": _split(numbers, MAX_METRICS),
        "tags": iter([make_tags(tags)]),
    }
    while batch := {kind: chunk for kind, chunks in kinds.items() if (chunk := next(chunks, []))}:
        yield batch


def _split(entries: Iterable[Entry], most: int) -> Iterator[list[Entry]]:
    """Yield entries in lists that a request can have."""
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        length = len(json.dumps(entry)) + 2
        if chunk and (len(chunk) == most or size + length > _MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += length
    if chunk:
        yield chunk
