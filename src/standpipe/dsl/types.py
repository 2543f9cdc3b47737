"""Convert annotations, as objects and as text, and values to KFP's types."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from standpipe.errors import AuthoringTypeError
from standpipe.model.types import ArtifactType, ParameterType
from standpipe.worker import annotations as kfp_annotations

_BY_CLASS: dict[Any, ParameterType] = {
    str: ParameterType.STRING,
    int: ParameterType.NUMBER_INTEGER,
    float: ParameterType.NUMBER_DOUBLE,
    bool: ParameterType.BOOLEAN,
    list: ParameterType.LIST,
    dict: ParameterType.STRUCT,
}

_BY_NAME: Mapping[str, ParameterType] = {cls.__name__: declared for cls, declared in _BY_CLASS.items()}

#: The names of parameter types in the KFP SDK, in its descriptions of components and in its marks of channels.
_SDK_NAMES: Mapping[ParameterType | None, str] = {
    ParameterType.STRING: "String",
    ParameterType.NUMBER_INTEGER: "Integer",
    ParameterType.NUMBER_DOUBLE: "Float",
    ParameterType.BOOLEAN: "Boolean",
    ParameterType.LIST: "List",
    ParameterType.STRUCT: "Dict",
    ParameterType.TASK_FINAL_STATUS: "PipelineTaskFinalStatus",
    ParameterType.TASK_CONFIG: "TaskConfig",
}

#: The text of an annotation, and the names in it of types that items of loops can have.
_ANNOTATION = r"(?:typing\.)?(?P<name>\w+)(?:\[(?P<arguments>.+)\])?"
_BY_WRITTEN_NAME = {
    **dict.fromkeys(("int", "integer"), ParameterType.NUMBER_INTEGER),
    **dict.fromkeys(("float", "double"), ParameterType.NUMBER_DOUBLE),
    **dict.fromkeys(("bool", "boolean"), ParameterType.BOOLEAN),
    **dict.fromkeys(("list", "jsonarray"), ParameterType.LIST),
    **dict.fromkeys(("dict", "jsonobject"), ParameterType.STRUCT),
}


def hints_of(annotated: Any) -> dict[str, Any]:
    """Return the annotations of a function or a NamedTuple, without `Optional` around them."""
    return {
        name: kfp_annotations.strip_optional(hint) for name, hint in kfp_annotations.annotations_of(annotated).items()
    }


def sdk_type_name(declared: ParameterType | ArtifactType, annotation: str = "") -> str:
    """Return a type as the KFP SDK writes it: `String`, `typing.List[str]`, `List[String]`, `system.Model@0.0.1`.

    Args:
        declared: the type.
        annotation: the author's annotation of a parameter; it is used if it names the type of items.
    """
    if isinstance(declared, ArtifactType):
        return str(declared)
    if annotation.startswith(("list[", "dict[")):  # the SDK changes the names of these and not of `typing.List[str]`
        return re.sub(r"\w+", lambda match: _SDK_NAMES.get(_BY_NAME.get(match[0]), match[0]), annotation)
    return annotation if "[" in annotation else _SDK_NAMES[declared]


def parameter_type(annotation: Any) -> ParameterType | None:
    """Return the parameter type of an annotation, None if it is not an annotation of a parameter."""
    # An annotation can only be one of its classes if the module has been imported; few programs do.
    if isinstance(annotation, type) and (status := sys.modules.get("standpipe.worker.status")):
        if annotation is status.PipelineTaskFinalStatus:
            return ParameterType.TASK_FINAL_STATUS
        if annotation is status.TaskConfig:
            return ParameterType.TASK_CONFIG
    return _BY_CLASS.get(kfp_annotations.parameter_type(annotation))


def parse_annotation(annotation: str) -> ParameterType:
    """Return the parameter type of a type annotation. As in the KFP SDK, an unknown type is a string.

    >>> parse_annotation("typing.List[str]"), parse_annotation("int"), parse_annotation("")
    (<ParameterType.LIST: 'LIST'>, <ParameterType.NUMBER_INTEGER: 'NUMBER_INTEGER'>, <ParameterType.STRING: 'STRING'>)
    """
    match = re.fullmatch(_ANNOTATION, annotation)
    return _BY_WRITTEN_NAME.get(match["name"].lower() if match else "", ParameterType.STRING)


def item_annotation(annotation: str) -> str:
    """Return the annotation of the items of a list.

    >>> item_annotation("typing.List[typing.Dict[str, int]]"), item_annotation("list")
    ('typing.Dict[str, int]', '')
    """
    match = re.fullmatch(_ANNOTATION, annotation)
    return (match["arguments"] or "") if match else ""


def value_annotation(annotation: str) -> str:
    """Return the annotation of the values of a dict.

    >>> value_annotation("typing.Dict[str, int]"), value_annotation("dict")
    ('int', '')
    """
    _, _, value = item_annotation(annotation).partition(",")
    return value.strip()


def constant_type(value: object) -> ParameterType | None:
    """Return the parameter type of a constant argument, None if a constant cannot have its type."""
    return _BY_CLASS.get(type(value))  # a compiled file cannot hold an object of a subclass


def artifact_type(cls: type, location: str) -> ArtifactType:
    """Return the type of an artifact class, after KFP's checks.

    Args:
        cls: the artifact class.
        location: where it is used, for the message.

    Raises:
        AuthoringTypeError: if its schema title or version does not have KFP's format.
    """
    title, version = getattr(cls, "schema_title", ""), getattr(cls, "schema_version", "")
    if not re.fullmatch(r"(system|google)\.[^.@]+", title):
        raise AuthoringTypeError(
            f"{location}: invalid schema_title {title!r} of the artifact class {cls.__name__}: expected a name in the "
            "namespace `system` or `google`, such as `system.Dataset`."
        )
    if not re.fullmatch(r"[^.@]+\.[^.@]+\.[^.@]+", version):
        raise AuthoringTypeError(
            f"{location}: invalid schema_version {version!r} of the artifact class {cls.__name__}: expected three "
            "parts, such as `0.0.1`."
        )
    return ArtifactType(title, version)


def are_compatible(actual: ArtifactType, expected: ArtifactType) -> bool:
    """Return whether one artifact may be passed as the other.

    It may if both have the same title and major version, or if one is a `system.Artifact`.
    """
    if "system.Artifact" in (actual.schema_title, expected.schema_title):
        return True
    same_major = actual.schema_version.partition(".")[0] == expected.schema_version.partition(".")[0]
    return actual.schema_title == expected.schema_title and same_major
