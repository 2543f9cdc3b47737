"""Other servers, by the implementations of `fsspec` that the user has installed, such as that of `sftp://`.

These differ in what they promise. So each file is written under another name first, folders are listed one by one, and
nothing counts that hides errors, such as `exists`. Requests of implementations that are not asynchronous go one after
the other: some have one connection, and do not say which calls may be made from two threads.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

from standpipe.artifact_stores.buckets import PIECE, RemoteObject, overwritten
from standpipe.errors import StorageError

T = TypeVar("T")

#: What tells one version of a file from the next, in what implementations say of it.
_TAGS = ("ETag", "etag", "md5Hash", "md5", "checksum", "hash", "version_id")
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")

#: How often a file is begun that the loss of a connection has interrupted.
_ATTEMPTS = 3

#: Seconds to wait before another attempt to connect.
_PAUSES = (0.5, 2.0, 5.0)

#: The ending of a file that is not complete.
_PART = ".standpipe-part"


class _ConnectionLost(StorageError):
    """The connection to a server has ended."""


class FsspecBucket:
    """Implements `buckets.Bucket`. A connection that is lost is made again, and its request repeated.

    Args:
        uri: the URI of the server, or of what the implementation has in its place.

    Raises:
        StorageError: if it cannot be reached.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        with _mapped_errors(uri):
            self._fs = self._connect()
        self._lock: AbstractContextManager[Any] = nullcontext() if self._fs.async_impl else threading.RLock()

    def _connect(self) -> Any:
        file_system, _ = import_module("fsspec.core").url_to_fs(self._uri, skip_instance_cache=True)
        return file_system

    def check(self, folder: str) -> None:
        """Ask for what is at the folder; see `buckets.Bucket`, also for the other methods."""
        self._type_of(folder, self._path(folder))

    def head(self, key: str) -> RemoteObject:
        info = self._info_of(key, self._path(key))
        if info["type"] == "directory":
            raise FileNotFoundError(f"nothing is at {self._uri}/{key}")
        return _describe(key, info)

    def find(self, folder: str) -> Iterator[RemoteObject]:
        path = self._path(folder)
        top = path.strip("/")

        if folder and self._type_of(folder, path) == "file":
            return  # some find a file below itself
        with suppress(FileNotFoundError):
            for each, info in self._call(folder, lambda: self._list(path)).items():
                below = each.strip("/")
                if below.startswith(f"{top}/") and not below.endswith(_PART):
                    yield _describe(f"{folder}{below[len(top) :]}".strip("/"), info)

    def _list(self, path: str) -> Mapping[str, Any]:
        """Return what is known of all files below a path. `find` of `fsspec` leaves out folders that it cannot read."""
        self._fs.invalidate_cache()
        if _has_own_find(self._fs):
            listed: Mapping[str, Any] = self._fs.find(path, detail=True)
            return listed
        found, pending = dict[str, Any](), [path]
        while pending:
            folder = pending.pop()
            for info in self._fs.ls(folder, detail=True):
                name = info["name"]
                if info["type"] != "directory":
                    found[name] = info
                elif name.strip("/") != folder.strip("/"):
                    pending.append(name)
        return found

    def read(self, key: str, tag: str = "", start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self._check_tag(key, tag)
        position, left = start, _ATTEMPTS
        while left:
            left -= 1
            try:
                for piece in self._read(key, position, end):
                    position += len(piece)
                    yield piece
                left = 0
            except _ConnectionLost:
                if not left:
                    raise
        self._check_tag(key, tag)

    def _read(self, key: str, start: int, end: int | None) -> Iterator[bytes]:
        with self._opened(key, self._path(key), "rb") as file:
            if start:
                self._call(key, lambda: file.seek(start), is_repeated=False)
            left = None if end is None else end - start
            while left is None or left > 0:
                size = PIECE if left is None else min(PIECE, left)
                piece: bytes = self._call(key, partial(file.read, size), is_repeated=False)
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece

    def write(self, key: str, content: bytes) -> None:
        self.write_pieces(key, lambda: iter([content]))

    def write_pieces(self, key: str, make_pieces: Callable[[], Iterator[bytes]]) -> None:
        for _ in range(_ATTEMPTS - 1):
            with suppress(_ConnectionLost):
                return self._write(key, make_pieces())
        return self._write(key, make_pieces())

    def _write(self, key: str, pieces: Iterator[bytes]) -> None:
        path = self._path(key)
        part = f"{path}.{uuid.uuid4().hex}{_PART}"
        self._call(key, lambda: self._fs.makedirs(path.rpartition("/")[0], exist_ok=True))
        try:
            with self._opened(key, part, "wb") as file:
                for piece in pieces:
                    self._call(key, partial(file.write, piece), is_repeated=False)
            self._remove(key, path)  # not all replace a file that is there
            self._call(key, lambda: self._fs.mv(part, path), is_repeated=False)
        except BaseException:
            with suppress(StorageError, FileNotFoundError):
                self._remove(key, part)
            raise

    @contextmanager
    def _opened(self, key: str, path: str, mode: str) -> Iterator[Any]:
        """Open a file for the length of a block. What fails to close after an error is not closed."""
        file = self._call(key, lambda: self._fs.open(path, mode))
        try:
            yield file
        except BaseException:
            with suppress(StorageError, FileNotFoundError):
                self._call(key, file.close, is_repeated=False)
            raise
        self._call(key, file.close, is_repeated=False)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._remove(key, self._path(key))
        for folder in sorted({parent for key in keys for parent in _parents(key)}, reverse=True):
            with suppress(FileNotFoundError, StorageError):  # it is not empty, or the server has no folders
                self._call(folder, lambda folder=folder: self._fs.rmdir(self._path(folder)))  # type: ignore[misc]

    def _remove(self, key: str, path: str) -> None:
        """Remove a file if it is there: not all say so by the same error."""
        if self._type_of(key, path):
            self._call(key, lambda: self._fs.rm_file(path))

    def _type_of(self, key: str, path: str) -> str:
        """Return `file` or `directory`; empty if nothing is at a path. `exists` of `fsspec` hides errors."""
        try:
            return str(self._info_of(key, path)["type"])
        except FileNotFoundError:
            return ""

    def _path(self, key: str) -> str:
        path: str = self._fs._strip_protocol(f"{self._uri}/{key}")
        return path

    def _info_of(self, key: str, path: str) -> Mapping[str, Any]:
        def ask() -> Mapping[str, Any]:
            self._fs.invalidate_cache()
            info: Mapping[str, Any] = self._fs.info(path)
            return info

        return self._call(key, ask)

    def _check_tag(self, key: str, tag: str) -> None:
        if tag and self.head(key).tag != tag:
            raise overwritten(f"{self._uri}/{key}")

    def _call(self, key: str, function: Callable[[], T], *, is_repeated: bool = True) -> T:
        """Call a function that sends requests; again after the loss of a connection, unless it is part of more.

        Raises:
            FileNotFoundError: if nothing is at the key.
            _ConnectionLost: if the connection was lost; there is another one then.
            StorageError: if the server cannot be used.
        """
        with self._lock:
            try:
                with _mapped_errors(f"{self._uri}/{key}"):
                    return function()
            except _ConnectionLost:
                self._reconnect()
                if not is_repeated:
                    raise
            with _mapped_errors(f"{self._uri}/{key}"):
                return function()

    def _reconnect(self) -> None:
        for pause in _PAUSES:
            try:
                with _mapped_errors(self._uri):
                    self._fs = self._connect()
                    return
            except StorageError:
                time.sleep(pause)
        with _mapped_errors(self._uri):
            self._fs = self._connect()


def _has_own_find(file_system: Any) -> bool:
    """Return whether an implementation lists all files below a path by itself, as those of object stores do."""
    name, base = ("_find", "AsyncFileSystem") if file_system.async_impl else ("find", "AbstractFileSystem")
    return next(kind.__name__ for kind in type(file_system).__mro__ if name in vars(kind)) != base


def _describe(name: str, info: Mapping[str, Any]) -> RemoteObject:
    return RemoteObject(name, int(info.get("size") or 0), _tag_of(info))


def _tag_of(info: Mapping[str, Any]) -> str:
    """Return what tells one version from the next; empty if nothing does, as times of whole seconds do not."""
    facts = [str(info[name]) for name in _TAGS if info.get(name)]
    facts = facts or [str(changed) for name in _TIMES if (changed := _seconds(info.get(name))) % 1]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:40] if facts else ""


def _seconds(moment: Any) -> float:
    """Return a time, which is a `datetime` in one answer and a number in the next; 0 for anything else."""
    seconds = moment.timestamp() if hasattr(moment, "timestamp") else moment
    return seconds if isinstance(seconds, (int, float)) else 0.0


def _is_loss(error: Exception) -> bool:
    """Return whether an error means that a connection has ended; there is no class for it that all have."""
    is_named = type(error).__name__ in ("SSHException", "error_temp") or "closed" in str(error).lower()
    return is_named or isinstance(error, (EOFError, ConnectionError, TimeoutError))


def _parents(key: str) -> Iterator[str]:
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key


@contextmanager
def _mapped_errors(uri: str) -> Iterator[None]:
    """Raise the errors of an implementation, which may be of any class, as ours."""
    try:
        yield
    except (FileNotFoundError, StorageError):
        raise
    except Exception as error:  # noqa: BLE001  see above
        text = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise (_ConnectionLost if _is_loss(error) else StorageError)(
            f"Cannot use {uri}: {type(error).__name__}: {text}. Check the address of the server and how fsspec is "
            "configured."
        ) from None
