"""Importers: tasks without a process, whose artifact already exists at a URI.

The rules are those of the KFP backend (`backend/src/v2/component/importer_launcher.go`). In addition, the URI may be a
path of this machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from standpipe.errors import StandpipeError, StorageError
from standpipe.execution.checksums import ChecksumFunction
from standpipe.execution.host_paths import HostPaths
from standpipe.execution.rendering import Renderer
from standpipe.model.cancellation import Cancellation
from standpipe.model.layout import DOWNLOADS_FOLDER
from standpipe.model.locations import is_remote, redact_uri, split_scheme
from standpipe.model.plan import FromInput, Importer
from standpipe.model.ports import ArtifactStore
from standpipe.model.templates import InputParameter, Template, parse_text
from standpipe.model.types import Json
from standpipe.model.values import ArtifactValue, Checksum, Value
from standpipe.support.notices import warn
from standpipe.worker.artifacts import local_path

#: The input of the KFP SDK's importers that has the URI, also where the compiled importer has it as a constant.
_URI_INPUT = "uri"


class ImportFailed(StandpipeError):
    """An importer cannot get what its URI names; the message says why."""


def uri_input(importer: Importer) -> str:
    """Return the name of the input that has the URI, if that is not a constant."""
    return importer.uri.input if isinstance(importer.uri, FromInput) else _URI_INPUT


def import_artifact(
    importer: Importer,
    inputs: Mapping[str, Value],
    renderer: Renderer,
    store: ArtifactStore,
    workspace: Path | None,
    cancel: Cancellation,
    host_paths: HostPaths | None = None,
) -> ArtifactValue:
    """Return the artifact of an importer, without a name, and download it into the workspace if the importer says so.

    Args:
        importer: the importer.
        inputs: the values of the task's inputs.
        renderer: replaces placeholders for the task.
        store: copies payloads that it can read.
        workspace: the folder that the run's tasks share, on this machine.
        cancel: stops a download.
        host_paths: the paths of this machine that it may import; None if it may import all.

    Raises:
        ImportFailed: if the URI is empty or one that tasks may not see, or a download is not possible.
    """
    uri = resolve_uri(importer, inputs)
    if host_paths and not host_paths.may_import(uri):
        raise ImportFailed(
            f"it cannot import {uri}, a path of this machine that a task has made: containers see no others but those "
            "of their run, and those that the caller passes in. Pass the artifact itself from task to task, or the "
            "path to the pipeline as an argument"
        )
    metadata = _render_metadata(importer.metadata, inputs, renderer)
    copy = _download(uri, store, workspace, cancel, host_paths) if importer.download_to_workspace else ""
    return ArtifactValue("", importer.type, uri, metadata, custom_path=copy)


def import_remote(artifact: ArtifactValue, store: ArtifactStore, compute: ChecksumFunction) -> Checksum | None:
    """Return the checksum of a payload that is not on this machine, which is downloaded if that is not known.

    Without a client for its URI, the user gets a notice, and the payload has no checksum: its URI may be all that tasks
    need. `https` URIs of the types of Google Cloud are names of resources.

    Args:
        artifact: the artifact.
        store: has the payload.
        compute: computes its checksum.

    Raises:
        ImportFailed: if nothing is at the URI, or it cannot be read.
    """
    uri, scheme = artifact.uri, split_scheme(artifact.uri)[0]
    if scheme in ("http", "https") and not artifact.type.schema_title.startswith("system."):
        return None
    if problem := store.find_problem(uri):
        warn(f"Cannot import {redact_uri(uri)}: {problem}. Tasks that only use its URI run; others will fail.")
        return None
    try:
        checksum = compute(artifact.location, "")
    except (OSError, StorageError) as error:
        raise ImportFailed(f"it cannot import {redact_uri(uri)}: {error}") from error
    if checksum is None:
        raise ImportFailed(f"it cannot import {redact_uri(uri)}: nothing is there")
    return checksum


def resolve_uri(importer: Importer, inputs: Mapping[str, Value]) -> str:
    """Return the URI; that of a file on this machine is its absolute path. Other text is returned as it is."""
    # The input wins even over a constant: only there the values and placeholders in the text are replaced.
    name = uri_input(importer)
    constant = "" if isinstance(importer.uri, FromInput) else importer.uri
    uri = str(inputs.get(name) or constant)
    if not uri:
        raise ImportFailed(f"it has nothing to import: the URI in its input {name!r} is empty")
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ImportFailed(f"it cannot import {uri!r}, which is not a valid URI: {error}") from error
    if is_remote(uri) and parts.scheme != "file":
        return uri
    path = os.path.abspath(unquote(parts.path) if parts.scheme == "file" else uri)
    if os.path.exists(path):
        return path
    problem = f"it cannot import {uri!r}, as there is nothing at {path}"
    if importer.download_to_workspace:
        raise ImportFailed(f"{problem}: pass a file or folder of this machine, or a URI such as gs://bucket/object")
    # As in the SDK's local runner (2.17.3, importer_handler.py): the text may be the name of something else.
    warn(f"An importer got {uri!r}, and there is nothing at {path}. Tasks that only use its URI run; others will fail.")
    return uri


def _render_metadata(value: Json, inputs: Mapping[str, Value], renderer: Renderer) -> Json:
    """Return metadata with its placeholders replaced. A value that is nothing but an input keeps that input's type."""
    if isinstance(value, Template):
        first, *rest = value.parts
        if isinstance(first, InputParameter) and not rest:
            return inputs.get(first.name)
        return renderer.render(value)
    if isinstance(value, list):
        return [_render_metadata(item, inputs, renderer) for item in value]
    if isinstance(value, Mapping):
        # The keys of a Plan's JSON are text, so that placeholders in them are parsed only now.
        return {
            renderer.render(parse_text(key)): _render_metadata(item, inputs, renderer) for key, item in value.items()
        }
    return value


def _download(
    uri: str, store: ArtifactStore, workspace: Path | None, cancel: Cancellation, host_paths: HostPaths | None
) -> str:
    """Copy a payload into the workspace, to the path that the backend uses, and return the path of the copy."""
    if workspace is None:
        raise ImportFailed(
            "it downloads into the workspace, and this run has none. Give the pipeline one with "
            "@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size='1Gi'))), or name a "
            "folder: local.init(..., workspace_root=...)"
        )
    scheme, rest = split_scheme(uri)
    below = Path((f"{scheme}/{rest}" if scheme else local_path(uri)).lstrip("/"))
    if ".." in below.parts:
        raise ImportFailed(f"it cannot download {uri!r}: a path with `..` in it would lead out of the workspace")
    target = workspace / DOWNLOADS_FOLDER / below
    if scheme and (problem := store.find_problem(uri)):
        raise ImportFailed(
            f"it cannot download {redact_uri(uri)!r} into the workspace: {problem}. Or download it once to this "
            "machine and import that path, or import it without download_to_workspace"
        )
    if not scheme and workspace.is_relative_to(uri):
        raise ImportFailed(f"it cannot copy {uri} into the workspace {workspace}, which is inside of it")
    try:
        store.fetch(uri, target, workspace, cancel, host_paths.may_copy if host_paths else None)
    except (OSError, StorageError) as error:
        verb = "download" if scheme else "copy"
        raise ImportFailed(f"it cannot {verb} {redact_uri(uri)} to {target}: {error}") from error
    return str(target)
