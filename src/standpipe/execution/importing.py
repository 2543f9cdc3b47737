"""Importers: tasks without a process, whose artifact is what lies at a URI already.

The rules are those of the KFP backend (`backend/src/v2/component/importer_launcher.go`), which has no files of this
machine to import; here they are what users have.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from standpipe.errors import StandpipeError
from standpipe.execution.rendering import Rendering
from standpipe.model.plan import FromInput, Importer
from standpipe.model.ports import Cancel
from standpipe.model.templates import InputParameter, Template, parse_text
from standpipe.model.types import Json
from standpipe.model.values import ArtifactValue, Value
from standpipe.support.paths import check_within
from standpipe.worker.artifacts import local_path

#: The input of the KFP SDK's importers that holds the URI, also where the compiled importer has it as a constant.
_URI_INPUT = "uri"

#: Where the backend puts what it downloads, below the workspace.
_DOWNLOADS = ".artifacts"

_PIECE = 1024 * 1024
_PATIENCE = 60.0


class ImportFailed(StandpipeError):
    """What an importer names cannot be had; the message says why."""


def imported(
    importer: Importer,
    inputs: Mapping[str, Value],
    rendering: Rendering,
    workspace: Path | None,
    cancel: Cancel,
) -> ArtifactValue:
    """The artifact that an importer gives.

    Args:
        importer: what to import.
        inputs: the values of the task's inputs.
        rendering: replaces placeholders for the task.
        workspace: the folder that the run's tasks share, on this machine.
        cancel: stops a download.

    Raises:
        ImportFailed: if the URI is empty, a file of this machine is missing, or a download is not possible.
    """
    uri = _uri(importer, inputs)
    metadata = _rendered(importer.metadata, inputs, rendering)
    copy = _downloaded(uri, workspace, cancel) if importer.download_to_workspace else ""
    return ArtifactValue(os.path.basename(uri.rstrip("/")), importer.type, uri, metadata, custom_path=copy)


def _uri(importer: Importer, inputs: Mapping[str, Value]) -> str:
    """The URI; that of a file on this machine is its absolute path."""
    # The input comes first even before a constant: only there the values and placeholders in the text are replaced.
    name = importer.uri.input if isinstance(importer.uri, FromInput) else _URI_INPUT
    constant = "" if isinstance(importer.uri, FromInput) else importer.uri
    uri = str(inputs.get(name) or constant)
    if not uri:
        raise ImportFailed(f"it has nothing to import: the URI in its input {name!r} is empty")
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ImportFailed(f"it imports {uri!r}, which is no address: {error}") from error
    if "://" in uri and parts.scheme != "file":
        return uri
    path = os.path.abspath(unquote(parts.path) if parts.scheme == "file" else uri)
    if not os.path.exists(path):
        raise ImportFailed(
            f"it imports {uri!r}, and there is nothing at {path}: name a file or folder of this machine, or an address "
            "such as gs://bucket/object"
        )
    return path


def _rendered(value: Json, inputs: Mapping[str, Value], rendering: Rendering) -> Json:
    """Metadata with its placeholders replaced. What is nothing but an input keeps that input's type."""
    if isinstance(value, Template):
        first, *rest = value.parts
        if isinstance(first, InputParameter) and not rest:
            return inputs.get(first.name)
        return rendering.text(value)
    if isinstance(value, list):
        return [_rendered(item, inputs, rendering) for item in value]
    if isinstance(value, Mapping):
        # The keys of a Plan's JSON are text, so that placeholders in them are parsed only now.
        return {rendering.text(parse_text(key)): _rendered(item, inputs, rendering) for key, item in value.items()}
    return value


def _downloaded(uri: str, workspace: Path | None, cancel: Cancel) -> str:
    """Copies what is at a URI into the workspace, to where the backend puts it, and returns the path of the copy."""
    if workspace is None:
        raise ImportFailed(
            "it downloads into the workspace, and this run has none. Give the pipeline one with "
            "@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size='1Gi'))), or name a "
            "folder: local.init(..., workspace_root=...)"
        )
    scheme, _, rest = uri.rpartition("://")
    place = Path((f"{scheme}/{rest}" if scheme else local_path(uri)).lstrip("/"))
    if ".." in place.parts:
        raise ImportFailed(f"it downloads {uri!r}, and a path with `..` in it would lead out of the workspace")
    target = workspace / _DOWNLOADS / place
    if scheme in ("http", "https"):
        _fetch(uri, target, workspace, cancel)
    elif scheme:
        raise ImportFailed(
            f"it cannot download {uri!r} into the workspace, because Standpipe has no client for {scheme}://. Download "
            "it once to this machine and import that path, or import it without download_to_workspace"
        )
    elif workspace.is_relative_to(uri):
        raise ImportFailed(f"it cannot copy {uri} into the workspace {workspace}, which lies in it")
    else:
        try:
            _copy(Path(uri), target, workspace)
        except OSError as error:
            raise ImportFailed(f"it cannot copy {uri} to {target}: {error}") from error
    return str(target)


def _copy(source: Path, target: Path, workspace: Path) -> None:
    """Copies a file or folder over what is there. Each file appears whole: other tasks may be reading it."""
    if not source.is_dir():
        _copy_file(source, target, workspace)
        return
    for folder, _, files in os.walk(source, onerror=_raise, followlinks=True):
        place = target / os.path.relpath(folder, source)
        check_within(place, workspace)
        place.mkdir(parents=True, exist_ok=True)
        for name in files:
            _copy_file(Path(folder, name), place / name, workspace)


def _copy_file(source: Path, target: Path, workspace: Path) -> None:
    mode = source.stat().st_mode
    _write_whole(target, workspace, mode, lambda path: shutil.copy2(source, path))


def _raise(error: OSError) -> NoReturn:
    raise error


def _fetch(uri: str, target: Path, workspace: Path, cancel: Cancel) -> None:
    from http.client import HTTPException  # costs 30 ms with the next one, and few importers download
    from urllib.request import urlopen

    def fetch(path: str) -> None:
        with urlopen(uri, timeout=_PATIENCE) as answer, open(path, "wb") as file:  # noqa: S310  http and https only
            while piece := answer.read(_PIECE):
                if cancel:
                    raise ImportFailed("it was stopped while it downloaded")
                file.write(piece)

    try:
        _write_whole(target, workspace, 0o666, fetch)
    except (OSError, ValueError, HTTPException) as error:
        raise ImportFailed(f"it cannot download {uri!r} to {target}: {error}") from error


def _write_whole(target: Path, workspace: Path, mode: int, write: Callable[[str], object]) -> None:
    """Lets `write` fill a file, which then takes the place of `target` in one step.

    It has the permissions `mode`, as far as the user's umask lets it: a temporary file would be its owner's alone, and
    the users of containers may be others.
    """
    check_within(target.parent, workspace)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".partial-{uuid.uuid4().hex}"
    handle = os.open(partial, os.O_CREAT | os.O_EXCL, 0o777)
    try:
        allowed = stat.S_IMODE(os.fstat(handle).st_mode)
        write(str(partial))
        partial.chmod(mode & allowed)
        partial.replace(target)
    except BaseException:
        partial.unlink()
        raise
    finally:
        os.close(handle)
