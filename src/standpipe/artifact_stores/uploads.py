"""Uploads of files and folders, in parallel, and as a whole or not: an object appears when all of it has arrived."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from standpipe.artifact_stores.buckets import UPLOAD_PART, RemoteObject
from standpipe.artifact_stores.clients import Clients
from standpipe.artifact_stores.objects import FOLDER_NOTES, list_objects
from standpipe.artifact_stores.parallel import call_in_thread, run_in_threads
from standpipe.artifact_stores.progress import Progress
from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.support.paths import is_within
from standpipe.support.untrusted_files import open_below


class _Folder(NamedTuple):
    """What is in a folder, by paths below it: files, folders without content, and links with their targets."""

    files: list[str]
    empty: list[str]
    links: dict[str, str]


def upload(clients: Clients, source: Path, uri: str, root: Path, cancel: Cancellation, progress: Progress) -> None:
    """Upload a file or a folder, in place of what is at its URI.

    An object with the content of its file, as an upload that was interrupted may have left, is not sent again.

    Args:
        clients: the clients of the run.
        source: the file or folder, below `root`.
        uri: where it goes.
        root: the folder below which no link is followed.
        cancel: stops it.
        progress: counts the bytes.

    Raises:
        StorageError: if the store cannot be used, or `cancel` is set.
        OSError: if the payload cannot be read.
    """
    bucket, key = clients.open(uri)
    is_folder = source.is_dir() and not source.is_symlink()
    folder = _list_folder(source) if is_folder else _Folder([], [], {})
    present = {each.name: each for each in call_in_thread(lambda: list_objects(bucket, key), cancel)}
    stale = [name for name in present if name not in folder.files]
    if stale:
        call_in_thread(lambda: _delete(clients, uri, stale), cancel)
    if not is_folder:
        run_in_threads([lambda: _upload_file(clients, source, uri, root, cancel, progress)], cancel)
        return
    steps: list[Callable[[], None]] = [
        partial(_upload_file, clients, source / name, f"{uri}/{name}", root, cancel, progress, present.get(name))
        for name in folder.files
    ]
    run_in_threads([*steps, lambda: _put_notes(clients, uri, folder)], cancel)


def _list_folder(top: Path) -> _Folder:
    files, empty, links = list[str](), list[str](), dict[str, str]()
    for path, folders, names in os.walk(top):
        below = os.path.relpath(path, top)
        prefix = "" if below == "." else f"{below}/"
        for name in (*folders, *names):
            full = os.path.join(path, name)
            if os.path.islink(full):
                if not is_within(os.path.realpath(full), os.path.realpath(top)):
                    raise StorageError(
                        f"Cannot upload {top}: its link {prefix}{name} leads out of it, which object stores cannot "
                        "keep. Copy the content there."
                    )
                links[prefix + name] = os.readlink(full)
            elif name in names:
                files.append(prefix + name)
        if prefix and not folders and not names:
            empty.append(prefix[:-1])
    return _Folder(sorted(files), sorted(empty), links)


def _upload_file(
    clients: Clients,
    source: Path,
    uri: str,
    root: Path,
    cancel: Cancellation,
    progress: Progress,
    present: RemoteObject | None = None,
) -> None:
    bucket, key = clients.open(uri)
    with os.fdopen(open_below(source, root), "rb") as file:
        if present and _has_content(present, file):
            progress.add(present.size)
            return
        first = file.read(UPLOAD_PART)
        if len(first) < UPLOAD_PART:
            bucket.write(key, first)
            progress.add(len(first))
        else:
            bucket.write_pieces(key, lambda: _pieces(file, cancel, progress))


def _has_content(present: RemoteObject, file: BinaryIO) -> bool:
    """Return whether an object is known to have the content of a file: ETags of single requests are MD5 on S3."""
    if len(present.tag) != 32 or present.size != os.fstat(file.fileno()).st_size:
        return False
    digest = hashlib.md5(usedforsecurity=False)
    while piece := file.read(UPLOAD_PART):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest() == present.tag


def _pieces(file: BinaryIO, cancel: Cancellation, progress: Progress) -> Iterator[bytes]:
    """Yield the content of a file; an error in between ends the upload, of which nothing appears."""
    file.seek(0)
    while piece := file.read(UPLOAD_PART):
        if cancel:
            raise StorageError("The upload was cancelled.")
        yield piece
        progress.add(len(piece))


def _put_notes(clients: Clients, uri: str, folder: _Folder) -> None:
    """Write what objects cannot say of a folder, and remove what an earlier upload has said."""
    if folder.empty or folder.links or not folder.files:
        notes: Mapping[str, object] = {"folders": folder.empty, "links": folder.links}
        bucket, key = clients.open(f"{uri}{FOLDER_NOTES}")
        try:
            content = json.dumps(notes, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise StorageError(
                f"Cannot upload to {uri}: the name of a folder or link in it is not UTF-8. Use another name."
            ) from None
        bucket.write(key, content)
    else:
        _delete_keys(clients, [f"{uri}{FOLDER_NOTES}"])


def delete(clients: Clients, uri: str) -> None:
    """Delete what is at a URI; nothing there is not an error.

    Raises:
        StorageError: if the store cannot be used.
    """
    bucket, key = clients.open(uri)
    _delete(clients, uri, [each.name for each in list_objects(bucket, key)])
    _delete_keys(clients, [uri, f"{uri}{FOLDER_NOTES}"])


def _delete(clients: Clients, uri: str, names: list[str]) -> None:
    _delete_keys(clients, [f"{uri}/{name}" for name in names])


def _delete_keys(clients: Clients, uris: list[str]) -> None:
    if uris:
        bucket, _ = clients.open(uris[0])
        bucket.delete([clients.open(uri)[1] for uri in uris])
