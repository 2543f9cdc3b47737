"""Frozen dataclasses that do without what `dataclasses` compiles for each class."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_type_hints

import pytest

from standpipe.model import frozen as ours_module
from standpipe.model.frozen import frozen, lazy_dataclass


def make_class(decorator: Callable[[type], type], field: Callable[..., Any]) -> Any:
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
    return make_class(frozen, ours_module.field), make_class(dataclasses.dataclass(frozen=True), dataclasses.field)


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
            dataclasses.replace(cls(1, unit="m"), scale=0)


def test_objects_cannot_be_changed(classes: tuple[Any, Any]) -> None:
    for cls in classes:
        point = cls(1, unit="m")
        with pytest.raises(dataclasses.FrozenInstanceError):
            point.x = 2
        with pytest.raises(dataclasses.FrozenInstanceError):
            del point.x
        with pytest.raises(dataclasses.FrozenInstanceError):
            point.other = 2
        assert dataclasses.replace(point, x=5) == cls(5, unit="m") != point


def test_dataclasses_finds_the_same_fields(classes: tuple[Any, Any]) -> None:
    ours, theirs = classes
    options = ("name", "type", "default", "default_factory", "repr", "compare", "kw_only", "metadata")
    described = [[[getattr(each, name) for name in options] for each in dataclasses.fields(cls)] for cls in classes]
    assert described[0] == described[1]
    assert all(map(dataclasses.is_dataclass, classes))
    assert dataclasses.asdict(ours(1, unit="m")) == dataclasses.asdict(theirs(1, unit="m"))
    assert ours.__match_args__ == theirs.__match_args__
    assert repr(ours(1, unit="m")) == repr(theirs(1, unit="m"))
    assert get_type_hints(ours.__init__) == get_type_hints(theirs.__init__)


def test_our_replace_is_that_of_dataclasses(classes: tuple[Any, Any]) -> None:
    ours, _ = classes
    point = ours(1, unit="m")
    assert ours_module.replace(point, x=5) == dataclasses.replace(point, x=5)
    with pytest.raises(ValueError, match="not positive"):
        ours_module.replace(point, scale=0)
    with pytest.raises(TypeError, match="'z'"):
        ours_module.replace(point, z=1)


@frozen
class Base:
    """A class with a field of each kind."""

    x: int
    seen: int = ours_module.field(default=0, compare=False)


@frozen
class Derived(Base):
    """A class with another field."""

    y: int = 2


@lazy_dataclass
class Draft:
    """A class whose fields may be set."""

    name: str
    notes: list[str] = ours_module.field(default_factory=list)
    secret: str = ours_module.field(default="", repr=False)


def test_a_class_has_the_fields_of_its_base() -> None:
    assert Derived(1, 5, 3) == Derived(1, 6, y=3) != Derived(1)
    assert hash(Derived(1, 5, 3)) == hash(Derived(1, 6, 3))
    assert vars(Base(1)) == {"x": 1, "seen": 0}
    assert Base(1) != Derived(1)
    assert pickle.loads(pickle.dumps(Derived(1))) == Derived(1)


def test_a_dataclass_can_have_such_a_base() -> None:
    @dataclasses.dataclass
    class Named(Draft):
        title: str = "none"

    assert repr(Named("a", title="b")).endswith("Named(name='a', notes=[], title='b')")


def test_the_fields_of_a_lazy_dataclass_can_be_set() -> None:
    draft = Draft("a", secret="s")
    draft.name = "b"
    draft.notes.append("c")
    assert draft == Draft("b", ["c"], "s") != Draft("b")
    assert repr(draft) == "Draft(name='b', notes=['c'])"
    with pytest.raises(TypeError, match="unhashable"):
        hash(draft)
    assert Draft("x").notes == []


def test_threads_may_create_the_first_objects_at_the_same_time() -> None:
    cls = make_class(frozen, ours_module.field)
    with ThreadPoolExecutor(8) as pool:
        points = list(pool.map(lambda x: cls(x, unit="m"), range(64)))
    assert [point.x for point in points] == list(range(64))


def test_a_field_of_dataclasses_is_refused() -> None:
    with pytest.raises(AssertionError, match="of `dataclasses`"):
        make_class(frozen, dataclasses.field)
