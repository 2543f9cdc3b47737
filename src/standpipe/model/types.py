"""The types of KFP's inputs and outputs (`ParameterType` and `ArtifactTypeSchema` of pipeline_spec.proto)."""

from __future__ import annotations

import enum
from dataclasses import field
from typing import Any, Union

from standpipe.model.frozen import frozen

#: A value that survives a trip through JSON. Integers stay integers, which protobuf's `Value` cannot promise.
Json = Any


class ParameterType(enum.Enum):
    """What a parameter may hold; the names are those of `ParameterType.ParameterTypeEnum`."""

    NUMBER_DOUBLE = "NUMBER_DOUBLE"
    NUMBER_INTEGER = "NUMBER_INTEGER"
    STRING = "STRING"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"
    TASK_FINAL_STATUS = "TASK_FINAL_STATUS"
    TASK_CONFIG = "TASK_CONFIG"

    def __str__(self) -> str:
        return self.value


@frozen
class ArtifactType:
    """A schema title such as `system.Dataset`, with the version of that schema."""

    schema_title: str
    schema_version: str = "0.0.1"

    def __str__(self) -> str:
        return f"{self.schema_title}@{self.schema_version}"


@frozen
class ParameterInput:
    """A parameter that a component takes.

    An optional parameter without a default is null when nobody gives it; `default` is None then, as it is for a
    required one. `literals` lists the only values allowed, if the author named them. `annotation` is the type as its
    author wrote it, such as `typing.List[str]`; compiled files say LIST of it, so it does not take part in comparisons.
    """

    type: ParameterType
    optional: bool = False
    default: Json = None
    description: str = ""
    literals: tuple[Json, ...] = ()
    annotation: str = field(default="", compare=False)


@frozen
class ArtifactInput:
    """An artifact that a component takes, or a list of them."""

    type: ArtifactType
    is_list: bool = False
    optional: bool = False
    description: str = ""


@frozen
class ParameterOutput:
    """A parameter that a component gives. For `annotation`, see `ParameterInput`."""

    type: ParameterType
    description: str = ""
    annotation: str = field(default="", compare=False)


@frozen
class ArtifactOutput:
    """An artifact that a component gives, or a list of them."""

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
