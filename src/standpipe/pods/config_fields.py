"""Settings for Kubernetes as JSON: objects whose fields are read with an expected type."""

from __future__ import annotations

import posixpath
import re
from typing import TypeVar

from standpipe.errors import SpecError
from standpipe.model.types import Json

T = TypeVar("T")


class ConfigFields:
    """A JSON object whose fields are read with an expected type. A missing field is empty.

    A field is named in camelCase here. The object may have it in snake_case, too, as protobuf's JSON reader accepts
    both: a cluster reads a file with `init_containers` as one with `initContainers`.

    Args:
        fields: the object.
        path: its path in the platform document, for errors.

    Raises:
        SpecError: if it is not an object.
    """

    def __init__(self, fields: Json, path: str) -> None:
        if not isinstance(fields, dict):
            raise SpecError(f"{path}: expected a mapping.")
        self._fields = fields
        self._read: set[str] = set()
        self.path = path

    def __contains__(self, field: str) -> bool:
        return self._spelling(field) in self._fields

    @property
    def unread(self) -> tuple[str, ...]:
        """The names of the fields that were not read, in camelCase."""
        unread = (field for field in self._fields if field not in self._read)
        return tuple(re.sub("_([a-z])", lambda match: match[1].upper(), field) for field in unread)

    def text(self, field: str) -> str:
        return self._take(field, str, "text") or ""

    def flag(self, field: str) -> bool:
        return self._take(field, bool, "true or false") or False

    def number(self, field: str) -> int | None:
        """Return a whole number. Protobuf writes large ones as text in JSON, and PlatformSpec has only doubles."""
        value = self._take(field, object, "a whole number")
        try:
            if value is None or isinstance(value, (int, str)):
                return None if value is None else int(value)
            if isinstance(value, float) and value.is_integer():
                return int(value)
        except ValueError:
            pass
        raise SpecError(f"{self.path}.{field}: expected a whole number, got {value!r}.")

    def texts(self, field: str) -> dict[str, str]:
        inner = self.inner(field)
        return {key: inner.text(key) for key in inner._fields}

    def list_of_texts(self, field: str) -> tuple[str, ...]:
        """Return a list of texts."""
        items = self._take(field, list, "a list") or []
        for index, item in enumerate(items):
            if not isinstance(item, str):
                raise SpecError(f"{self.path}.{field}[{index}]: expected text.")
        return tuple(items)

    def mount_path(self) -> str:
        """Return the field `mountPath`, an absolute path, without a trailing slash."""
        text = self.text("mountPath")
        path = "/" + posixpath.normpath(text).strip("/")
        if not text.startswith("/") or path == "/" or ":" in path:
            raise SpecError(f"{self.path}.mountPath: invalid path {text!r}: expected an absolute path without colons.")
        return path

    def inner(self, field: str) -> ConfigFields:
        return ConfigFields(self._take(field, dict, "a mapping") or {}, f"{self.path}.{field}")

    def entries(self, field: str) -> list[ConfigFields]:
        entries = self._take(field, list, "a list") or []
        return [ConfigFields(entry, f"{self.path}.{field}[{index}]") for index, entry in enumerate(entries)]

    def _take(self, field: str, kind: type[T], expected: str) -> T | None:
        name = self._spelling(field)
        self._read.add(name)
        value = self._fields.get(name)
        if value is not None and not isinstance(value, kind):
            raise SpecError(f"{self.path}.{field}: expected {expected}.")
        return value

    def _spelling(self, field: str) -> str:
        """Return the name that the object has for a field."""
        return field if field in self._fields else re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", field)
