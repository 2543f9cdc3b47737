"""Numbers on their way into and out of protobuf, whose `Value` has doubles only."""

from __future__ import annotations

from standpipe.errors import SpecError
from standpipe.model.types import Json, ParameterType
from standpipe.model.values import ValueMismatch, check_json

#: From here on Go writes a double with an exponent, and the KFP backend sees no integer.
_LARGEST_WHOLE = 1e21


def check_value(value: Json, path: str) -> None:
    """Raises SpecError unless `Value` holds the JSON value without a loss."""
    try:
        check_json(value, path)
    except ValueMismatch as mismatch:
        raise SpecError(f"{path} cannot be compiled: {mismatch}") from mismatch
    _check_integers(value, path)


def _check_integers(value: Json, path: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_integers(item, f"{path}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_integers(item, f"{path}[{index}]")
    elif isinstance(value, int) and not _is_exact(value):
        raise SpecError(
            f"{path} cannot be compiled: KFP's format keeps numbers as doubles, and {value} would change. "
            "Pass it as text."
        )


def _is_exact(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def restore(value: Json, declared: ParameterType | None) -> Json:
    """A value from a file, its integers integers again.

    Doubles stay doubles only in a parameter that is one; elsewhere a whole number becomes an integer, as it does in
    the JSON that the KFP backend hands to tasks. `declared` is None for a value that nothing declares.
    """
    return value if declared is ParameterType.NUMBER_DOUBLE else whole(value)


def whole(value: Json) -> Json:
    """A copy of a JSON value in which whole doubles are integers."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_WHOLE:
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return value
