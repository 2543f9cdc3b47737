"""The messages of pipeline_spec.proto: validation of their JSON, and its canonical form."""

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
from standpipe.ir.canonical_json import Doubtful, convert_message
from standpipe.model.types import Json
from standpipe.model.values import preview

#: The errors of protobuf for invalid JSON of a message: its own, and those of Python if it does not check. It raises
#: a SystemError for keys with half of a surrogate pair.
_ERRORS = (json_format.Error, OverflowError, RecursionError, AttributeError, TypeError, ValueError, SystemError)

_LOCATION = Path("kfp", "pipeline_spec", "pipeline_spec_pb2.py")


@functools.cache
def load_messages() -> ModuleType:
    """Load the generated module of the `kfp-pipeline-spec` distribution.

    It is loaded by its path. An import of its parent package `kfp` would run the whole KFP SDK if that is installed, or
    find Standpipe under that name.
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


def to_message(data: Json, name: str) -> Any:
    """Return the message of pipeline_spec.proto with this name for JSON that `canonicalize` has returned."""
    return json_format.ParseDict(data, getattr(load_messages(), name)())


def canonicalize(data: Json, message: str, path: str = "") -> dict[str, Json]:
    """Validate the JSON of a message and return it as protobuf writes it: without default values, numbers as doubles.

    Keys are sorted, as they are in files, because the order of protobuf is random. An object that occurs at several
    places in the data may be one object in the result, too.

    Args:
        data: JSON for the message, its fields in camelCase or snake_case.
        message: the name of a message of pipeline_spec.proto, such as `PipelineSpec`.
        path: the path of the data in the file, for errors.

    Raises:
        SpecError: if the data is not a valid message; the error names the field.
    """
    if not isinstance(data, Mapping):  # protobuf accepts an empty list
        raise SpecError(f"{path or 'The file'}: expected a mapping, got {preview(data)}")
    message_class = getattr(load_messages(), message)
    try:
        return convert_message(data, message_class.DESCRIPTOR)
    except (Doubtful, *_ERRORS):
        pass  # protobuf has the answer, or a better error
    try:
        return _round_trip(data, message_class)
    except _ERRORS as error:
        invalid_path, problem = _find_invalid_part(data, message_class.DESCRIPTOR, path, _explain(error))
        raise SpecError(f"{invalid_path or 'The file'}: {problem}") from error


def _round_trip(data: Json, message_class: Any) -> dict[str, Json]:
    result: dict[str, Json] = _sort_keys(json_format.MessageToDict(json_format.ParseDict(data, message_class())))
    return result


def to_protobuf_value(value: Json) -> Any:
    """Return a JSON value as protobuf's `Value`.

    Raises:
        SpecError: if the value is not JSON.
    """
    try:
        return json_format.ParseDict(value, struct_pb2.Value())
    except _ERRORS as error:
        raise SpecError(f"{preview(value)} cannot be written as protobuf: {_explain(error)}") from error


def _sort_keys(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _sort_keys(value[key]) for key in sorted(value)}
    return [_sort_keys(item) for item in value] if isinstance(value, list) else value


def _find_problem(data: Json, message_class: Any) -> str:
    """Return why data is not a valid message; empty if it is."""
    try:
        _round_trip(data, message_class)
    except _ERRORS as error:
        return _explain(error)
    return ""


def _explain(error: Exception) -> str:
    """Return protobuf's error message without the chain of fields at its beginning."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).split(" field: ")[-1].split("\n")[0].rstrip(".")


def _find_invalid_part(data: Json, descriptor: Any, path: str, reason: str) -> tuple[str, str]:
    """Return the path of the innermost invalid part, and the problem. Protobuf's errors seldom name it."""
    if not isinstance(data, Mapping):
        return path, f"expected a mapping, got {preview(data)}"
    fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    for key, value in data.items():
        field = fields.get(key)
        if field is None:
            known = ", ".join(sorted({known.json_name for known in descriptor.fields}))
            return _join(path, key), f"unknown field, expected one of {known}"
        problem = _find_problem({key: value}, descriptor._concrete_class)
        if problem:
            return _find_invalid_part_of_field(value, field, _join(path, key), problem)
    return path, reason


def _find_invalid_part_of_field(value: Json, field: Any, path: str, reason: str) -> tuple[str, str]:
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
    for part_path, part in parts:
        problem = _find_problem(part, descriptor._concrete_class)
        if problem:
            return _find_invalid_part(part, descriptor, part_path, problem)
    return path, reason


def _entries(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    return ((_join(path, key), part) for key, part in value.items()) if isinstance(value, Mapping) else iter(())


def _items(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    return ((f"{path}[{index}]", part) for index, part in enumerate(value)) if isinstance(value, list) else iter(())


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
