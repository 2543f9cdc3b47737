"""The inputs and outputs that components of a PipelineSpec declare -> those of a Plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from standpipe.errors import SpecError
from standpipe.ir.importers import load_type
from standpipe.ir.numbers import restore_integers
from standpipe.ir.section import Section, Shared
from standpipe.model.types import (
    ARTIFACTS,
    PARAMETERS,
    ArtifactInput,
    ArtifactOutput,
    Input,
    Json,
    Output,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)


class Interface(NamedTuple):
    """What a component declares, by name."""

    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]


def load_interfaces(components: Mapping[str, Section]) -> dict[str, Interface]:
    """Return the interfaces of components, by path. What several of them share is loaded once.

    Raises:
        SpecError: if they are malformed; the error names the field.
    """
    inputs: Shared[Mapping[str, Input]] = {}
    outputs: Shared[Mapping[str, Output]] = {}
    return {
        path: Interface(
            section.take_shared("inputDefinitions", _load_inputs, inputs),
            section.take_shared("outputDefinitions", _load_outputs, outputs),
        )
        for path, section in components.items()
    }


def _load_inputs(section: Section) -> Mapping[str, Input]:
    inputs = merge_tables(
        {name: _load_parameter_input(item) for name, item in section.take_sections(PARAMETERS).items()},
        {name: _load_artifact_input(item) for name, item in section.take_sections(ARTIFACTS).items()},
        section.path,
    )
    section.check_all_taken()
    return inputs


def _load_outputs(section: Section) -> Mapping[str, Output]:
    outputs = merge_tables(
        {name: _load_parameter_output(item) for name, item in section.take_sections(PARAMETERS).items()},
        {name: _load_artifact_output(item) for name, item in section.take_sections(ARTIFACTS).items()},
        section.path,
    )
    section.check_all_taken()
    return outputs


def merge_tables(parameters: Mapping[str, Json], artifacts: Mapping[str, Json], path: str) -> dict[str, Json]:
    """Return the entries of both tables, by name.

    Raises:
        SpecError: if a name is in both.
    """
    for name in parameters.keys() & artifacts.keys():
        raise SpecError(f"{path}.{ARTIFACTS}.{name}: duplicate name, it is also the name of a parameter")
    return {**parameters, **artifacts}


def _load_parameter_input(section: Section) -> ParameterInput:
    parameter_type = _load_parameter_type(section)
    item = ParameterInput(
        parameter_type,
        optional=section.take("isOptional", False),
        default=restore_integers(section.take("defaultValue"), parameter_type),
        description=section.take("description", ""),
        literals=tuple(restore_integers(value, parameter_type) for value in section.take("literals", [])),
    )
    section.check_all_taken()
    return item


def _load_artifact_input(section: Section) -> ArtifactInput:
    item = ArtifactInput(
        load_type(section.take_section("artifactType")),
        is_list=section.take("isArtifactList", False),
        optional=section.take("isOptional", False),
        description=section.take("description", ""),
    )
    section.check_all_taken()
    return item


def _load_parameter_output(section: Section) -> ParameterOutput:
    item = ParameterOutput(_load_parameter_type(section), section.take("description", ""))
    section.check_all_taken()
    return item


def _load_artifact_output(section: Section) -> ArtifactOutput:
    item = ArtifactOutput(
        load_type(section.take_section("artifactType")),
        is_list=section.take("isArtifactList", False),
        description=section.take("description", ""),
    )
    section.check_all_taken()
    return item


def _load_parameter_type(section: Section) -> ParameterType:
    return section.take_enum("parameterType", ParameterType)
