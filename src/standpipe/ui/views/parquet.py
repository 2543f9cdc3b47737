"""The schema and the number of rows of a Parquet file, from its footer; no library is needed for these.

The footer is a structure of Thrift's compact protocol (`FileMetaData` in `parquet.thrift`): the schema and the number
of rows come before what describes the data, and are all that is read of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from standpipe.model.frozen import frozen
from standpipe.ui.views.tables import Column

#: The end of a file, and the most bytes of a footer that are read.
_END = b"PAR1"
_TAIL = 8
_MAX_FOOTER = 1024 * 1024

_MAX_DEPTH = 32
_MAX_ITEMS = 100_000

#: Fields of `FileMetaData` and of `SchemaElement`.
_SCHEMA, _ROWS = 2, 3
_TYPE, _NAME, _CHILDREN, _CONVERTED = 1, 4, 5, 6

_TYPES = ("boolean", "int32", "int64", "timestamp", "float", "double", "binary", "binary")
_CONVERTED_TYPES = (
    *("string", "map", "map", "list", "string", "decimal", "date", "time", "time", "timestamp", "timestamp"),
    *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "json", "bson", "interval"),
)


@frozen
class ParquetInfo:
    """The columns of the first level, and the number of rows."""

    columns: tuple[Column, ...]
    row_count: int


def read_parquet_info(size: int, read: Callable[[int, int], bytes]) -> ParquetInfo | None:
    """Return what the footer of a Parquet file says; None if it cannot be read.

    Args:
        size: the size of the file in bytes.
        read: returns so many bytes from an offset.
    """
    tail = read(_TAIL, max(size - _TAIL, 0))
    if len(tail) < _TAIL or not tail.endswith(_END):
        return None
    length = int.from_bytes(tail[:4], "little")
    if length + _TAIL > size:
        return None
    try:
        footer = _Reader(read(min(length, _MAX_FOOTER), size - _TAIL - length)).structure(until=_ROWS)
        return ParquetInfo(_columns(footer[_SCHEMA]), int(footer[_ROWS]))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error):
        return None


def _columns(schema: list[dict[int, Any]]) -> tuple[Column, ...]:
    columns, index = [], 1
    for _ in range(schema[0][_CHILDREN]):
        element = schema[index]
        columns.append(Column(element[_NAME].decode(errors="replace"), _type_of(element)))
        index = _next(schema, index)
    return tuple(columns)


def _next(schema: list[dict[int, Any]], index: int) -> int:
    """Return the number of the element after one and all that is in it."""
    left = 1
    while left:
        left += schema[index].get(_CHILDREN, 0) - 1
        index += 1
    return index


def _type_of(element: dict[int, Any]) -> str:
    if _CONVERTED in element:
        return _CONVERTED_TYPES[element[_CONVERTED]]
    return _TYPES[element[_TYPE]] if _TYPE in element else "struct"


class _Reader:
    """Reads values of the compact protocol one after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def structure(self, until: int = -1, depth: int = 0) -> dict[int, Any]:
        """Return the fields of a structure by their numbers, up to one of them."""
        fields: dict[int, Any] = {}
        field = 0
        while (header := self._byte()) != 0:
            field = field + (header >> 4) if header >> 4 else self._signed()
            kind = header & 15
            fields[field] = kind == 1 if kind in (1, 2) else self._value(kind, depth + 1)
            if field == until:
                break
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return struct.unpack("<d", self._bytes(8))[0]
        if kind == 8:
            return self._bytes(self._unsigned())
        if kind in (9, 10):
            return self._list(depth)
        if kind == 12:
            return self.structure(depth=depth)
        raise ValueError("unknown kind of a value")  # maps do not occur before the number of rows

    def _list(self, depth: int) -> list[Any]:
        header = self._byte()
        count = header >> 4 if header >> 4 < 15 else self._unsigned()
        if count > _MAX_ITEMS:
            raise ValueError("too many items")
        return [self._value(header & 15, depth + 1) for _ in range(count)]

    def _byte(self) -> int:
        value = self._content[self._at]
        self._at += 1
        return value

    def _bytes(self, length: int) -> bytes:
        value = self._content[self._at : self._at + length]
        if len(value) < length:
            raise ValueError("the footer is cut")
        self._at += length
        return value

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
