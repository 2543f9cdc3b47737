"""What the store for URIs needs of a client: the objects of one bucket, or the files of one server, by their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from standpipe.errors import StorageError

#: The bytes of a part of an upload. A file of less is sent at once.
UPLOAD_PART = 8 * 1024 * 1024

#: The most bytes that are read at once.
PIECE = 1024 * 1024


class RemoteObject(NamedTuple):
    """An object: its name, its bytes, and its tag, which tells its versions apart; empty if the store has none."""

    name: str
    size: int
    tag: str


class Bucket(Protocol):
    """The objects of a bucket by their keys, which have no `/` at either end. Any thread may use it.

    All methods raise a `StorageError`, with the URI and what to do, if the store cannot be used.
    """

    def check(self, folder: str) -> None:
        """Check that the bucket can be used below a folder of keys, which may be empty or missing."""

    def head(self, key: str) -> RemoteObject:
        """Return what is known of an object, under its key.

        Raises:
            FileNotFoundError: if there is none.
        """

    def find(self, folder: str) -> Iterable[RemoteObject]:
        """Return the objects below a folder, under their keys; none if nothing is there."""

    def read(self, key: str, tag: str = "", start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the content of an object, or a part of it.

        Args:
            key: the object.
            tag: the tag of the version; empty for any.
            start: the first byte.
            end: the byte behind the last one; None for all.

        Raises:
            FileNotFoundError: if there is none.
            StorageError: also if the object has another tag now.
        """

    def write(self, key: str, content: bytes) -> None:
        """Write an object, which appears as a whole."""

    def write_pieces(self, key: str, make_pieces: Callable[[], Iterator[bytes]]) -> None:
        """Write an object of pieces of `UPLOAD_PART` bytes; if taking one raises an error, no object appears.

        Args:
            key: the object.
            make_pieces: returns the pieces; called again if the object has to be written from its beginning.
        """

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are no error."""


def overwritten(uri: str) -> StorageError:
    """Return the error for a payload that changes while it is read."""
    return StorageError(f"{uri} was overwritten while it was read. Run the task again.")
