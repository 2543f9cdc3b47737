"""Importers: tasks without a process, whose artifact already exists at a URI.

The rules are those of the KFP backend (`backend/src/v2/component/importer_launcher.go`). In addition, the URI may be a
path of this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from standpipe.errors import StandpipeError
from standpipe.execution.host_paths import HostPaths
from standpipe.execution.rendering import Renderer
from standpipe.model.cancellation import Cancellation
from standpipe.model.layout import DOWNLOADS_FOLDER
from standpipe.model.locations import is_remote, split_scheme
from standpipe.model.plan import FromInput, Importer
from standpipe.model.ports import ArtifactStore
from standpipe.model.redacted import REDACTED
from standpipe.model.templates import InputParameter, Template, parse_text
from standpipe.model.types import Json
from standpipe.model.values import ArtifactValue, Value
from standpipe.support.notices import warn
from standpipe.support.untrusted_files import write_atomically
from standpipe.support.waiting import iterate_in_thread
from standpipe.worker.artifacts import local_path

#: The input of the KFP SDK's importers that has the URI, also where the compiled importer has it as a constant.
_URI_INPUT = "uri"

#: The most bytes of a download that are written at once.
_CHUNK = 1024 * 1024

#: Seconds without a byte after which a download fails.
_TIMEOUT = 60.0


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
    uri = _resolve_uri(importer, inputs)
    if host_paths and not host_paths.may_import(uri):
        raise ImportFailed(
            f"it cannot import {uri}, a path of this machine that a task has made: containers see no others but those "
            "of their run, and those that the caller passes in. Pass the artifact itself from task to task, or the "
            "path to the pipeline as an argument"
        )
    metadata = _render_metadata(importer.metadata, inputs, renderer)
    copy = _download(uri, store, workspace, cancel, host_paths) if importer.download_to_workspace else ""
    return ArtifactValue("", importer.type, uri, metadata, custom_path=copy)


def _resolve_uri(importer: Importer, inputs: Mapping[str, Value]) -> str:
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
    if scheme in ("http", "https"):
        _download_url(uri, target, workspace, cancel)
    elif scheme:
        raise ImportFailed(
            f"it cannot download {uri!r} into the workspace, because Standpipe has no client for {scheme}://. Download "
            "it once to this machine and import that path, or import it without download_to_workspace"
        )
    elif workspace.is_relative_to(uri):
        raise ImportFailed(f"it cannot copy {uri} into the workspace {workspace}, which is inside of it")
    else:
        try:
            store.fetch(uri, target, workspace, cancel, host_paths.may_copy if host_paths else None)
        except OSError as error:
            raise ImportFailed(f"it cannot copy {uri} to {target}: {error}") from error
    return str(target)


def _download_url(uri: str, target: Path, workspace: Path, cancel: Cancellation) -> None:
    if login := urlsplit(uri).netloc.rpartition("@")[0]:
        # `urlopen` would take them for a part of the host's name, and ask the name servers for it.
        raise ImportFailed(
            f"it cannot download {uri.replace(login, REDACTED, 1)!r}, because it sends no user and no password. "
            "Download it once to this machine and import that path, or import it without download_to_workspace"
        )
    from http.client import HTTPException  # costs 30 ms with the next two, and few importers download
    from urllib.error import HTTPError
    from urllib.request import urlopen

    def receive() -> Iterator[bytes]:
        with urlopen(uri, timeout=_TIMEOUT) as response:  # noqa: S310  http and https only
            while chunk := response.read1(_CHUNK):
                yield chunk
            if response.length:
                raise HTTPException(f"the connection was closed {response.length} bytes before the end")

    def download(file: BinaryIO) -> None:
        # In another thread: neither the look-up of a name, nor a server that says nothing, could be interrupted.
        for chunk in iterate_in_thread(receive, cancel):
            file.write(chunk)
        if cancel:
            raise ImportFailed("it was cancelled during its download")

    try:
        write_atomically(target, workspace, 0o600, download)
    except (OSError, ValueError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection; Python 3.14 warns where nobody closes it
        raise ImportFailed(f"it cannot download {uri!r} to {target}: {error}") from error
