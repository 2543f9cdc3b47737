"""Dataclasses that take a fiftieth of the usual time to define, and a fourth of it to create.

`dataclasses.dataclass(frozen=True)` compiles six methods for each class, which takes 0.6 ms, and `dataclasses` imports
`inspect`, `ast` and `tokenize`. `from standpipe import dsl, local` defines fifty such classes, and a program uses a few
of them. So `__init__` is compiled when the first object of a class is created, and the other methods are shared.
`__init__` writes to the object's dictionary: a run creates nine of these objects for each of its tasks, and most of
the time for one goes into assignments that pass through `__setattr__`. In all other ways these are dataclasses:
`dataclasses.fields`, `replace` and `asdict` work on them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from dataclasses import field as field
    from dataclasses import replace as replace

    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda function: function

    def field(**options):
        """Return the declaration of a field, as `dataclasses.field` does; with a few of its options."""
        return Field(**options)

    def replace(instance, /, **changes):
        """Return a copy of an object with other values of some fields, as `dataclasses.replace` does."""
        held = vars(instance)
        return type(instance)(**{name: held[name] for name in instance.__frozen_fields__} | changes)


T = TypeVar("T")

#: Stands for the default of a field that has none.
MISSING: Any = object()


class Field:
    """The declaration of a field: the options of `dataclasses.field` under the same names."""

    __slots__ = ("compare", "default", "default_factory", "kw_only", "metadata", "repr", "type")

    def __init__(
        self,
        *,
        default: Any = MISSING,
        default_factory: Any = MISSING,
        repr: bool = True,  # noqa: A002 - as `dataclasses` calls it
        compare: bool = True,
        kw_only: bool = False,
        metadata: Any = None,
    ) -> None:
        self.default, self.default_factory, self.metadata = default, default_factory, metadata
        self.repr, self.compare, self.kw_only = repr, compare, kw_only
        self.type: Any = None


class _MadeAtFirstUse:
    """An attribute of a class that replaces itself with its value when it is first read."""

    def __init__(self, cls: type, name: str, make: Callable[[Any], Any]) -> None:
        self._cls, self._name, self._make = cls, name, make

    def __get__(self, instance: object, owner: type) -> Any:
        value = self._make(self._cls)
        setattr(self._cls, self._name, value)
        bind = getattr(value, "__get__", None)
        return bind(instance, owner) if bind else value


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Return a class as a dataclass whose fields are set once, and that is compared and hashed by class and fields."""
    made: Any = lazy_dataclass(cls)
    made.__setattr__, made.__delattr__, made.__hash__ = _refuse, _never_delete, _hash
    return made  # type: ignore[no-any-return]


@dataclass_transform(field_specifiers=(field,))
def lazy_dataclass(cls: type[T]) -> type[T]:
    """Return a class as a dataclass whose fields may be set, and that is compared by class and fields."""
    made: Any = cls
    made.__frozen_fields__ = _read_fields(cls)
    for name, make in _LAZY_ATTRIBUTES:
        setattr(made, name, _MadeAtFirstUse(cls, name, make))
    made.__eq__, made.__hash__ = _eq, None
    if "__repr__" not in vars(cls):
        made.__repr__ = _repr
    return cls


def declared_fields(cls: Any) -> Mapping[str, Field]:
    """Return the fields of a class that is defined here, by name; `dataclasses.fields` takes longer to import."""
    fields: dict[str, Field] = cls.__frozen_fields__
    return fields


def _read_fields(cls: type) -> dict[str, Field]:
    """Return the fields of a class by name, those of its bases first, and leave only their defaults in the class."""
    inherited = [getattr(base, "__frozen_fields__", {}) for base in reversed(cls.__mro__[1:])]
    declared = {name: each for fields in inherited for name, each in fields.items()}
    annotations = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - `inspect` takes long to import
    for name, annotation in annotations.items():
        value = cls.__dict__.get(name, MISSING)
        if isinstance(value, Field):
            if value.default is MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, value.default)
        else:
            assert type(value).__module__ != "dataclasses", "a field of `dataclasses` in place of one of this module"
            value = Field(default=value)
        value.type = annotation
        declared[name] = value
    return declared


