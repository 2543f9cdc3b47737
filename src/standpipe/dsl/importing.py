"""`importer`: what exists already somewhere, as an artifact of a pipeline."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from standpipe.dsl.components import ExecutorComponent
from standpipe.dsl.functions.interface import Interface
from standpipe.dsl.tracing.channels import LoopItem, PipelineChannel, PipelineParameterChannel, channels_in
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.dsl.types import SDK_NAMES, artifact_type
from standpipe.errors import AuthoringError, AuthoringTypeError
from standpipe.inside import annotations as kfp_annotations
from standpipe.inside.artifacts import Artifact
from standpipe.model.kfp import unique_name
from standpipe.model.plan import FromInput, Importer
from standpipe.model.templates import InputParameter, parse_value
from standpipe.model.types import ArtifactOutput, Input, Json, ParameterInput, ParameterType
from standpipe.model.values import ValueMismatch, check_json, preview

_NAME = "importer"
_URI = "uri"
_METADATA = "metadata"
_ARTIFACT = "artifact"

#: Where a value stands that is not of this pipeline, for messages.
_IN_URI = "The artifact_uri of an importer"
_IN_METADATA = "The metadata of an importer"


class ImporterComponent(ExecutorComponent):
    """What `importer` makes a task of. It takes the URI, and the values that the metadata refers to."""


def importer(
    artifact_uri: str | PipelineParameterChannel,
    artifact_class: type[Artifact] = Artifact,
    reimport: bool = False,
    metadata: Mapping[str, Any] | None = None,
    download_to_workspace: bool = False,
) -> PipelineTask:
    """Makes a task that gives what is at a URI as an artifact, its only output, called `artifact`.

    Called outside of a pipeline it runs at once, as a call of a component does.

    Args:
        artifact_uri: where it is: a path of this machine, relative to the working directory unless it is absolute, or
            the address of an object, as in `gs://bucket/object`. It may be a value that is known only when the
            pipeline runs.
        artifact_class: what it is.
        reimport: whether a cluster makes a new artifact even where it has one of that URI. Here it always is new.
        metadata: what to say about it. Such values may stand in it, alone or inside of text.
        download_to_workspace: whether to copy it into the run's workspace, so that tasks may change their copy.

    Raises:
        AuthoringTypeError: if an argument is of the wrong type.
        AuthoringError: if the metadata holds what JSON cannot.
    """
    if not kfp_annotations.is_artifact_class(artifact_class):
        raise AuthoringTypeError(
            f"importer: artifact_class is {preview(artifact_class)}, and an artifact class is wanted: dsl.Dataset, say."
        )
    if metadata is not None and not isinstance(metadata, Mapping):
        raise AuthoringTypeError(f"importer: metadata is {preview(metadata)}, and a dict is wanted.")
    kind = artifact_type(artifact_class, _NAME)
    values = _Values()
    told = values.replaced(dict(metadata or {}))
    try:
        check_json(told, _METADATA)
    except ValueMismatch as mismatch:
        raise AuthoringError(f"importer: it cannot be passed on: {mismatch}.") from mismatch
    interface = Interface(
        {_URI: ParameterInput(ParameterType.STRING), **values.inputs}, {_ARTIFACT: ArtifactOutput(kind)}
    )
    uri = _constant(artifact_uri) if isinstance(artifact_uri, str) else FromInput(_URI)
    executor = Importer(uri, kind, parse_value(told), reimport, download_to_workspace)
    return ImporterComponent(_NAME, interface, executor)(**{_URI: artifact_uri}, **values.given)


class _Values:
    """What the metadata refers to: an input of the importer for each channel, however often that is mentioned."""

    def __init__(self) -> None:
        self.inputs: dict[str, Input] = {}
        self.given: dict[str, PipelineChannel] = {}
        self._names: dict[str, str] = {}

    def replaced(self, value: Any) -> Json:
        """The metadata with KFP's placeholders in place of channels, in the keys of dicts as well."""
        if isinstance(value, PipelineChannel):
            return self._placeholder(value)
        if isinstance(value, str):
            for channel in channels_in(value, _IN_METADATA):
                value = value.replace(str(channel), self._placeholder(channel))
            return value
        if isinstance(value, Mapping):
            return {self.replaced(key): self.replaced(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.replaced(item) for item in value]
        return value

    def _placeholder(self, channel: PipelineChannel) -> str:
        if not isinstance(channel.channel_type, ParameterType):
            raise AuthoringTypeError(
                f"importer: the {channel.described} is an artifact, and only parameters can stand in metadata."
            )
        mark = str(channel)
        if mark not in self._names:
            self._names[mark] = name = unique_name(_METADATA, self.inputs)
            self.inputs[name] = ParameterInput(channel.channel_type)
            self.given[name] = channel
        return str(InputParameter(self._names[mark]))


def _constant(uri: str) -> str:
    """The URI as the KFP SDK compiles it: values in the text stay marks there, which no cluster replaces."""
    for channel in channels_in(uri, _IN_URI):
        warnings.warn(
            f"importer: the {channel.described} stands inside of the text of artifact_uri. That works here, and not on "
            "a cluster, to which KFP's compiled form brings a value only where it is the whole URI. Make the URI in a "
            "component and pass its output.",
            stacklevel=3,
        )
        mark = f"{{{{channel:task={channel.task_name or ''};name={channel.name};type={_type_in_mark(channel)};}}}}"
        uri = uri.replace(str(channel), mark)
    return uri


def _type_in_mark(channel: PipelineChannel) -> str:
    written = channel.written if isinstance(channel, LoopItem) else ""
    return written or SDK_NAMES.get(channel.channel_type, "")
