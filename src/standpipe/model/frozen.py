"""Frozen dataclasses that take a fifth of the usual time to define.

`dataclasses.dataclass(frozen=True)` compiles six methods for each class, which takes 0.5 ms. For the fifty classes of
`import standpipe` that would double the time of the import. So only `__init__` is compiled here, and the other methods
are shared. In all other ways these are dataclasses: `fields` and `replace` work on them.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda function: function


T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Return a class as a dataclass whose fields are set once, and that is compared and hashed by class and fields."""
    made: Any = dataclass(eq=False, repr=False)(cls)
    made.__setattr__, made.__delattr__ = _set_once, _never_delete
    made.__eq__, made.__hash__, made.__repr__ = _eq, _hash, _repr
    return made  # type: ignore[no-any-return]


def _set_once(self: Any, name: str, value: object) -> None:
    if name in self.__dict__ or name not in self.__dataclass_fields__:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _never_delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _compared(self: Any) -> list[object]:
    return [getattr(self, name) for name, declared in self.__dataclass_fields__.items() if declared.compare]


def _eq(self: Any, other: object) -> bool:
    return _compared(self) == _compared(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash((self.__class__, *_compared(self)))


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
    return f"{self.__class__.__qualname__}({fields})"
