"""The notation of the run store and the cache: under which names objects are stored, and how their values are written.

A `Record` names a class and each of its fields. The names are literals that nothing derives from Python: rename a class
or an attribute, and only the Python side of its table changes. Two rules hold for stored names:

* A name keeps its meaning forever. To rename a field, give it the new name and move the old one to `former`: both are
  read, the new one is written. To change a meaning, take a new name.
* A field that is new needs a default value. It is left out where it has that value, so older bodies are read as well.

A body that has an unknown name was written by a newer Standpipe: `UnknownName`.

What is stored is never rewritten, for three reasons: facts are only ever appended, the id of a Plan is the SHA-256 of
its body, and a process of an older Standpipe may still be writing to the same store. Reading several names costs
nothing, and a migration of 100,000 facts takes 30 milliseconds. To rewrite them takes several seconds, in which no
other process can write.

The values that tasks pass on are JSON as they are, with these exceptions:

* An object with the fields of an artifact is an artifact, and a list of nothing else is a list of artifacts.
* `{"$collected": [...]}` is what a loop collected (`model.values.Collected`); its items are values like these.
* `{"$redacted": ...}` is a value that has lost a secret, where `***` is now (`model.redacted`).
* JSON that only looks like one of those is wrapped: `{"$value": ...}`.

The first stores had no `$value`: there, JSON that looked like `$collected` was put into another `$collected`, and JSON
that looked like an artifact was stored as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from dataclasses import fields as fields_of
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from standpipe.errors import StandpipeError
from standpipe.model.redacted import is_marked, mark_as_redacted
from standpipe.model.types import ArtifactType, Json
from standpipe.model.values import ArtifactValue, Checksum, Collected, Value
from standpipe.support.properties import cached_property

E = TypeVar("E", bound=Enum)


class UnknownName(StandpipeError, ValueError):
    """A stored name that no table has; the message says which."""


class Codec(NamedTuple):
    """How the values of a field are written as JSON, and read; None where they are JSON already."""

    encode: Callable[[Any], Json] | None = None
    decode: Callable[[Any], Any] | None = None


class Field(NamedTuple):
    """How a field is stored: its name, the codec of its values, and the names that older versions stored it under."""

    name: str
    codec: Codec = Codec()
    former: tuple[str, ...] = ()


class Record:
    """The notation of a class: an object of its fields, without those that have their default value.

    Args:
        cls: a dataclass.
        name: the stored name of the class.
        fields: by their attribute.
        omits_equal: whether a value that equals the default is left out, too. Otherwise only the default itself is, so
            that `2` for `2.0` is stored.
    """

    def __init__(self, cls: type, name: str, fields: Mapping[str, Field], *, omits_equal: bool = True) -> None:
        self.cls = cls
        self.name = name
        self.fields = fields
        defaults = {declared.name: declared.default for declared in fields_of(cls)}
        self._writers = []
        for attribute, field in fields.items():
            default = defaults.get(attribute, MISSING)
            is_compared = omits_equal and default is not None and default is not MISSING
            self._writers.append((attribute, field.name, field.codec.encode, default, is_compared))
        self._readers = {
            name: (attribute, field.codec.decode)
            for attribute, field in fields.items()
            for name in (field.name, *field.former)
        }
        self._reads: dict[tuple[str, ...], Callable[[dict[str, Json]], Any]] = {}  # by the names in a body
        self.codec = Codec(self.encode, self.decode)

    def encode(self, value: Any) -> dict[str, Json]:
        """Return the fields of an object as JSON."""
        return self._write(value)

    @cached_property
    def _write(self) -> Callable[[Any], dict[str, Json]]:
        """The function that `encode` calls, compiled when it is first needed: half a million facts are a long loop."""
        namespace: dict[str, Any] = {}
        lines = ["def write(value):", "  attributes, body = value.__dict__, {}"]
        for attribute, name, encode, default, is_compared in self._writers:
            namespace[f"encode_{attribute}"], namespace[f"default_{attribute}"] = encode, default
            condition = "" if default is MISSING else f"if item is not default_{attribute}"
            if is_compared:
                condition += f" and item != default_{attribute}"
            expression = "item" if encode is None else f"encode_{attribute}(item)"
            lines.append(f"  item = attributes[{attribute!r}]")
            lines.append(f"  {condition and condition + ': '}body[{name!r}] = {expression}")
        # Compiled first: `exec` of text makes CPython forget that a KeyboardInterrupt ends the main thread.
        exec(compile("\n".join([*lines, "  return body"]), "<string>", "exec"), namespace)  # noqa: S102 - of literals
        write: Callable[[Any], dict[str, Json]] = namespace["write"]
        return write

    def decode(self, body: dict[str, Json]) -> Any:
        """Return the object that was encoded.

        Raises:
            UnknownName: if the body has a field that the record lacks.
            ValueError, TypeError, KeyError, AttributeError: if the body is damaged.
        """
        read = self._reads.get(tuple(body))
        if read is None:
            read = self._reads[tuple(body)] = self._make_read(tuple(body))
        return read(body)

    def _make_read(self, names: tuple[str, ...]) -> Callable[[dict[str, Json]], Any]:
        """Return a function that decodes bodies with these names, which half a million facts have in few combinations.

        Raises:
            UnknownName: if the record lacks one of them.
        """
        namespace: dict[str, Any] = {"cls": self.cls}
        arguments = {}
        for name in names:
            if name not in self._readers:
                raise UnknownName(f"unknown field {name!r}")
            attribute, decode = self._readers[name]
            namespace[f"decode_{attribute}"] = decode
            item = f"body[{name!r}]"
            arguments[attribute] = (
                f"{attribute}={item}" if decode is None else f"{attribute}=decode_{attribute}({item})"
            )
        source = f"def read(body): return cls({', '.join(arguments.values())})"
        exec(compile(source, "<string>", "exec"), namespace)  # noqa: S102 - of literals; compiled first, as in `_write`
        read: Callable[[dict[str, Json]], Any] = namespace["read"]
        return read


def optional(codec: Codec) -> Codec:
    """Return the codec of values that may be None."""
    encode, decode = codec
    return Codec(
        encode and (lambda value: None if value is None else encode(value)),
        decode and (lambda item: None if item is None else decode(item)),
    )


def several(codec: Codec) -> Codec:
    """Return the codec of a tuple of values."""
    encode, decode = codec
    return Codec(
        (lambda values: [encode(value) for value in values]) if encode else list,
        (lambda items: tuple(map(decode, items))) if decode else tuple,
    )


def by_name(members: Mapping[str, E]) -> Codec:
    """Return the codec of the members of an enum, by their stored names."""
    names = {member: name for name, member in members.items()}
    return Codec(names.__getitem__, members.__getitem__)


# --- artifacts --------------------------------------------------------------------------------------------------------

ARTIFACT_TYPE = Record(
    ArtifactType,
    "ArtifactType",
    {"schema_title": Field("schema_title"), "schema_version": Field("schema_version")},
)
CHECKSUM = Record(
    Checksum,
    "Checksum",
    {"digest": Field("digest"), "size": Field("size"), "signature": Field("signature")},
)
ARTIFACT = Record(
    ArtifactValue,
    "Artifact",
    {
        "name": Field("name"),
        "type": Field("type", ARTIFACT_TYPE.codec),
        "uri": Field("uri"),
        "metadata": Field("metadata"),
        "custom_path": Field("custom_path"),
        "checksum": Field("checksum", optional(CHECKSUM.codec), former=("seal",)),
        "registration": Field("registry_request"),
    },
)

# --- values that tasks pass on ----------------------------------------------------------------------------------------

_COLLECTED = "$collected"
_REDACTED = "$redacted"
_VALUE = "$value"
_SCALARS = {str, int, float, bool, type(None)}
_ARTIFACT_REQUIRES = {"name", "type", "uri"}
_ARTIFACT_ALLOWS = {name for field in ARTIFACT.fields.values() for name in (field.name, *field.former)}


def encode_value(value: Value) -> Json:
    """Return an input, output or item as JSON."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Collected):
        return {_COLLECTED: [encode_value(item) for item in value]}
    body = _encode_whole(value)
    return {_REDACTED: body} if is_marked(value) else body


