"""Component files of KFP version 1 -> Plan: the one container that the KFP SDK of version 2 makes of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from standpipe.errors import SpecError, UnsupportedError
from standpipe.model.kfp import kubernetes_name
from standpipe.model.plan import (
    Caching,
    Command,
    Component,
    Container,
    ExecutorRef,
    Plan,
)
from standpipe.model.templates import (
    Argument,
    ArtifactField,
    Concat,
    ExecutorInputText,
    IfPresent,
    InputParameter,
    OutputParameterFile,
    Template,
    parse_text,
)
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Input,
    Json,
    Output,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)
from standpipe.model.values import preview
from standpipe.model.wrapping import wrap_component

#: The KFP SDK's names for a component without a name, and for one whose name has no letter of the alphabet.
_UNNAMED, _UNREADABLE = "name", "task"
_FINAL_STATUS = "PipelineTaskFinalStatus"
_TRUE, _FALSE = ("y", "yes", "t", "true", "on", "1"), ("n", "no", "f", "false", "off", "0")


def _to_bool(value: Json) -> bool:
    if not isinstance(value, str):
        return bool(value)
    if value.lower() in (*_TRUE, *_FALSE):
        return value.lower() in _TRUE
    raise ValueError("write true or false")


def _to_json(value: Json) -> Json:
    """Parse JSON. As in the SDK, text that is not JSON is returned as it is."""
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return value


#: The types of parameters by their names in lower case, each with the conversion of a default, which is mostly text.
_PARAMETER_TYPES: dict[str, tuple[ParameterType, Callable[[Any], Json]]] = {
    **dict.fromkeys(("integer", "int"), (ParameterType.NUMBER_INTEGER, int)),
    **dict.fromkeys(("double", "float"), (ParameterType.NUMBER_DOUBLE, float)),
    **dict.fromkeys(("string", "str", "text"), (ParameterType.STRING, str)),
    **dict.fromkeys(("boolean", "bool"), (ParameterType.BOOLEAN, _to_bool)),
    **dict.fromkeys(("dict", "jsonobject"), (ParameterType.STRUCT, _to_json)),
    **dict.fromkeys(("list", "jsonarray"), (ParameterType.LIST, _to_json)),
}
_ARTIFACT_CLASSES = {
    name.lower(): f"system.{name}"
    for name in (
        *("Artifact", "Model", "Dataset", "Metrics", "ClassificationMetrics", "SlicedClassificationMetrics"),
        *("HTML", "Markdown"),
    )
}


class PlaceholderError(SpecError, TypeError):
    """A placeholder for a parameter names an artifact, or the reverse; the KFP SDK raises a TypeError."""


def _raise(misuse: PlaceholderError) -> None:
    raise misuse


def load_v1(document: Mapping[str, Json], report_misuse: Callable[[PlaceholderError], None] = _raise) -> Plan:
    """Return the Plan of a component file of KFP version 1: a pipeline with one task, without the description.

    Args:
        document: the file, as JSON.
        report_misuse: takes the error about a placeholder of the wrong kind. The KFP SDK (2.17.3) loads such a file and
            refuses to use it, and scripts load files that they do not use.

    Raises:
        SpecError: if the file is malformed; the error names the field.
        UnsupportedError: if the component is a graph of other components.
    """
    _check_fields(document, "", "name", "description", "metadata", "inputs", "outputs", "implementation", "version")
    _check_fields(_mapping(document, "metadata", ""), "metadata", "annotations", "labels")
    _text(document, "description", "")
    shown = _text(document, "name", "") if document.get("name") is not None else _UNNAMED
    name = kubernetes_name(shown) or _UNREADABLE
    reader = _Reader(document, report_misuse)
    component = Component(ExecutorRef(""), reader.inputs(), reader.outputs())
    return wrap_component(name, component, reader.container(), Caching())


def read_v1_description(document: Mapping[str, Json]) -> str:
    """Return the description of a component file of KFP version 1."""
    return document.get("description") or ""


class _Reader:
    """A reader of the interface of a component and of its container, which refers to inputs and outputs by name."""

    def __init__(self, document: Mapping[str, Json], report_misuse: Callable[[PlaceholderError], None]) -> None:
        self._document = document
        self._report_misuse = report_misuse
        self._input_types = {entry["name"]: entry.get("type") for _, entry in self._entries("inputs")}
        self._output_types = {entry["name"]: entry.get("type") for _, entry in self._entries("outputs")}

    def _entries(self, field: str) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """Yield the inputs or outputs, each with its path."""
        names: set[str] = set()
        for index, entry in enumerate(_list(self._document, field, "")):
            path = f"{field}[{index}]"
            own_fields = ("default", "optional") if field == "inputs" else ()
            _check_fields(entry, path, "name", "type", "description", "annotations", *own_fields)
            _text(entry, "description", path)
            name = _text(entry, "name", path, required=True)
            if name in names:
                raise SpecError(f"{path}.name: duplicate name {name!r}")
            names.add(name)
            yield path, entry

    def inputs(self) -> dict[str, Input]:
        return {_variable_name(entry, path): _input(entry, path) for path, entry in self._entries("inputs")}

    def outputs(self) -> dict[str, Output]:
        return {_variable_name(entry, path): _output(entry, path) for path, entry in self._entries("outputs")}

    def container(self) -> Container:
        implementation = _mapping(self._document, "implementation", "")
        path = "implementation.container"
        if "graph" in implementation:
            raise UnsupportedError(
                "implementation.graph: KFP version 2 does not support graph components. Write a pipeline instead."
            )
        _check_fields(implementation, "implementation", "container")
        fields = _mapping(implementation, "container", "implementation")
        _check_fields(fields, path, "image", "command", "args", "env", "fileOutputs")
        for name in _mapping(fields, "fileOutputs", path):
            self._check_known(name, self._output_types, "output", f"{path}.fileOutputs")
        env = _mapping(fields, "env", path)
        return Container(
            image=parse_text(_text(fields, "image", path, required=True)),
            program=Command(self._arguments(fields, "command", path), self._arguments(fields, "args", path)),
            env={name: _text(env, name, f"{path}.env", required=True) for name in env},
        )

    def _arguments(self, fields: Mapping[str, Json], field: str, path: str) -> tuple[Argument, ...]:
        items = _list(fields, field, path)
        return tuple(self._argument(item, f"{path}.{field}[{index}]") for index, item in enumerate(items))

    def _argument(self, item: Json, path: str, joined: bool = False) -> Argument:
        if isinstance(item, str):
            return parse_text(item)
        if not isinstance(item, dict) or len(item) != 1:
            raise SpecError(f"{path}: expected text or one placeholder, got {preview(item)}")
        ((kind, body),) = item.items()
        field_path = f"{path}.{kind}"
        if kind == "concat":
            parts = _list(item, kind, path)
            return Concat(
                tuple(self._argument(part, f"{field_path}[{index}]", True) for index, part in enumerate(parts))
            )
        if kind == "if":
            return self._if_present(_mapping(item, kind, path), field_path, joined)
        if kind == "executorInput" and body is None:
            return Template((ExecutorInputText(),))
        if not isinstance(body, str):
            raise SpecError(f"{field_path}: expected the name of an input or output, got {preview(body)}")
        return self._placeholder(kind, body, field_path)

    def _if_present(self, fields: Mapping[str, Json], path: str, joined: bool) -> IfPresent:
        _check_fields(fields, path, "cond", "then", "else")
        condition = _mapping(fields, "cond", path)
        _check_fields(condition, f"{path}.cond", "isPresent")
        name = _text(condition, "isPresent", f"{path}.cond", required=True)
        self._check_known(name, self._input_types, "input", f"{path}.cond.isPresent")
        then = self._branch(fields, "then", path, joined)
        otherwise = self._branch(fields, "else", path, joined) if fields.get("else") else None
        return IfPresent(_sanitize(name), then, otherwise)

    def _branch(
        self, fields: Mapping[str, Json], field: str, path: str, joined: bool
    ) -> Argument | tuple[Argument, ...]:
        if not isinstance(fields.get(field), list):
            return self._argument(fields.get(field), f"{path}.{field}", joined)
        if joined:
            raise SpecError(f"{path}.{field}: expected one argument within a concat, got a list")
        return self._arguments(fields, field, path)

    def _placeholder(self, kind: str, name: str, path: str) -> Template:
        if kind in ("inputValue", "inputPath", "inputUri"):
            side, types = "inputs", self._input_types
        elif kind in ("outputPath", "outputUri"):
            side, types = "outputs", self._output_types
        else:
            raise SpecError(f"{path}: unknown placeholder in KFP version 2")
        self._check_known(name, types, side[:-1], path)
        variable = _sanitize(name)
        is_parameter = types[name] == _FINAL_STATUS or _parameter_type(types[name]) is not None
        if kind == "outputPath" and is_parameter:
            return Template((OutputParameterFile(variable),))
        if is_parameter != (kind == "inputValue"):
            value = "inputValue" if side == "inputs" else "outputPath"
            problem = f"a parameter. Use {value}." if is_parameter else "an artifact. Use inputPath or inputUri."
            self._report_misuse(PlaceholderError(f"{path}: {name!r} is {problem}"))
        if kind == "inputValue":
            return Template((InputParameter(variable),))
        return Template((ArtifactField(side, variable, "uri" if kind.endswith("Uri") else "path"),))

    def _check_known(self, name: str, types: Mapping[str, Json], what: str, path: str) -> None:
        if name not in types:
            known = ", ".join(sorted(types)) or "none"
            raise SpecError(f"{path}: unknown {what} {name!r}, expected one of {known}")


def _input(entry: Mapping[str, Json], path: str) -> Input:
    declared, default, optional = entry.get("type"), entry.get("default"), entry.get("optional")
    if not isinstance(default, (str, int, float, type(None))):
        raise SpecError(f"{path}.default: expected text, a number or a boolean, got {preview(default)}")
    if not isinstance(optional, (bool, type(None))):
        raise SpecError(f"{path}.optional: expected true or false, got {preview(optional)}")
    may_be_missing = bool(optional) or default is not None
    if declared == _FINAL_STATUS:
        return ParameterInput(ParameterType.TASK_FINAL_STATUS, optional=True)
    parameter_type = _parameter_type(declared)
    if parameter_type is None:
        return ArtifactInput(_artifact_type(declared, path), optional=may_be_missing)
    return ParameterInput(parameter_type, may_be_missing, _default(declared, default, path))


def _default(declared: Json, default: Json, path: str) -> Json:
    """Convert a default. As in the SDK, that of a type with items, such as `List[str]`, stays text."""
    known = _PARAMETER_TYPES.get(declared.lower())
    if known is None or default is None:
        return default
    try:
        return known[1](default)
    except (ValueError, OverflowError) as error:
        raise SpecError(f"{path}.default: expected {declared}, got {preview(default)}: {error}") from error


def _output(entry: Mapping[str, Json], path: str) -> Output:
    declared = entry.get("type")
    parameter_type = _parameter_type(declared)
    return ArtifactOutput(_artifact_type(declared, path)) if parameter_type is None else ParameterOutput(parameter_type)


def _parameter_type(declared: Json) -> ParameterType | None:
    if not isinstance(declared, str):
        return None
    known = _PARAMETER_TYPES.get(_without_items(declared).lower())
    return known[0] if known else None


def _without_items(declared: str) -> str:
    """Return the name of a type without those of its items: `typing.List[str]` is `List`."""
    bare = declared.removeprefix("typing.")
    return bare.split("[")[0] if bare.lower().startswith(("list", "dict")) else bare


def _artifact_type(declared: Json, path: str) -> ArtifactType:
    """Return the artifact type of that name; unknown names, which version 1 allows, are artifacts of any kind."""
    if not isinstance(declared, (str, dict, type(None))):
        raise SpecError(f"{path}.type: expected the name of a type, got {preview(declared)}")
    if isinstance(declared, str) and re.fullmatch(r"google\.[A-Za-z]+", declared):
        return ArtifactType(declared)
    name = declared.lower() if isinstance(declared, str) else ""
    return ArtifactType(_ARTIFACT_CLASSES.get(name, "system.Artifact"))


def _variable_name(entry: Mapping[str, Json], path: str) -> str:
    name = _sanitize(entry["name"])
    if not name:
        raise SpecError(f"{path}.name: invalid name {entry['name']!r}, expected a name with a letter or digit")
    return name


def _sanitize(name: str) -> str:
    """Return the name of an input or output in KFP version 2: `Training Data` is `training_data`."""
    return re.sub("[^_0-9a-z]+", "_", name.lower()).strip("_")


def _check_fields(value: Json, path: str, *known: str) -> None:
    if not isinstance(value, dict):
        raise SpecError(f"{path}: expected a mapping, got {preview(value)}")
    for field in value:
        if field not in known:
            raise SpecError(f"{_join(path, field)}: unknown field, expected one of {', '.join(known)}")


def _mapping(fields: Mapping[str, Json], field: str, path: str) -> dict[str, Json]:
    value = fields.get(field)
    if value is None and field != "implementation":
        return {}
    if not isinstance(value, dict):
        raise SpecError(f"{_join(path, field)}: expected a mapping, got {preview(value)}")
    return value


def _list(fields: Mapping[str, Json], field: str, path: str) -> list[Json]:
    value = fields.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise SpecError(f"{_join(path, field)}: expected a list, got {preview(value)}")
    return value


def _text(fields: Mapping[str, Json], field: str, path: str, required: bool = False) -> str:
    value = fields.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        problem = f"expected text, got {preview(value)}" if field in fields else "missing required field"
        raise SpecError(f"{_join(path, field)}: {problem}")
    return value


def _join(path: str, field: object) -> str:
    return f"{path}.{field}" if path else str(field)
