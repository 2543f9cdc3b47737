"""Downloads of files and folders, in parallel; each file appears whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from standpipe.artifact_stores.buckets import RemoteObject, overwritten
from standpipe.artifact_stores.clients import Clients
from standpipe.artifact_stores.objects import FOLDER_NOTES, RemoteState
from standpipe.artifact_stores.parallel import PARTS, run_in_threads
from standpipe.artifact_stores.progress import Progress
from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.json_values import InvalidJson, parse_json
from standpipe.support.untrusted_files import UntrustedFileError, ensure_folder, resolve_within, write_atomically

#: The bytes of a part of a large file; parts are downloaded at the same time.
_PART = 16 * 1024 * 1024


class _Source(NamedTuple):
    """What downloads read with: the clients, what stops them, and what counts their bytes."""

    clients: Clients
    cancel: Cancellation
    progress: Progress

    def read(self, uri: str, file: RemoteObject, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the content of an object, or a part of it."""
        bucket, key = self.clients.open(uri)
        for piece in bucket.read(key, file.tag, start, end):
            if self.cancel:
                raise StorageError(f"The download of {uri} was cancelled.")
            yield piece
            self.progress.add(len(piece))


def download(
    clients: Clients,
    uri: str,
    state: RemoteState,
    target: Path,
    root: Path,
    cancel: Cancellation,
    progress: Progress,
) -> None:
    """Download a file or a folder to a path.

    Args:
        clients: the clients of the run.
        uri: where it is.
        state: what `read_state` has said of it.
        target: a path below `root`; the folders above it are made.
        root: the folder that no link may lead out of.
        cancel: stops it.
        progress: counts the bytes.

    Raises:
        StorageError: if the store cannot be used, the payload is not what `state` says any more or cannot be written,
            or `cancel` is set.
        FileNotFoundError: if the payload is missing.
    """
    uri, source = uri.rstrip("/"), _Source(clients, cancel, progress)
    try:
        if state.objects is None:
            _download_file(source, uri, RemoteObject("", state.size, state.tag), target, root)
        else:
            _download_folder(source, uri, state.objects, target, root)
    except UntrustedFileError as error:
        raise StorageError(f"Cannot download {uri} to {target}: {error}") from error
    except OSError as error:
        if error.errno is None:
            raise  # it is not one of this machine
        where = error.filename or target
        raise StorageError(f"Cannot download {uri} to {where}: {error.strerror}.") from error


def _download_folder(source: _Source, uri: str, objects: tuple[RemoteObject, ...], target: Path, root: Path) -> None:
    ensure_folder(*resolve_within(target, root))
    for each in objects:
        if any(step in ("", ".", "..") for step in each.name.split("/")):
            raise StorageError(f"Cannot download {uri}: its object {each.name!r} cannot be a file in a folder.")
    small = [each for each in objects if each.size <= _PART]
    steps: list[Callable[[], None]] = [
        partial(_save, source, f"{uri}/{each.name}", each, target / each.name, root) for each in small
    ]
    run_in_threads([*steps, lambda: _add_notes(source.clients, uri, target, root)], source.cancel)
    for each in objects:
        if each.size > _PART:
            _download_file(source, f"{uri}/{each.name}", each, target / each.name, root)


def _download_file(source: _Source, uri: str, file: RemoteObject, target: Path, root: Path) -> None:
    """Download a file, in parts if it is large."""
    if file.size <= _PART:
        run_in_threads([lambda: _save(source, uri, file, target, root)], source.cancel)
        return

    def write(new: BinaryIO) -> None:
        with closing(_Parts(new)) as parts:
            steps = [partial(_save_part, source, uri, file, start, parts) for start in range(0, file.size, _PART)]
            run_in_threads(steps, source.cancel, PARTS)

    write_atomically(target, root, 0o666, write)


def _save(source: _Source, uri: str, file: RemoteObject, target: Path, root: Path) -> None:
    def write(new: BinaryIO) -> None:
        for piece in source.read(uri, file):
            new.write(piece)
        if new.tell() != file.size:
            raise overwritten(uri)

    write_atomically(target, root, 0o666, write)


class _Parts:
    """A file that several threads write. Those that a cancellation has left behind write nothing to it any more."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._is_closed = False

    def write(self, piece: Any, position: int) -> int:
        with self._lock:
            if self._is_closed:
                raise StorageError("The transfer was cancelled.")
            self._file.seek(position)
            return self._file.write(piece)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True


def _save_part(source: _Source, uri: str, file: RemoteObject, start: int, parts: _Parts) -> None:
    end = min(start + _PART, file.size)
    position = start
    for piece in source.read(uri, file, start, end):
        position += parts.write(piece, position)
    if position != end:
        raise overwritten(uri)


def _add_notes(clients: Clients, uri: str, target: Path, root: Path) -> None:
    """Make the empty folders and the links of a folder that is downloaded."""
    bucket, key = clients.open(f"{uri}{FOLDER_NOTES}")
    try:
        content = b"".join(bucket.read(key))
    except FileNotFoundError:
        return
    try:
        notes: Any = parse_json(content, "the object")
        folders, links = list(notes["folders"]), dict(notes["links"])
    except (InvalidJson, LookupError, TypeError, ValueError) as error:
        raise StorageError(f"Cannot download {uri}: {uri}{FOLDER_NOTES} is not of Standpipe: {error}.") from error
    for folder in folders:
        ensure_folder(*resolve_within(target / folder, root))
    for link, leads_to in links.items():
        path, _ = resolve_within(target / link, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.symlink(leads_to, path)
