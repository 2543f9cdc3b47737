"""Frozen dataclasses that do without what `dataclasses` compiles for each class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from standpipe.model.frozen import frozen


def make_class(decorator: Callable[[type], type]) -> Any:
    class Point:
        x: int
        y: int = 2
        names: list[str] = field(default_factory=list)
        unit: str = field(kw_only=True)
        scale: float = field(default=1.0, kw_only=True)

        def __post_init__(self) -> None:
            if self.scale <= 0:
                raise ValueError("the scale is not positive")

    return decorator(Point)


@pytest.fixture
def classes() -> tuple[Any, Any]:
    """Make the same class frozen, and with `dataclasses`."""
    return make_class(frozen), make_class(dataclass(frozen=True))


def test_objects_are_made_as_dataclasses_are(classes: tuple[Any, Any]) -> None:
    ours, theirs = classes
    assert inspect.signature(ours) == inspect.signature(theirs).replace(
        parameters=[
            each.replace(default=inspect.signature(ours).parameters[name].default)  # of factories it is a mark
            for name, each in inspect.signature(theirs).parameters.items()
        ]
    )
    for arguments, keywords in (((1,), {"unit": "m"}), ((1, 3, ["a"]), {"unit": "m", "scale": 2.0})):
        assert vars(ours(*arguments, **keywords)) == vars(theirs(*arguments, **keywords))
    assert ours(1, unit="m").names is not ours(1, unit="m").names
    for cls in classes:
        with pytest.raises(TypeError):
            cls(1, 2, [], "m")
        with pytest.raises(ValueError, match="not positive"):
            cls(1, unit="m", scale=0)
        with pytest.raises(ValueError, match="not positive"):
            replace(cls(1, unit="m"), scale=0)


def test_objects_cannot_be_changed(classes: tuple[Any, Any]) -> None:
    for cls in classes:
        point = cls(1, unit="m")
        with pytest.raises(FrozenInstanceError):
            point.x = 2
        with pytest.raises(FrozenInstanceError):
            del point.x
        with pytest.raises(FrozenInstanceError):
            point.other = 2
        assert replace(point, x=5) == cls(5, unit="m") != point
