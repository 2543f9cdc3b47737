"""One mapping of a file, read field by field, so that nothing in it can be overlooked."""

from __future__ import annotations

import enum
from typing import TypeVar

from standpipe.errors import SpecError, UnsupportedError
from standpipe.model.expressions import Expression, ExpressionError, parse
from standpipe.model.types import Json
from standpipe.model.values import preview

_Choice = TypeVar("_Choice", bound=enum.Enum)


class Section:
    """A mapping at a path. Whoever reads it takes every field out; `end` refuses what is left.

    The mapping is in protobuf's canonical form (`proto.canonical`), so that kinds need no checks.
    """

    def __init__(self, fields: dict[str, Json], path: str = "") -> None:
        self._fields = dict(fields)
        self.path = path

    def at(self, field: str) -> str:
        """The path of a field."""
        return f"{self.path}.{field}" if self.path else field

    def __contains__(self, field: str) -> bool:
        return field in self._fields

    def take(self, field: str, default: Json = None) -> Json:
        return self._fields.pop(field, default)

    def required(self, field: str) -> str:
        """The text in a field. Raises SpecError if there is none."""
        value: str = self.take(field, "")
        if not value:
            raise SpecError(f"{self.at(field)}: it is missing")
        return value

    def choice(self, field: str, among: type[_Choice], default: _Choice | None = None) -> _Choice:
        """The value in a field. Raises SpecError if there is none, or one that has no name."""
        value = self.required(field) if default is None else self.take(field, default.value)
        try:
            return among(value)
        except ValueError:  # protobuf takes any number for a value of an enum, and leaves it one
            there = ", ".join(str(known.value) for known in among)
            raise SpecError(f"{self.at(field)}: there is no {preview(value)}, only {there}") from None

    def expression(self, field: str) -> Expression | None:
        """The condition or selector in a field, or None. Raises SpecError if it cannot be read."""
        text = self.take(field, "")
        try:
            return parse(text) if text else None
        except ExpressionError as error:
            raise SpecError(f"{self.at(field)}: {error}") from error

    def section(self, field: str) -> Section:
        """The mapping in a field, empty if there is none."""
        return Section(self.take(field, {}), self.at(field))

    def sections(self, field: str) -> dict[str, Section]:
        """The mappings by name in a field."""
        return {name: Section(fields, f"{self.at(field)}.{name}") for name, fields in self.take(field, {}).items()}

    def entries(self, field: str) -> list[Section]:
        """The mappings in a field that holds a list."""
        return [Section(fields, f"{self.at(field)}[{index}]") for index, fields in enumerate(self.take(field, []))]

    def end(self) -> None:
        """Raises UnsupportedError if a field was not taken."""
        for field in self._fields:
            raise UnsupportedError(
                f"{self.at(field)}: this version of Standpipe does not know what to do with {field}. "
                "Take it out of the pipeline, or run the pipeline on a cluster."
            )
