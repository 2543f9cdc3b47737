"""An attempt on a node, which is a machine with a pipeline root of its own, at the path that it has on the program's.

The node has the paths that the request names: the folder of the attempt, and its inputs. They are made before the
attempt, and only the payloads in the cache stay for the next ones.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from standpipe.artifact_stores.payload_cache import PayloadCache
from standpipe.artifact_stores.providers import FindProviders, Providers
from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.errors import StorageError, UnsupportedError
from standpipe.model.attempts import TaskRequest, Transfers
from standpipe.model.cancellation import Cancellation
from standpipe.model.json_values import InvalidJson, parse_json
from standpipe.model.layout import StateLayout
from standpipe.model.locations import is_remote
from standpipe.model.types import Json
from standpipe.model.values import Checksum
from standpipe.support.umask import restrict_umask
from standpipe.support.untrusted_files import UntrustedFileError, open_parent, read_file, remove_path

#: How often a folder is made again that other attempts remove meanwhile.
_MOST_TRIES = 100


def find_local_inputs(request: TaskRequest) -> dict[str, str]:
    """Return the input artifacts that are on the program's machine only, by the names of the inputs, with their paths.

    Without a disk that it shares with the node, the task cannot read them.
    """
    paths = {each.location for each in _transfers(request).inputs if each.custom_path or not is_remote(each.uri)}
    listed = ((name, each.get("customPath") or each["uri"]) for name, each in _list_inputs(request))
    return {name: path for name, path in listed if path in paths}


def refuse_local_inputs(request: TaskRequest, inputs: Mapping[str, str], node: str, advice: str) -> UnsupportedError:
    """Return the error for input artifacts that a node does not see.

    Args:
        request: the attempt.
        inputs: their names, with their paths.
        node: what to call the node.
        advice: what the user can do, besides, as a sentence.
    """
    listed = ", ".join(f"{name!r} ({path})" for name, path in inputs.items())
    return UnsupportedError(
        f"The task {str(request.task)!r} reads input artifacts that are files of the program's machine: {listed}. "
        f"{node} does not see them. Put them into the object store, and import their URIs. {advice}".rstrip()
    )


def make_folder(request: TaskRequest) -> bool:
    """Make the folder of an attempt on this node; return False if it is there, on a disk that is shared.

    Raises:
        StorageError: if it cannot be made, or a task has put a link on the way to it.
    """
    try:
        with restrict_umask(request.umask):
            return _make_folder(request, _MOST_TRIES)
    except UntrustedFileError:
        raise
    except OSError as error:
        closed = find_closed_folder(request.pipeline_root) if isinstance(error, PermissionError) else ""
        reason = f"user {os.geteuid()} cannot enter {closed}" if closed else f"{error.filename}: {error.strerror}"
        raise StorageError(
            f"The folder of the task {str(request.task)!r} cannot be made on its node: {reason}. Set state_root, which "
            f"is {request.pipeline_root}, to a folder that tasks can make and enter there, such as one below /tmp: "
            "local.init(state_root=...), or --state-root."
        ) from error


def find_closed_folder(path: Path) -> str:
    """Return the topmost folder above a path that this process may not enter; empty if there is none."""
    return next((str(each) for each in reversed(path.parents) if each.is_dir() and not os.access(each, os.X_OK)), "")


def _make_folder(request: TaskRequest, tries: int) -> bool:
    try:
        with open_parent(request.folder, request.pipeline_root, create=True) as (parent, name):
            os.mkdir(name, dir_fd=parent)
    except FileExistsError as error:
        if error.filename != request.folder.name:
            raise  # the pipeline root cannot be made
        return False
    except FileNotFoundError:  # another attempt has removed its folder, and those above it as empty
        if tries == 1:
            raise
        return _make_folder(request, tries - 1)
    return True


def remove_folder(request: TaskRequest) -> None:
    """Remove the folder of an attempt from this node, and the folders above it that are empty then."""
    remove_path(request.folder, request.pipeline_root)
    with suppress(OSError):  # the first one that holds something else
        for folder in request.folder.parents:
            if folder == request.pipeline_root:
                break
            folder.rmdir()


@contextmanager
def provided(
    request: TaskRequest,
    cancel: Cancellation,
    limit: int | None = None,
    find_providers: FindProviders = Providers,
) -> Iterator[RemoteArtifactStore]:
    """Have the input artifacts of an attempt at the paths that its executor input names, during a block.

    Args:
        request: the attempt, with transfers.
        cancel: ends the downloads.
        limit: the most bytes of payloads on this node; by default that of the request.
        find_providers: returns where credentials are that the environment does not have.

    Yields:
        The artifact store, from which `store_outputs` uploads.

    Raises:
        StorageError: if an input cannot be downloaded.
        OSError: if it is missing, or this node cannot write it.
    """
    transfers = _transfers(request)
    limit = transfers.cache_size if limit is None else limit
    store = RemoteArtifactStore(request.pipeline_root, transfers.root, limit, find_providers)
    with store.provide(transfers.inputs, cancel), ExitStack() as held:
        for uri, path in _list_missing(request):
            # The store has no version of it, or another one by now: the node's own cache calls it something else.
            download = partial(_fetch, store, uri, request.pipeline_root, cancel)
            held.enter_context(PayloadCache(request.pipeline_root, limit).holding(path.parent.name, download, cancel))
        yield store


def store_outputs(store: RemoteArtifactStore, request: TaskRequest, cancel: Cancellation) -> dict[str, Checksum]:
    """Upload the output artifacts that an attempt has left; return their checksums by their URIs.

    Raises:
        StorageError: if an output cannot be uploaded, or is not a file or folder.
        OSError: if it cannot be read.
    """
    inputs = {artifact.uri for artifact in _transfers(request).inputs}
    stored = {}
    for uri, path in _list_outputs(request).items():
        if not store.owns(uri) or uri in inputs:
            continue
        target = store.local_path(uri)
        if path and path != target and os.path.exists(path) and not os.path.lexists(target):
            shutil.move(path, target)  # as on a cluster, the payload of a path goes to the URI
        if os.path.lexists(target) and (checksum := store.put(uri, cancel)) is not None:
            stored[uri] = checksum
    return stored


def _transfers(request: TaskRequest) -> Transfers:
    assert request.transfers is not None, "its artifacts are in an object store"
    return request.transfers


def _is_in_cache(path: str, request: TaskRequest) -> bool:
    return path.startswith(f"{StateLayout(request.pipeline_root).payloads}{os.sep}")


def _list_inputs(request: TaskRequest) -> Iterator[tuple[str, Mapping[str, Json]]]:
    return _list_artifacts(request.executor_input["inputs"]["artifacts"])


def _list_missing(request: TaskRequest) -> Iterator[tuple[str, Path]]:
    """Yield the URI and the path of each input in the cache that is not at its path."""
    for _, artifact in _list_inputs(request):
        path = artifact.get("customPath", "")
        if is_remote(artifact["uri"]) and _is_in_cache(path, request) and not os.path.lexists(path):
            yield artifact["uri"], Path(path)


def _fetch(store: RemoteArtifactStore, uri: str, root: Path, cancel: Cancellation, target: Path) -> None:
    store.fetch(uri, target, root, cancel)


def _list_outputs(request: TaskRequest) -> dict[str, str]:
    """Return the URIs of the output artifacts, as declared or as the task has named them, with their paths."""
    declared = dict(_list_artifacts(request.executor_input["outputs"]["artifacts"]))
    outputs = {artifact["uri"]: artifact.get("customPath", "") for artifact in declared.values()}
    written = _read_executor_output(request).get("artifacts")
    for name, artifact in _list_artifacts(written if isinstance(written, dict) else {}):
        if name in declared:
            uri = artifact.get("uri") or declared[name]["uri"]
            path = artifact.get("custom_path") or artifact.get("customPath") or ""
            if isinstance(uri, str) and isinstance(path, str):
                outputs[uri] = path
    return outputs


def _read_executor_output(request: TaskRequest) -> Mapping[str, Json]:
    """Return what the task has written; empty if it is not what it must be, of which the program tells."""
    try:
        content = parse_json(read_file(request.executor_input["outputs"]["outputFile"], request.pipeline_root))
    except (OSError, InvalidJson, UntrustedFileError):
        return {}
    return content if isinstance(content, dict) else {}


def _list_artifacts(lists: Mapping[str, Json]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """Yield the artifacts in lists such as those of an executor input, each with its name."""
    for name, value in lists.items():
        artifacts = value.get("artifacts") if isinstance(value, dict) else None
        for artifact in artifacts if isinstance(artifacts, list) else ():
            if isinstance(artifact, dict):
                yield name, artifact
