"""Types of KFP's inputs and outputs (`ParameterType` and `ArtifactTypeSchema` of pipeline_spec.proto)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Union

from standpipe.model.frozen import field, frozen

#: A value that can be written as JSON. Integers stay integers, unlike in protobuf's `Value`.
Json = Any


class ParameterType(enum.Enum):
    """The type of a parameter; the names are those of `ParameterType.ParameterTypeEnum`."""

    NUMBER_DOUBLE = "NUMBER_DOUBLE"
    NUMBER_INTEGER = "NUMBER_INTEGER"
    STRING = "STRING"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"
    TASK_FINAL_STATUS = "TASK_FINAL_STATUS"
    TASK_CONFIG = "TASK_CONFIG"

    __hash__ = object.__hash__  # members are singletons; that of `Enum` is a function in Python

    def __str__(self) -> str:
        return self.value

    @property
    def label(self) -> str:
        """The name of the type for messages: as in the annotations of authors, `int`."""
        return _LABELS[self.value]


_LABELS = {
    "NUMBER_DOUBLE": "float",
    "NUMBER_INTEGER": "int",
    "STRING": "str",
    "BOOLEAN": "bool",
    "LIST": "list",
    "STRUCT": "dict",
    "TASK_FINAL_STATUS": "PipelineTaskFinalStatus",
    "TASK_CONFIG": "TaskConfig",
}


@frozen
class ArtifactType:
    """The type of an artifact: a schema title such as `system.Dataset`, and the version of that schema."""

    schema_title: str
    schema_version: str = "0.0.1"

    def __str__(self) -> str:
        return f"{self.schema_title}@{self.schema_version}"

    @property
    def label(self) -> str:
        """The name of the type for messages: as in the annotations of authors, `Model`."""
        version = "" if self.schema_version == "0.0.1" else f"@{self.schema_version}"
        return self.schema_title.removeprefix("system.") + version


#: The types of artifacts that are all metadata: nobody writes a file for them.
_METADATA_TYPES = frozenset({"system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics"})


def is_complete_without_payload(artifact_type: ArtifactType | str, metadata: Mapping[str, Json]) -> bool:
    """Return whether an artifact says what it has to say in its metadata, so that it needs no file.

    Args:
        artifact_type: its type, or the schema title of it.
        metadata: its metadata.
    """
    title = artifact_type if isinstance(artifact_type, str) else artifact_type.schema_title
    return bool(metadata) or title in _METADATA_TYPES


@frozen
class ParameterInput:
    """A parameter input of a component.

    `default` is None for a required parameter, and for an optional one that is null without a value. `literals` are
    the allowed values; empty if all values of the type are allowed. `annotation` is the type in the author's code, such
    as `typing.List[str]`; a compiled file has only `LIST` for it, so it does not take part in comparisons.
    """

    type: ParameterType
    optional: bool = False
    default: Json = None
    description: str = ""
    literals: tuple[Json, ...] = ()
    annotation: str = field(default="", compare=False)


@frozen
class ArtifactInput:
    """An artifact input of a component, or an input that is a list of artifacts."""

    type: ArtifactType
    is_list: bool = False
    optional: bool = False
    description: str = ""


@frozen
class ParameterOutput:
    """A parameter output of a component. For `annotation`, see `ParameterInput`."""

    type: ParameterType
    description: str = ""
    annotation: str = field(default="", compare=False)


@frozen
class ArtifactOutput:
    """An artifact output of a component, or an output that is a list of artifacts."""

    type: ArtifactType
    is_list: bool = False
    description: str = ""


Input = Union[ParameterInput, ArtifactInput]
Output = Union[ParameterOutput, ArtifactOutput]

#: The two kinds of inputs and outputs, by the fields of PipelineSpec that hold their tables.
PARAMETERS, ARTIFACTS = "parameters", "artifacts"


def table_of(declared: Input | Output) -> str:
    """Return which of the two tables an input or output is declared in: `PARAMETERS` or `ARTIFACTS`."""
    return ARTIFACTS if isinstance(declared, (ArtifactInput, ArtifactOutput)) else PARAMETERS


def is_required(declared: Input) -> bool:
    """Return whether an input must have a value.

    A parameter with a default value needs none, even if it is not marked as optional: `Compiler.compile` can set
    defaults, and SDKs before 2.0.0 do not mark such inputs.
    """
    return not declared.optional and (isinstance(declared, ArtifactInput) or declared.default is None)
