"""Paths of artifacts in a pipeline root that was moved or copied since they were stored.

A copy of a pipeline root is used with its own payloads: what was below the former root is below the present one. Only
the locations of artifacts are changed. Parameters are data, whatever they contain.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from standpipe.model.events import Fact
from standpipe.model.fact_values import map_values
from standpipe.model.values import ArtifactValue, Value, find_artifacts


class Move(NamedTuple):
    """A folder whose content is now in another one; both are absolute paths."""

    old: str
    new: str

    def path(self, path: str) -> str:
        """Return a path as it is after the move."""
        if path == self.old:
            return self.new
        prefix = os.path.join(self.old, "")
        return os.path.join(self.new, path[len(prefix) :]) if path.startswith(prefix) else path

    def value(self, value: Value) -> Value:
        """Return a value with the locations of its artifacts after the move."""
        if isinstance(value, ArtifactValue):
            return replace(value, uri=self.path(value.uri), custom_path=self.path(value.custom_path))
        if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
            return [self.value(item) for item in value]
        return value

    def values(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return inputs or outputs with the locations of their artifacts after the move."""
        return {name: self.value(value) for name, value in values.items()}

    def fact(self, fact: Fact) -> Fact:
        """Return a fact with the locations of its artifacts after the move."""
        return map_values(fact, self.value)


def infer_root(values: Iterable[Value], run: str) -> str:
    """Return the pipeline root of a run by the locations of its artifacts; empty if none is in the run's folder.

    Stores of older versions say nothing else about it.
    """
    for artifact in find_artifacts(values):
        root, separator, _ = artifact.location.partition(f"/{run}/")
        if separator and os.path.isabs(root):
            return root
    return ""