def _encode_whole(value: Value) -> Json:
    if isinstance(value, ArtifactValue):
        return ARTIFACT.encode(value)
    if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
        return [ARTIFACT.encode(item) for item in value]
    is_ambiguous = _mark_of(value) or _looks_like_artifacts(value)
    return {_VALUE: value} if is_ambiguous else value


def decode_value(item: Json) -> Value:
    """Return the value that was encoded."""
    if type(item) in _SCALARS:
        return item
    mark = _mark_of(item)
    if mark == _COLLECTED and isinstance(item[mark], list):
        return Collected(map(decode_value, item[mark]))
    if mark == _REDACTED:
        return mark_as_redacted(decode_value(item[mark]))
    if mark:
        return item[mark]
    if not _looks_like_artifacts(item):
        return item
    return [ARTIFACT.decode(each) for each in item] if isinstance(item, list) else ARTIFACT.decode(item)


def encode_values(values: Mapping[str, Value]) -> dict[str, Json]:
    """Return inputs or outputs, by name, as JSON."""
    return {name: encode_value(value) for name, value in values.items()}


def decode_values(items: Mapping[str, Json]) -> dict[str, Value]:
    """Return the inputs or outputs that were encoded."""
    scalars = _SCALARS
    return {name: item if type(item) in scalars else decode_value(item) for name, item in items.items()}


VALUE = Codec(encode_value, decode_value)
VALUES = Codec(encode_values, decode_values)


def _mark_of(value: Json) -> str:
    """Return the mark that an object has, or looks as if it had; empty for others."""
    if isinstance(value, dict) and len(value) == 1:
        (key,) = value
        return key if key in (_COLLECTED, _REDACTED, _VALUE) else ""
    return ""


def _looks_like_artifacts(value: Json) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) and _looks_like_artifacts(item) for item in value)
    return (
        isinstance(value, dict)
        and _ARTIFACT_REQUIRES <= value.keys() <= _ARTIFACT_ALLOWS
        and isinstance(value["type"], dict)
        and "schema_title" in value["type"]
    )
