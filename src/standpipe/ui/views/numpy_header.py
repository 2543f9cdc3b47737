"""The header of a NumPy array file: its shape and data type, without NumPy."""

from __future__ import annotations

import ast

from standpipe.model.frozen import frozen

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 64 * 1024


@frozen
class NumpyHeader:
    """The shape of an array, its data type in NumPy's notation, such as `<f8`, and the order of its items."""

    shape: tuple[int, ...]
    dtype: str
    order: str


def read_numpy_header(beginning: bytes) -> NumpyHeader | None:
    """Return the header of an array file; None if it is invalid, or not in these bytes.

    Args:
        beginning: the first bytes of the file.
    """
    if len(beginning) < 12 or not beginning.startswith(_MAGIC):
        return None
    width = 2 if beginning[6] == 1 else 4
    start = 8 + width
    length = int.from_bytes(beginning[8:start], "little")
    if length > _MAX_HEADER:
        return None
    try:
        header = ast.literal_eval(beginning[start : start + length].decode("utf-8" if beginning[6] > 2 else "latin-1"))
        shape, dtype, is_fortran = header["shape"], header["descr"], header["fortran_order"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        return None
    if not isinstance(shape, tuple) or not all(isinstance(size, int) for size in shape):
        return None
    return NumpyHeader(shape, str(dtype), "Fortran" if is_fortran else "C")
