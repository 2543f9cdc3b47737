"""Payloads in folders of this machine: each stays where its task wrote it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.layout import file_name
from standpipe.model.locations import split_scheme
from standpipe.model.values import ArtifactValue, Checksum
from standpipe.support.checksums import compute_checksum, compute_signature
from standpipe.support.paths import is_within, real_path
from standpipe.support.untrusted_files import (
    check_payload,
    ensure_folder,
    open_below,
    remove_path,
    resolve_within,
    write_atomically,
)
from standpipe.worker.artifacts import local_path

#: The bytes that are copied between two looks at `cancel`.
_PIECE = 1024 * 1024


class LocalArtifactStore:
    """Implements `model.ports.ArtifactStore` on the file system.

    Args:
        roots: the folders that runs write to. Payloads below them are the store's own.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(map(str, roots))

    def locate(self, folder: Path, output: str) -> str:
        """Return the path of the output in the attempt's folder; see `model.ports.ArtifactStore`."""
        return str(folder / file_name(output))

    def local_path(self, location: str) -> str:
        """Return the path itself, or the one at which KFP mounts a bucket; see `model.ports.ArtifactStore`."""
        path = local_path(location)
        return path if os.path.isabs(path) else ""

    def owns(self, location: str) -> bool:
        """Return whether a location is below one of the roots; see `model.ports.ArtifactStore`."""
        path = self.local_path(location)
        return self._root_of(path) is not None

    def exists(self, location: str) -> bool:
        """Return whether there is a file, a folder or a link, even one that leads nowhere."""
        path = self.local_path(location)
        return bool(path) and os.path.lexists(path)

    def put(self, location: str, cancel: Cancellation) -> Checksum | None:
        """Return the checksum of a payload below one of the roots; see `model.ports.ArtifactStore`."""
        if not self.owns(location):
            return None
        check_payload(self._readable_path(location))
        return compute_checksum(self.local_path(location), cancel, self._roots)

    def checksum(self, location: str, cancel: Cancellation, algorithm: str = "") -> Checksum | None:
        """Return the checksum of a file or folder; see `model.ports.ArtifactStore`."""
        path = self.local_path(location)
        return compute_checksum(path, cancel, self._roots, algorithm) if path else None

    def signature(self, location: str) -> str:
        """Return sizes and times of change, as one word; see `model.ports.ArtifactStore`."""
        path = self.local_path(location)
        return compute_signature(path, self._roots) if path else ""

    def fetch(
        self,
        location: str,
        target: Path,
        root: Path,
        cancel: Cancellation,
        may_read: Callable[[str], bool] | None = None,
    ) -> None:
        """Copy a file or folder; see `model.ports.ArtifactStore`."""
        if not os.path.isabs(location):
            raise StorageError(f"Cannot copy {location!r}: expected an absolute path of this machine.")
        source = Path(location)
        if self.owns(location) and not self._readable_path(location):
            raise StorageError(f"Cannot copy {location}: it is a link that leads out of the folders of runs.")
        if may_read is None and self.owns(location):
            # A task may have made links in its payload. What the user has brought may have links to anywhere.
            may_read = _below(os.path.realpath(location), os.path.realpath(root))
        if not source.is_dir():
            _copy_file(source, target, root, cancel, may_read)
            return
        pending = [source]  # a list, as a task can nest folders deeper than Python can recurse
        while pending and not cancel:
            folder = pending.pop()
            _check_readable(folder, may_read)
            copy = target / folder.relative_to(source)
            ensure_folder(*resolve_within(copy, root))
            with os.scandir(folder) as entries:
                content = [(folder / entry.name, entry.is_dir()) for entry in entries]
            for path, is_folder in content:
                if is_folder:
                    _check_circle(path, source)
                    pending.append(path)
                else:
                    _copy_file(path, copy / path.name, root, cancel, may_read)
        if cancel:
            raise StorageError(f"Copying to {target} was cancelled.")

    def find_problem(self, location: str) -> str:
        """Return why payloads at a URI cannot be read; empty for a path."""
        scheme, _ = split_scheme(location)
        return f"Standpipe has no client for {scheme}://" if scheme else ""

    def task_path(self, artifact: ArtifactValue) -> str:
        """Return an empty text: tasks read payloads where they are."""
        return ""

    def provide(self, artifacts: Iterable[ArtifactValue], cancel: Cancellation) -> AbstractContextManager[None]:
        """Do nothing: payloads are there."""
        return nullcontext()

    def remove(self, location: str) -> None:
        """Remove a file or folder; see `model.ports.ArtifactStore`."""
        path = self.local_path(location)
        root = self._root_of(path)
        if root is not None:
            remove_path(Path(path), Path(root))

    def _root_of(self, path: str) -> str | None:
        return next((root for root in self._roots if path.startswith(os.path.join(root, ""))), None)

    def _readable_path(self, location: str) -> str:
        """Return the path of a payload; empty if a task has made it a link that leads out of all roots."""
        path = self.local_path(location)
        root = self._root_of(path)
        if root is None or not _has_links(path, root):
            return path
        try:
            real = real_path(path)
        except OSError:
            return path  # nobody can read it
        return path if is_within(real, *map(os.path.realpath, self._roots)) else ""


def _has_links(path: str, root: str) -> bool:
    """Return whether a step from a root, which is the user's, to a path is a link, or `..`."""
    names = path[len(os.path.join(root, "")) :].split("/")
    steps = accumulate([root, *names], os.path.join)
    next(steps)
    return ".." in names or any(map(os.path.islink, steps))


def _copy_file(
    source: Path, target: Path, root: Path, cancel: Cancellation, may_read: Callable[[str], bool] | None
) -> None:
    # Opened without links, so that one which a task makes now is not followed.
    file = open_below(_check_readable(source, may_read), Path("/"))
    try:
        status = os.fstat(file)

        def copy(new: BinaryIO) -> None:
            left = status.st_size  # what is written meanwhile belongs to another version, and may have no end
            while left and (piece := os.read(file, min(left, _PIECE))):
                if cancel:
                    break
                new.write(piece)
                left -= len(piece)
            if cancel:
                raise StorageError(f"Copying to {target} was cancelled.")
            new.flush()
            os.utime(new.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))

        write_atomically(target, root, stat.S_IMODE(status.st_mode), copy)
    finally:
        os.close(file)


def _check_readable(path: Path, may_read: Callable[[str], bool] | None) -> Path:
    """Return a path without links, or raise an error if it may not be read."""
    real = os.path.realpath(path)
    if may_read and not may_read(real):
        raise StorageError(
            f"Cannot copy {path}: a symbolic link, which a task probably created, leads to {real}, outside of the "
            "payload and of the workspace. Copy the content to that path."
        )
    return Path(real)


def _below(*folders: str) -> Callable[[str], bool]:
    """Return a function that tells whether a path without links is in one of some folders."""
    return lambda path: is_within(path, *folders)


def _check_circle(path: Path, source: Path) -> None:
    """Raise an error if a folder below `source` is a link to one of those that it is in."""
    if path.is_symlink():
        real = real_path(path)
        above = accumulate(path.parent.relative_to(source).parts, os.path.join, initial=os.fspath(source))
        if real in map(os.path.realpath, above):
            raise StorageError(f"Cannot copy {source}: {path} is a link to {real}, which contains it.")
