"""The payloads of artifacts, opened for reading: below the pipeline root only, never through a link that leads out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from standpipe.errors import StandpipeError, StorageError
from standpipe.history import Artifact
from standpipe.model.frozen import field, frozen
from standpipe.support.paths import is_within, real_path
from standpipe.support.untrusted_files import open_below, open_folder

_NO_STEPS = frozenset(("", ".", ".."))


class NoSuchArtifact(StandpipeError):
    """A run has no artifact at an address."""


class PayloadError(StorageError):
    """A payload cannot be shown. The message is one sentence for the page."""


@frozen
class Payload:
    """Where a payload is: a path without links, strictly below a root without links."""

    path: Path
    root: Path


@frozen
class OpenFile:
    """A payload that is a regular file, open for reading.

    `size` (bytes) is that of the moment when it was opened: what is written later belongs to another version. Two are
    equal if their content is the same: the file, its size and its time of change.
    """

    descriptor: int = field(compare=False)
    size: int
    identity: tuple[int, ...] = ()

    def read(self, length: int, offset: int = 0) -> bytes:
        """Return at most so many bytes from an offset; fewer if the file is shorter now.

        Raises:
            OSError: if it cannot be read.
        """
        pieces = []
        length = min(length, self.size - offset)
        while length > 0 and (piece := os.pread(self.descriptor, length, offset)):
            pieces.append(piece)
            length, offset = length - len(piece), offset + len(piece)
        return b"".join(pieces)


def find_payload(artifact: Artifact, root: Path, inner: str = "") -> Payload:
    """Return where the payload of an artifact is, or a file or folder in it.

    Links that tasks have made are followed if they stay below the root, and those in a payload if they stay in it.
    Nothing that is opened later follows a link, so that one that is made meanwhile is an error.

    Args:
        artifact: the artifact.
        root: the pipeline root.
        inner: a path in the payload, which is a folder then, such as `model/weights.bin`; empty for the payload.

    Raises:
        PayloadError: if it is on no path of this machine, outside of the root, or missing.
    """
    location = artifact.path
    if location is None:
        raise PayloadError(f"The payload is at {artifact.location}, and this machine has no copy of it.")
    if not location.is_absolute():
        raise PayloadError("The URI of this artifact is not a path, and its payload cannot be shown.")
    top = os.path.realpath(root)
    path = _real(str(location))
    if path == top or not is_within(path, top):
        raise PayloadError("The payload is outside of the pipeline root, and this page reads nothing there.")
    if inner:
        path = _real_within(path, inner)
    return Payload(Path(path), Path(top))


@contextmanager
def open_file(payload: Payload) -> Iterator[OpenFile]:
    """Open a payload that is a file for the length of a block.

    Raises:
        PayloadError: if it is something else, or cannot be opened.
    """
    file = open_descriptor(payload)
    try:
        yield file
    finally:
        os.close(file.descriptor)


def open_descriptor(payload: Payload) -> OpenFile:
    """Open a payload that is a file; the caller closes its descriptor.

    Raises:
        PayloadError: if it is something else, or cannot be opened.
    """
    try:
        descriptor = open_below(payload.path, payload.root)
    except StorageError as error:
        raise PayloadError(str(error)) from None
    except OSError as error:
        raise _unreadable(error) from None
    status = os.fstat(descriptor)
    return OpenFile(descriptor, status.st_size, (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns))


@contextmanager
def open_tree(payload: Payload) -> Iterator[int]:
    """Open a payload that is a folder for the length of a block; yield its descriptor.

    Raises:
        PayloadError: if it is something else, or cannot be opened.
    """
    try:
        with open_folder(payload.path, payload.root) as descriptor:
            yield descriptor
    except StorageError as error:
        raise PayloadError(str(error)) from None
    except OSError as error:
        raise _unreadable(error) from None


def is_folder(payload: Payload) -> bool:
    """Return whether a payload is a folder.

    Raises:
        PayloadError: if it was removed, or cannot be reached.
    """
    try:
        return stat.S_ISDIR(os.stat(payload.path, follow_symlinks=False).st_mode)
    except OSError as error:
        raise _unreadable(error) from None


def _real_within(path: str, inner: str) -> str:
    if not _NO_STEPS.isdisjoint(inner.split("/")):
        raise PayloadError("The path is invalid: expected the path of a file in this artifact.")
    real = _real(os.path.join(path, inner))
    if not is_within(real, path):
        raise PayloadError("A link leads out of the artifact, and is not followed.")
    return real


def _real(path: str) -> str:
    try:
        return real_path(path)
    except (OSError, ValueError):  # a chain of links without an end, or a path that no file can have
        raise PayloadError("The payload has a path that cannot be opened.") from None


def _unreadable(error: OSError) -> PayloadError:
    if isinstance(error, FileNotFoundError):
        return PayloadError("The payload is no longer there: it was removed after the task ended.")
    return PayloadError(f"The payload cannot be read: {error.strerror}.")
