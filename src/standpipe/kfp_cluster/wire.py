"""Messages of protobuf as bytes, without their descriptors: what the few calls of ML Metadata need.

The format is that of https://protobuf.dev/programming-guides/encoding. `ir` alone imports protobuf, for PipelineSpec.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Union

from standpipe.errors import ClusterError
from standpipe.model.json_values import MAX_DEPTH
from standpipe.model.types import Json

#: The fields of a message by number: all values of each, in order. A message or a text in it is still bytes.
Fields = dict[int, list[Union[int, bytes]]]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class MalformedMessage(ClusterError):
    """Bytes are not a message of protobuf."""


def read_fields(data: bytes) -> Fields:
    """Return the fields of a message. Numbers of 64 bits without variable length are bytes.

    Raises:
        MalformedMessage: if the bytes are not a message.
    """
    fields: Fields = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_value(data, at, key & 7)
        fields.setdefault(key >> 3, []).append(value)
    return fields


def write_field(number: int, value: int | str | bytes) -> bytes:
    """Return a field of a message: a non-negative number, a text, or a message."""
    if isinstance(value, int):
        return _write_varint(number << 3 | _VARINT) + _write_varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _write_varint(number << 3 | _BYTES) + _write_varint(len(data)) + data


def get_text(fields: Fields, number: int) -> str:
    """Return a text of a message; empty if it has none."""
    return get_bytes(fields, number).decode("utf-8", "replace")


def get_bytes(fields: Fields, number: int) -> bytes:
    """Return the last value of a field of bytes; empty if there is none."""
    value = fields.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def get_number(fields: Fields, number: int) -> int:
    """Return a whole number of a message; 0 if it has none."""
    value = fields.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def get_messages(fields: Fields, number: int) -> Iterator[Fields]:
    """Yield the messages of a repeated field."""
    for value in fields.get(number, ()):
        if isinstance(value, bytes):
            yield read_fields(value)


def read_struct(data: bytes, depth: int = 0) -> dict[str, Json]:
    """Return a `google.protobuf.Struct` as JSON.

    Args:
        data: its bytes.
        depth: in how many structs and lists it is.

    Raises:
        MalformedMessage: if the bytes are not a struct, or nested more deeply than values may be.
    """
    entries = get_messages(read_fields(data), 1)
    return {get_text(entry, 1): _read_json(read_fields(get_bytes(entry, 2)), depth + 1) for entry in entries}


def read_double(data: bytes) -> float | int:
    """Return a double; a whole one as an integer, as protobuf writes it in JSON."""
    if len(data) != 8:
        raise MalformedMessage(f"The cluster answered with a malformed message: a double of {len(data)} bytes.")
    (number,) = struct.unpack("<d", data)
    return int(number) if number.is_integer() and abs(number) < 2**53 else float(number)


def _read_json(fields: Fields, depth: int) -> Json:
    """Return a `google.protobuf.Value` as JSON."""
    if depth > MAX_DEPTH:
        raise MalformedMessage("The cluster answered with a malformed message: its values are nested too deeply.")
    if 2 in fields:
        return read_double(get_bytes(fields, 2))
    if 3 in fields:
        return get_text(fields, 3)
    if 4 in fields:
        return bool(get_number(fields, 4))
    if 5 in fields:
        return read_struct(get_bytes(fields, 5), depth)
    if 6 in fields:
        return [_read_json(item, depth + 1) for item in get_messages(read_fields(get_bytes(fields, 6)), 1)]
    return None


def _read_value(data: bytes, at: int, wire_type: int) -> tuple[int | bytes, int]:
    if wire_type == _VARINT:
        return _read_varint(data, at)
    if wire_type == _BYTES:
        size, at = _read_varint(data, at)
    else:
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire_type, len(data) + 1)
    if at + size > len(data):
        raise MalformedMessage("The cluster answered with a malformed message: it is cut off.")
    return data[at : at + size], at + size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise MalformedMessage("The cluster answered with a malformed message: a number does not end.")


def _write_varint(number: int) -> bytes:
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)
