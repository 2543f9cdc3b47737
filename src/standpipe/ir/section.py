"""A mapping of a compiled file that is read field by field, so that no field is ignored silently."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeVar

from standpipe.errors import SpecError, UnsupportedError
from standpipe.model.expressions import Expression, ExpressionError, parse
from standpipe.model.types import Json
from standpipe.model.values import preview

_Choice = TypeVar("_Choice", bound=enum.Enum)
_Loaded = TypeVar("_Loaded")

#: What was loaded for mappings by their identity, with these mappings, so that no other object gets their identity.
Shared = dict[int, tuple[dict[str, Json], _Loaded]]


class Section:
    """A mapping at a path. Its reader takes every field; `check_all_taken` raises an error for those that are left.

    The mapping is in protobuf's canonical form (`proto.canonicalize`), so the types of values need no checks.

    Args:
        fields: the mapping. It is not modified.
        path: the path of the mapping in the file.
    """

    def __init__(self, fields: dict[str, Json], path: str = "") -> None:
        self._fields = dict(fields)
        self.path = path

    def path_of(self, field: str) -> str:
        """Return the path of a field."""
        return f"{self.path}.{field}" if self.path else field

    def __contains__(self, field: str) -> bool:
        return field in self._fields

    def take(self, field: str, default: Json = None) -> Json:
        """Remove a field and return its value, or `default` if there is none."""
        return self._fields.pop(field, default)

    def take_text(self, field: str) -> str:
        """Take the text of a required field. Raise SpecError if there is none."""
        value: str = self.take(field, "")
        if not value:
            raise SpecError(f"{self.path_of(field)}: missing required field")
        return value

    def take_enum(self, field: str, enum_type: type[_Choice], default: _Choice | None = None) -> _Choice:
        """Take the value of an enum. Raise SpecError if a value without default is missing, or is not in the enum."""
        value = self.take_text(field) if default is None else self.take(field, default.value)
        try:
            return enum_type(value)
        except ValueError:  # protobuf accepts any number as a value of an enum
            known = ", ".join(str(member.value) for member in enum_type)
            raise SpecError(f"{self.path_of(field)}: unknown value {preview(value)}, expected one of {known}") from None

    def take_expression(self, field: str) -> Expression | None:
        """Take a condition or selector; None if there is none. Raise SpecError if it is invalid."""
        text = self.take(field, "")
        try:
            return parse(text) if text else None
        except ExpressionError as error:
            raise SpecError(f"{self.path_of(field)}: {error}") from error

    def take_section(self, field: str) -> Section:
        """Take a mapping; empty if there is none."""
        return Section(self.take(field, {}), self.path_of(field))

    def take_shared(self, field: str, load: Callable[[Section], _Loaded], shared: Shared[_Loaded]) -> _Loaded:
        """Take a mapping, empty if there is none, and load it, or return what was loaded for the same object."""
        fields = self.take(field, {})
        if id(fields) not in shared:
            shared[id(fields)] = fields, load(Section(fields, self.path_of(field)))
        return shared[id(fields)][1]

    def take_sections(self, field: str) -> dict[str, Section]:
        """Take a mapping of mappings, by name."""
        return {name: Section(fields, f"{self.path_of(field)}.{name}") for name, fields in self.take(field, {}).items()}

    def take_list(self, field: str) -> list[Section]:
        """Take a list of mappings."""
        return [Section(fields, f"{self.path_of(field)}[{index}]") for index, fields in enumerate(self.take(field, []))]

    def check_all_taken(self) -> None:
        """Raise UnsupportedError if a field was not taken."""
        for field in self._fields:
            raise UnsupportedError(
                f"{self.path_of(field)}: this version of Standpipe does not support the field {field!r}. "
                "Remove it from the pipeline, or run the pipeline on a cluster."
            )
