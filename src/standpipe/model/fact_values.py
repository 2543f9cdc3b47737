"""The values that events and facts hold, for what treats those of all kinds alike: redaction, and moved folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from standpipe.model.events import Fact
from standpipe.model.values import Value

T = TypeVar("T")

#: The attributes that hold values: by name, in order, or one.
_BY_NAME = ("inputs", "outputs")
_IN_ORDER = ("items",)
_SINGLE = ("item",)


def map_values(record: T, convert: Callable[[Value], Value]) -> T:
    """Return an event or a fact with each of its values converted; itself if its kind has none."""
    held = record.__dict__
    changes: dict[str, Any] = {
        name: {key: convert(value) for key, value in held[name].items()} for name in _BY_NAME if name in held
    }
    changes |= {name: tuple(map(convert, held[name])) for name in _IN_ORDER if name in held}
    changes |= {name: convert(held[name]) for name in _SINGLE if name in held}
    return replace(record, **changes) if changes else record  # type: ignore[type-var]


def values_of(fact: Fact) -> list[Value]:
    """Return the inputs, outputs and items in a fact."""
    held = fact.__dict__
    values = [value for name in _BY_NAME if name in held for value in held[name].values()]
    values += [value for name in _IN_ORDER if name in held for value in held[name]]
    return values + [held[name] for name in _SINGLE if name in held]
