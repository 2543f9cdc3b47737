"""Numbers in protobuf: its `Value` has only doubles, so integers are checked when written and restored when read."""

from __future__ import annotations

from standpipe.errors import SpecError
from standpipe.model.json_values import check_json
from standpipe.model.types import Json, ParameterType
from standpipe.model.values import ValueMismatch

#: From this number on, Go writes a double with an exponent, and the KFP backend does not read an integer.
_LARGEST_WHOLE = 1e21


def check_value(value: Json, path: str) -> None:
    """Raise SpecError if protobuf's `Value` cannot represent a JSON value exactly."""
    try:
        check_json(value, path, any_integer=True)
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
            f"{path} cannot be compiled: KFP stores numbers as doubles, so {value} would change. Pass it as text."
        )


def _is_exact(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def restore_integers(value: Json, declared: ParameterType | None) -> Json:
    """Return a value of a file with its integers restored.

    Whole doubles become integers, as in the JSON that the KFP backend passes to tasks, except in a parameter that is
    declared as a double. `declared` is None for a value without a declared type.
    """
    return value if declared is ParameterType.NUMBER_DOUBLE else convert_whole_doubles(value)


def convert_whole_doubles(value: Json) -> Json:
    """Return a copy of a JSON value in which whole doubles are integers."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_WHOLE:
        return int(value)
    if isinstance(value, list):
        return [convert_whole_doubles(item) for item in value]
    if isinstance(value, dict):
        return {key: convert_whole_doubles(item) for key, item in value.items()}
    return value
