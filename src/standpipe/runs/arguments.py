"""Conversion between the values of users (Python values, artifact objects) and those of the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from standpipe.dsl.types import artifact_type
from standpipe.model.layout import PAYLOADS_FOLDER
from standpipe.model.locations import is_remote, to_path
from standpipe.model.values import ArtifactValue, Value
from standpipe.worker import artifacts


def to_values(arguments: Mapping[str, Any]) -> dict[str, Value]:
    """Return arguments as values: artifact objects become `ArtifactValue`s with absolute paths."""
    return {name: _to_value(argument) for name, argument in arguments.items()}


def from_values(
    values: Mapping[str, Value], find_copy: Callable[[ArtifactValue], str] = lambda _: ""
) -> dict[str, Any]:
    """Return inputs or outputs as users see them: parameters as Python values, artifacts as objects.

    Args:
        values: the values by name.
        find_copy: returns the path of the copy of a remote payload on this machine, if it has one.
    """
    return {name: _from_value(value, find_copy) for name, value in values.items()}


def _to_value(argument: Any) -> Value:
    if isinstance(argument, (list, tuple)) and argument and isinstance(argument[0], artifacts.Artifact):
        return [_to_value(item) for item in argument]
    if not isinstance(argument, artifacts.Artifact):
        return argument
    path = to_path(argument.uri)
    uri = os.path.abspath(path) if path else argument.uri
    return ArtifactValue(
        name=argument.name,
        type=artifact_type(type(argument), "argument"),
        uri=uri,
        metadata=dict(argument.metadata),
        custom_path="" if _is_copy(argument) else os.path.abspath(argument.custom_path),
    )


def _is_copy(argument: artifacts.Artifact) -> bool:
    """Return whether the path of an artifact is that of a copy of a remote payload, which is not kept for ever."""
    return not argument.custom_path or (is_remote(argument.uri) and PAYLOADS_FOLDER in argument.custom_path.split("/"))


def _from_value(value: Value, find_copy: Callable[[ArtifactValue], str]) -> Any:
    if isinstance(value, list):
        return [_from_value(item, find_copy) for item in value]
    if not isinstance(value, ArtifactValue):
        return value
    title, version = value.type.schema_title, value.type.schema_version
    cls = artifacts.BY_TITLE.get(title) or type(
        title.rpartition(".")[2], (artifacts.Artifact,), {"schema_title": title, "schema_version": version}
    )
    artifact = cls(name=value.name, uri=value.uri, metadata=dict(value.metadata))
    artifact.custom_path = value.custom_path or find_copy(value)
    return artifact
