"""Marks of values that have lost a secret, so that no user's own `***` is taken for one.

A marked value is text, a list or a dict like any other, and compares equal to one. The run store keeps the marks
(`store.notation`, `store.plans`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any

from standpipe.model.types import Json
from standpipe.model.values import ArtifactValue, Value

#: The text that replaces a secret.
REDACTED = "***"


class RedactedText(str):
    """A text, or a number, that held a secret."""

    __slots__ = ()


class RedactedList(list[Json]):
    """A list with a secret somewhere in it."""


class RedactedObject(dict[str, Json]):
    """A dict with a secret somewhere in it, keys included. That of an artifact marks the artifact."""


_MARKS = (RedactedText, RedactedList, RedactedObject)


def mark_as_redacted(value: Value) -> Value:
    """Return a value with a mark."""
    if isinstance(value, str):
        return RedactedText(value)
    if isinstance(value, ArtifactValue):
        return replace(value, metadata=RedactedObject(value.metadata))
    if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
        return [mark_as_redacted(item) for item in value]
    if isinstance(value, list):
        return RedactedList(value)
    return RedactedObject(value) if isinstance(value, dict) else value


def is_marked(value: Value) -> bool:
    """Return whether a value itself has a mark."""
    if isinstance(value, ArtifactValue):
        return isinstance(value.metadata, RedactedObject)
    if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
        return any(map(is_marked, value))
    return isinstance(value, _MARKS)


def is_redacted(value: Any) -> bool:
    """Return whether a value, or a part of it such as one of several values, has a mark; also of a Plan."""
    return isinstance(value, _MARKS) or any(map(is_redacted, _parts(value)))


def seems_redacted(value: Any) -> bool:
    """Return whether a value contains `***`: what older stores, which have no marks, wrote for a secret."""
    if isinstance(value, str):
        return REDACTED in value
    keys = value if isinstance(value, Mapping) else ()
    return any(map(seems_redacted, keys)) or any(map(seems_redacted, _parts(value)))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, (list, tuple)):
        return value
    return vars(value).values() if is_dataclass(value) else ()
