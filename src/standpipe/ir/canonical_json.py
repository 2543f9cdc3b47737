"""The canonical JSON of protobuf messages, in a fifth of the time that `google.protobuf.json_format` takes.

Protobuf makes a message of JSON, and JSON of the message, in Python. Here, JSON that is certain to be valid is
converted directly, by the descriptors of the messages. All other JSON is `Doubtful`, and protobuf has to decide.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from standpipe.model.types import Json

_INT32 = range(-(2**31), 2**31)
_EXACT_DOUBLES = range(-(2**53), 2**53 + 1)
#: Protobuf has a limit of 100 for all levels. The messages around a value need less than 30 of them.
_DEEPEST_VALUE = 60
#: What is never the value of a field.
_ABSENT = object()


class Doubtful(Exception):
    """Only protobuf knows whether the JSON is valid, or how it is written."""


def convert_message(data: Json, descriptor: Descriptor) -> dict[str, Json]:
    """Return the canonical JSON of a message. An object that occurs at several places is converted once, and shared.

    Raises:
        Doubtful: if protobuf has to convert it. Other errors mean the same.
    """
    result: dict[str, Json] = _Conversion().convert_fields(data, _fields_of(descriptor))
    return result


class _Conversion:
    """One conversion. It keeps the results by the identity of the data, which lives longer."""

    def __init__(self) -> None:
        self._results: dict[tuple[int, int], Json] = {}

    def convert_fields(self, data: Json, fields: Mapping[str, _Field]) -> Json:
        """Convert a message with these fields."""
        key = id(data), id(fields)
        if key not in self._results:
            self._results[key] = self._convert_fields(data, fields)
        return self._results[key]

    def _convert_fields(self, data: Json, fields: Mapping[str, _Field]) -> Json:
        result: dict[str, Json] = {}
        oneofs: set[str] = set()
        for name, value in _check_mapping(data).items():
            field = fields.get(name)
            if field is None or field.oneof in oneofs:
                raise Doubtful
            if field.oneof:
                oneofs.add(field.oneof)
            converted = field.convert(self, value)
            if converted != field.default:
                result[name] = converted
        return {name: result[name] for name in sorted(result)}

    def convert_value(self, data: Json, depth: int = 0) -> Json:
        """Convert a `google.protobuf.Value`."""
        kind = type(data)
        if kind is str:
            return _check_text(data)
        if kind is dict or kind is list:
            if depth > _DEEPEST_VALUE:
                raise Doubtful
            key = id(data), depth
            if key not in self._results:
                self._results[key] = (
                    {name: self.convert_value(data[name], depth + 1) for name in _sorted_names(data)}
                    if kind is dict
                    else [self.convert_value(item, depth + 1) for item in data]
                )
            return self._results[key]
        return data if data is None or kind is bool else _convert_number(data)


class _Field(NamedTuple):
    """A field of a message: how it is converted, the value that is not written, and its group of alternatives."""

    convert: Callable[[_Conversion, Json], Json]
    default: Json
    oneof: str


@functools.cache
def _fields_of(descriptor: Descriptor) -> dict[str, _Field]:
    """Return the fields of a message by their names in JSON. Data with other names is doubtful."""
    return {field.json_name: _make_field(field) for field in descriptor.fields}


def _make_field(field: FieldDescriptor) -> _Field:
    oneof = field.containing_oneof.name if field.containing_oneof else ""
    item = field.message_type
    if item is not None and item.GetOptions().map_entry:
        return _Field(_convert_map_of(_converter(item.fields_by_name["value"])), {}, oneof)
    if field.is_repeated:
        return _Field(_convert_list_of(_converter(field)), [], oneof)
    default = _ABSENT if field.has_presence else _DEFAULTS.get(field.type, _ABSENT)
    return _Field(_converter(field), default, oneof)


def _converter(field: FieldDescriptor) -> Callable[[_Conversion, Json], Json]:
    """Return the function that converts a value of a field, or an item of it."""
    if field.type in _SCALARS:
        return _SCALARS[field.type]
    if field.enum_type is not None:
        return functools.partial(_convert_enum, field)
    name = field.message_type.full_name if field.message_type is not None else ""
    if name == "google.protobuf.Value":
        return lambda conversion, data: conversion.convert_value(data)
    if name == "google.protobuf.Struct":
        return lambda conversion, data: conversion.convert_value(_check_mapping(data))
    if name and not name.startswith("google.protobuf."):
        fields = _fields_of(field.message_type)
        return lambda conversion, data: conversion.convert_fields(data, fields)
    return lambda _, data: _convert_by_protobuf(field, _check_text(data))


def _convert_map_of(convert: Callable[[_Conversion, Json], Json]) -> Callable[[_Conversion, Json], Json]:
    return lambda conversion, data: {
        name: convert(conversion, data[name]) for name in _sorted_names(_check_mapping(data))
    }


def _convert_list_of(convert: Callable[[_Conversion, Json], Json]) -> Callable[[_Conversion, Json], Json]:
    return lambda conversion, data: [convert(conversion, item) for item in _check_list(data)]


def _convert_enum(field: Any, _: _Conversion, data: Json) -> Json:
    value = field.enum_type.values_by_name.get(_check_text(data))
    if value is None:
        raise Doubtful
    if value.number == 0 and not field.has_presence and not field.is_repeated:
        return _ABSENT
    return field.enum_type.values_by_number[value.number].name


@functools.lru_cache(maxsize=1024)
def _convert_by_protobuf(field: Any, text: str) -> Json:
    """Convert text of a type that occurs seldom: durations and large integers."""
    if field.is_repeated or field.containing_type.GetOptions().map_entry:
        raise Doubtful
    message: Any = field.containing_type._concrete_class()
    written = json_format.MessageToDict(json_format.ParseDict({field.json_name: text}, message))
    return written.get(field.json_name, _ABSENT)


def _check_mapping(data: Json) -> dict[str, Json]:
    if type(data) is not dict:
        raise Doubtful
    return data


def _check_list(data: Json) -> list[Json]:
    if type(data) is not list:
        raise Doubtful
    return data


def _check_text(data: Json) -> str:
    if type(data) is not str:
        raise Doubtful
    if not data.isascii():
        data.encode()  # fails for half of a surrogate pair
    return data


def _check_bool(data: Json) -> bool:
    if type(data) is not bool:
        raise Doubtful
    return data


def _check_int32(data: Json) -> int:
    if type(data) is not int or data not in _INT32:
        raise Doubtful
    return data


def _convert_number(data: Json) -> float:
    is_exact = math.isfinite(data) if type(data) is float else type(data) is int and data in _EXACT_DOUBLES
    if not is_exact:
        raise Doubtful
    return float(data)


def _convert_double(data: Json) -> float:
    number = _convert_number(data)
    if str(number) == "-0.0":  # it is equal to the default, and written all the same
        raise Doubtful
    return number


def _sorted_names(mapping: dict[str, Json]) -> list[str]:
    for name in mapping:
        _check_text(name)
    return sorted(mapping)


_SCALARS: dict[int, Callable[[_Conversion, Json], Json]] = {
    FieldDescriptor.TYPE_STRING: lambda _, data: _check_text(data),
    FieldDescriptor.TYPE_BOOL: lambda _, data: _check_bool(data),
    FieldDescriptor.TYPE_INT32: lambda _, data: _check_int32(data),
    FieldDescriptor.TYPE_DOUBLE: lambda _, data: _convert_double(data),
}
_DEFAULTS: dict[int, Json] = {
    FieldDescriptor.TYPE_STRING: "",
    FieldDescriptor.TYPE_BOOL: False,
    FieldDescriptor.TYPE_INT32: 0,
    FieldDescriptor.TYPE_DOUBLE: 0.0,
}