# --- what is made at the first use ------------------------------------------------------------------------------------


def _make_init(cls: Any) -> Callable[..., None]:
    """Return the `__init__` of a dataclass, which sets its fields as that of `dataclasses` would."""
    values: dict[str, Any] = {"MISSING": MISSING}
    parameters: dict[bool, list[str]] = {False: ["self"], True: []}  # by whether they are keywords only
    lines = ["held = self.__dict__"]
    for name, declared in cls.__frozen_fields__.items():
        parameter = value = name
        if declared.default_factory is not MISSING:
            values[f"make_{name}"] = declared.default_factory
            parameter = f"{name}=MISSING"
            value = f"make_{name}() if {name} is MISSING else {name}"
        elif declared.default is not MISSING:
            values[f"default_{name}"] = declared.default
            parameter = f"{name}=default_{name}"
        parameters[declared.kw_only].append(parameter)
        lines.append(f"held[{name!r}] = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    keywords = ["*", *parameters[True]] if parameters[True] else []
    head = f"def make({', '.join(values)}):\n def __init__({', '.join([*parameters[False], *keywords])}):\n  "
    source = head + "\n  ".join(lines) + "\n return __init__"
    # As code, not as text: where a thread runs text, Python forgets that Ctrl-C ended the main thread, and exits with
    # status 1 instead of by the signal.
    namespace: dict[str, Any] = {}
    exec(compile(source, "<string>", "exec"), vars(sys.modules[cls.__module__]), namespace)  # noqa: S102 - as `dataclasses` does
    init: Callable[..., None] = namespace["make"](**values)
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {name: each.type for name, each in cls.__frozen_fields__.items()} | {"return": None}
    return init


def _make_dataclass_fields(cls: Any) -> dict[str, Any]:
    """Return the fields of a class as `dataclasses` has them. Few programs ask for them."""
    import dataclasses  # takes long to import, and few programs read these

    fields = {}
    for name, declared in cls.__frozen_fields__.items():
        options: dict[str, Any] = {"repr": declared.repr, "compare": declared.compare, "metadata": declared.metadata}
        for option in ("default", "default_factory"):
            if getattr(declared, option) is not MISSING:
                options[option] = getattr(declared, option)
        made: Any = dataclasses.field(**options, kw_only=declared.kw_only)
        made.name, made.type = name, declared.type
        made._field_type = dataclasses._FIELD  # type: ignore[attr-defined]  # rather than a class variable
        fields[name] = made
    return fields


def _make_dataclass_params(cls: Any) -> Any:
    """Return how a class was made, which `dataclasses` reads in the bases of another class."""
    import dataclasses  # takes long to import, and few programs read these

    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(type(cls.__name__, (), {}))
    return made.__dataclass_params__


def _make_match_args(cls: Any) -> tuple[str, ...]:
    return tuple(name for name, declared in cls.__frozen_fields__.items() if not declared.kw_only)


def _make_compared(cls: Any) -> tuple[str, ...]:
    return tuple(name for name, declared in cls.__frozen_fields__.items() if declared.compare)


_LAZY_ATTRIBUTES: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("__init__", _make_init),
    ("__dataclass_fields__", _make_dataclass_fields),
    ("__dataclass_params__", _make_dataclass_params),
    ("__match_args__", _make_match_args),
    ("__compared_fields__", _make_compared),
)


# --- what all classes share -------------------------------------------------------------------------------------------


def _refuse(self: Any, name: str, value: object) -> NoReturn:
    from dataclasses import FrozenInstanceError  # only a mistake needs it

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _never_delete(self: Any, name: str) -> NoReturn:
    from dataclasses import FrozenInstanceError  # only a mistake needs it

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _compared(self: Any) -> list[object]:
    return [getattr(self, name) for name in self.__compared_fields__]


def _eq(self: Any, other: object) -> bool:
    if self is other:
        return True
    return _compared(self) == _compared(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash((self.__class__, *_compared(self)))


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name, each in self.__frozen_fields__.items() if each.repr)
    return f"{self.__class__.__qualname__}({fields})"
