"""The messages of pipeline_spec.proto: JSON in, the same JSON checked and in its canonical form out."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf import json_format, struct_pb2

from standpipe.errors import SpecError, UnsupportedError
from standpipe.model.types import Json
from standpipe.model.values import preview

#: What protobuf raises for JSON that is no such message: its own errors, and Python's own where it checks nothing; a
#: SystemError for keys with half of a surrogate pair.
_REFUSALS = (json_format.Error, OverflowError, RecursionError, AttributeError, TypeError, ValueError, SystemError)

_LOCATION = Path("kfp", "pipeline_spec", "pipeline_spec_pb2.py")


@functools.cache
def messages() -> ModuleType:
    """The generated module of the `kfp-pipeline-spec` distribution.

    It is loaded by its location: importing `kfp` on the way to it would run the whole KFP SDK where that is
    installed, or find Standpipe under that name.
    """
    loaded = sys.modules.get("kfp.pipeline_spec.pipeline_spec_pb2")
    if loaded is not None:
        return loaded
    for folder in sys.path:
        file = Path(folder, _LOCATION)
        if file.is_file():
            return _load_module(file)
    raise UnsupportedError(
        "Compiled pipelines cannot be read or written: the package kfp-pipeline-spec is missing. "
        "Install it with `pip install kfp-pipeline-spec`."
    )


def _load_module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("standpipe_pipeline_spec_pb2", file)
    assert spec is not None, "a .py file has a loader"
    assert spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def message(data: Json, name: str) -> Any:
    """A protobuf message of pipeline_spec.proto, made of its JSON, which `canonical` has checked."""
    return json_format.ParseDict(data, getattr(messages(), name)())


def canonical(data: Json, message: str, path: str = "") -> dict[str, Json]:
    """The JSON of one message, as protobuf itself writes it: default values left out, numbers as doubles.

    Keys are sorted, as they are in files: protobuf has no order of its own, and hands one out at random.

    Args:
        data: JSON for the message, its fields in camelCase or snake_case.
        message: the name of a message of pipeline_spec.proto, such as `PipelineSpec`.
        path: where in the file the data is, for errors.

    Raises:
        SpecError: if the data is no such message; the error names the field.
    """
    if not isinstance(data, Mapping):  # protobuf takes an empty list for one
        raise SpecError(f"{path or 'The file'}: it is {preview(data)}, and a mapping is wanted")
    message_class = getattr(messages(), message)
    try:
        return _round_trip(data, message_class)
    except _REFUSALS as error:
        where, why = _offender(data, message_class.DESCRIPTOR, path, _reason(error))
        raise SpecError(f"{where or 'The file'}: {why}") from error


def _round_trip(data: Json, message_class: Any) -> dict[str, Json]:
    result: dict[str, Json] = _sorted(json_format.MessageToDict(json_format.ParseDict(data, message_class())))
    return result


def to_protobuf_value(value: Json) -> Any:
    """A JSON value as protobuf's `Value`.

    Raises:
        SpecError: if it is no JSON.
    """
    try:
        return json_format.ParseDict(value, struct_pb2.Value())
    except _REFUSALS as error:
        raise SpecError(f"{preview(value)} cannot be written as protobuf: {_reason(error)}") from error


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _problem(data: Json, message_class: Any) -> str:
    """Why `data` is no such message, or an empty text."""
    try:
        _round_trip(data, message_class)
    except _REFUSALS as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    """Protobuf's own words, without the chain of fields that it puts before them."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).split(" field: ")[-1].split("\n")[0].rstrip(".")


def _offender(data: Json, descriptor: Any, path: str, reason: str) -> tuple[str, str]:
    """The path of the innermost part that is wrong, and why. Protobuf's errors seldom name it."""
    if not isinstance(data, Mapping):
        return path, f"it is {preview(data)}, and a mapping is wanted"
    fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    for key, value in data.items():
        field = fields.get(key)
        if field is None:
            known = ", ".join(sorted({known.json_name for known in descriptor.fields}))
            return _join(path, key), f"there is no such field here; the fields are {known}"
        problem = _problem({key: value}, descriptor._concrete_class)
        if problem:
            return _offender_in_field(value, field, _join(path, key), problem)
    return path, reason


def _offender_in_field(value: Json, field: Any, path: str, reason: str) -> tuple[str, str]:
    descriptor = field.message_type
    if descriptor is None or descriptor.full_name.startswith("google.protobuf."):
        return path, reason
    if descriptor.GetOptions().map_entry:
        descriptor = descriptor.fields_by_name["value"].message_type
        parts = _entries(value, path)
    elif field.is_repeated:
        parts = _items(value, path)
    else:
        parts = iter([(path, value)])
    for where, part in parts:
        problem = _problem(part, descriptor._concrete_class)
        if problem:
            return _offender(part, descriptor, where, problem)
    return path, reason


def _entries(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    return ((_join(path, key), part) for key, part in value.items()) if isinstance(value, Mapping) else iter(())


def _items(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    return ((f"{path}[{index}]", part) for index, part in enumerate(value)) if isinstance(value, list) else iter(())


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
