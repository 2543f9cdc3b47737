"""From Python annotations to KFP's types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from standpipe.errors import AuthoringTypeError
from standpipe.model.types import ArtifactType, ParameterType
from standpipe.worker import annotations as kfp_annotations
from standpipe.worker.status import PipelineTaskFinalStatus, TaskConfig

_BY_CLASS: dict[Any, ParameterType] = {
    str: ParameterType.STRING,
    int: ParameterType.NUMBER_INTEGER,
    float: ParameterType.NUMBER_DOUBLE,
    bool: ParameterType.BOOLEAN,
    list: ParameterType.LIST,
    dict: ParameterType.STRUCT,
}

#: What the KFP SDK calls the types of values, in its descriptions of components and in its marks of channels.
SDK_NAMES: Mapping[object, str] = {
    ParameterType.STRING: "String",
    ParameterType.NUMBER_INTEGER: "Integer",
    ParameterType.NUMBER_DOUBLE: "Float",
    ParameterType.BOOLEAN: "Boolean",
    ParameterType.LIST: "List",
    ParameterType.STRUCT: "Dict",
}

_SYSTEM: dict[Any, ParameterType] = {
    PipelineTaskFinalStatus: ParameterType.TASK_FINAL_STATUS,
    TaskConfig: ParameterType.TASK_CONFIG,
}


def hints_of(annotated: Any) -> dict[str, Any]:
    """The annotations of a function or a NamedTuple, without `Optional` around them."""
    return {
        name: kfp_annotations.strip_optional(hint) for name, hint in kfp_annotations.annotations_of(annotated).items()
    }


def parameter_type(annotation: Any) -> ParameterType | None:
    """The parameter type that an annotation stands for, or None where it stands for no parameter."""
    if isinstance(annotation, type) and annotation in _SYSTEM:
        return _SYSTEM[annotation]
    return _BY_CLASS.get(kfp_annotations.parameter_type(annotation))


def constant_type(value: object) -> ParameterType | None:
    """The parameter type of a constant argument, or None where a constant cannot be of that type."""
    return _BY_CLASS.get(type(value))  # a subclass would not survive the trip through a compiled file


def artifact_type(cls: type, where: str) -> ArtifactType:
    """The type of an artifact class, checked as KFP checks it.

    Raises:
        AuthoringTypeError: if its schema title or version is not of KFP's form.
    """
    title, version = getattr(cls, "schema_title", ""), getattr(cls, "schema_version", "")
    if not re.fullmatch(r"(system|google)\.[^.@]+", title):
        raise AuthoringTypeError(
            f"{where}: the artifact class {cls.__name__} has the schema_title {title!r}. "
            "It must be a name in the namespace `system` or `google`, as in `system.Dataset`."
        )
    if not re.fullmatch(r"[^.@]+\.[^.@]+\.[^.@]+", version):
        raise AuthoringTypeError(
            f"{where}: the artifact class {cls.__name__} has the schema_version {version!r}. "
            "It must have three parts, as in `0.0.1`."
        )
    return ArtifactType(title, version)


def are_compatible(given: ArtifactType, wanted: ArtifactType) -> bool:
    """Whether one artifact may be passed as the other: same title and major version, or one is `system.Artifact`."""
    if "system.Artifact" in (given.schema_title, wanted.schema_title):
        return True
    same_major = given.schema_version.partition(".")[0] == wanted.schema_version.partition(".")[0]
    return given.schema_title == wanted.schema_title and same_major
