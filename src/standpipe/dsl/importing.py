"""`importer`: make an artifact of a pipeline from what exists at a URI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from standpipe.dsl.components import ExecutorComponent
from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.tracing.channels import (
    PipelineChannel,
    PipelineParameterChannel,
    describe_channel,
    describe_value,
    find_channels,
)
from standpipe.dsl.tracing.source_locations import warn_caller
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.dsl.types import artifact_type
from standpipe.errors import AuthoringError, AuthoringTypeError, shorten_errors
from standpipe.model.json_values import check_depth, check_json
from standpipe.model.kfp import unique_name
from standpipe.model.plan import FromInput, Importer
from standpipe.model.templates import InputParameter, parse_value
from standpipe.model.types import ArtifactOutput, Input, Json, ParameterInput, ParameterType
from standpipe.model.values import ValueMismatch
from standpipe.worker import annotations as kfp_annotations
from standpipe.worker.artifacts import Artifact

_NAME = "importer"
_URI = "uri"
_METADATA = "metadata"
_ARTIFACT = "artifact"

#: The locations of values, for messages about values of another pipeline.
_IN_URI = "The artifact_uri of an importer"
_IN_METADATA = "The metadata of an importer"


class ImporterComponent(ExecutorComponent):
    """The component of an `importer`. Its inputs are the URI and the values that the metadata contains."""


@shorten_errors
def importer(
    artifact_uri: str | PipelineParameterChannel,
    artifact_class: type[Artifact] = Artifact,
    reimport: bool = False,
    metadata: Mapping[str, Any] | None = None,
    download_to_workspace: bool = False,
) -> PipelineTask:
    """Create a task whose only output, `artifact`, is an artifact with the content at a URI.

    A call outside a pipeline runs the importer now, like a call of a component.

    Args:
        artifact_uri: a path of this machine, absolute or relative to the working directory, or the URI of an object,
            such as `gs://bucket/object`. It may be a value that is known only when the pipeline runs.
        artifact_class: the class of the artifact.
        reimport: whether a cluster makes a new artifact even if it has one of that URI. A local run always does.
        metadata: the metadata of the artifact. It may contain values that are known only when the pipeline runs, also
            inside text.
        download_to_workspace: whether to copy the content into the run's workspace, where tasks may change it.

    Raises:
        AuthoringTypeError: if an argument is of the wrong type.
        AuthoringError: if the metadata cannot be JSON.
    """
    if not kfp_annotations.is_artifact_class(artifact_class):
        raise AuthoringTypeError(
            "importer: expected artifact_class to be an artifact class such as dsl.Dataset, got "
            f"{describe_value(artifact_class)}."
        )
    if metadata is not None and not isinstance(metadata, Mapping):
        raise AuthoringTypeError(f"importer: expected metadata to be a dict, got {describe_value(metadata)}.")
    output_type = artifact_type(artifact_class, _NAME)
    inputs = _MetadataInputs()
    try:
        check_depth(metadata, _METADATA)
        constant_metadata = inputs.replace_channels(dict(metadata or {}))
        check_json(constant_metadata, _METADATA)
    except ValueMismatch as mismatch:
        raise AuthoringError(f"importer: the metadata cannot be passed: {mismatch}.") from mismatch
    interface = Interface(
        {_URI: ParameterInput(ParameterType.STRING), **inputs.declared}, {_ARTIFACT: ArtifactOutput(output_type)}
    )
    uri = _constant_uri(artifact_uri) if isinstance(artifact_uri, str) else FromInput(_URI)
    executor = Importer(uri, output_type, parse_value(constant_metadata), reimport, download_to_workspace)
    return ImporterComponent(_NAME, interface, executor)(**{_URI: artifact_uri}, **inputs.arguments)


class _MetadataInputs:
    """The inputs of an importer for the channels in its metadata: one for each channel."""

    def __init__(self) -> None:
        self.declared: dict[str, Input] = {}
        self.arguments: dict[str, PipelineChannel] = {}
        self._names_by_mark: dict[str, str] = {}

    def replace_channels(self, value: Any) -> Json:
        """Return the metadata with KFP's placeholders in place of channels, also in the keys of dicts."""
        if isinstance(value, PipelineChannel):
            return self._placeholder(value)
        if isinstance(value, str):
            for channel in find_channels(value, _IN_METADATA):
                value = value.replace(str(channel), self._placeholder(channel))
            return value
        if isinstance(value, Mapping):
            return {self.replace_channels(key): self.replace_channels(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.replace_channels(item) for item in value]
        return value

    def _placeholder(self, channel: PipelineChannel) -> str:
        if not isinstance(channel.declared_type, ParameterType):
            raise AuthoringTypeError(
                f"importer: the {describe_channel(channel)} is an artifact, and metadata can contain only parameters."
            )
        mark = str(channel)
        if mark not in self._names_by_mark:
            self._names_by_mark[mark] = name = unique_name(_METADATA, self.declared)
            self.declared[name] = ParameterInput(channel.declared_type)
            self.arguments[name] = channel
        return str(InputParameter(self._names_by_mark[mark]))


def _constant_uri(uri: str) -> str:
    """Return the URI as the KFP SDK compiles it: with a mark for each value in the text, which no cluster replaces."""
    for channel in find_channels(uri, _IN_URI):
        warn_caller(
            f"importer: the {describe_channel(channel)} is inside the text of artifact_uri. That works in local runs "
            "but not on a cluster, where KFP passes a value only if it is the whole URI. Create the URI in a component "
            "and pass its output."
        )
    return uri
