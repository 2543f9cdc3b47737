"""What object stores have at a URI: a file, which is one object, or a folder, which is the objects below it.

What objects cannot say of a folder, its empty folders and its links, is in one more object beside it, whose name ends
in `FOLDER_NOTES`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from standpipe.artifact_stores.buckets import Bucket, RemoteObject
from standpipe.artifact_stores.clients import Clients
from standpipe.errors import StorageError

#: The ending of the object with the empty folders and the links of a folder.
FOLDER_NOTES = ".standpipe-folder.json"


class RemoteState(NamedTuple):
    """What an object store says of a payload, without reading it.

    Attributes:
        signature: what tells it from another one; empty if the store has no ETags.
        size: its bytes.
        tag: the ETag of a file.
        objects: for a folder, the objects below it; None for a file.
    """

    signature: str
    size: int
    tag: str = ""
    objects: tuple[RemoteObject, ...] | None = None


def read_state(clients: Clients, uri: str) -> RemoteState | None:
    """Return what is at a URI; None if there is nothing.

    Raises:
        StorageError: if the store cannot be used, or the URI names a whole bucket.
    """
    bucket, key = clients.open(uri)
    if not key:
        raise StorageError(f"Cannot use {uri}: it names a whole bucket. Expected the key of an object or of a folder.")
    of_file = None
    with suppress(FileNotFoundError):
        found = bucket.head(key)
        of_file = _describe_file(found.size, found.tag)
    if of_file and of_file.size:
        return of_file
    objects = list_objects(bucket, key)
    # An empty object where others are below is the marker of a folder; obstore lists `dir/` as `dir`.
    if objects or of_file:
        return _describe_folder(objects) if objects else of_file
    with suppress(FileNotFoundError):
        notes = bucket.head(f"{key}{FOLDER_NOTES}")
        return RemoteState(f"notes-{notes.tag}" if notes.tag else "", 0, "", ())
    return None


def list_objects(bucket: Bucket, key: str) -> tuple[RemoteObject, ...]:
    """Return the objects below the folder of a key, without the markers of folders, sorted by name.

    Raises:
        StorageError: if the store cannot be used.
    """
    listed = [each for each in bucket.find(key) if each.name != key]
    folders = {folder for each in listed for folder in _folders_of(each.name)}
    return tuple(
        sorted(
            each._replace(name=each.name[len(key) + 1 :]) for each in listed if each.size or each.name not in folders
        )
    )


def _folders_of(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _describe_file(size: int, tag: str) -> RemoteState:
    return RemoteState(f"object-{tag}-{size}" if tag else "", size, tag)


def _describe_folder(objects: tuple[RemoteObject, ...]) -> RemoteState:
    digest = hashlib.sha256(json.dumps(objects).encode()).hexdigest()
    signature = f"objects-{digest[:32]}" if all(each.tag for each in objects) else ""
    return RemoteState(signature, sum(each.size for each in objects), "", objects)
