"""Payloads in folders of this machine: each stays where its task wrote it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.layout import file_name
from standpipe.model.values import Checksum
from standpipe.support.checksums import compute_checksum, compute_signature
from standpipe.support.paths import check_within, remove_path, write_atomically
from standpipe.worker.artifacts import local_path

#: The bytes that are copied between two looks at `cancel`: inside of the kernel, or through this process.
_RANGE = 16 * 1024 * 1024
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
        return bool(path) and any(Path(path).is_relative_to(root) for root in self._roots)

    def exists(self, location: str) -> bool:
        """Return whether there is a file, a folder or a link, even one that leads nowhere."""
        path = self.local_path(location)
        return bool(path) and os.path.lexists(path)

    def put(self, location: str, cancel: Cancellation) -> Checksum | None:
        """Return the checksum of a payload below one of the roots; see `model.ports.ArtifactStore`."""
        return compute_checksum(self.local_path(location), cancel, self._roots) if self.owns(location) else None

    def checksum(self, location: str, cancel: Cancellation) -> Checksum | None:
        """Return the checksum of a file or folder; see `model.ports.ArtifactStore`."""
        path = self.local_path(location)
        return compute_checksum(path, cancel, self._roots) if path else None

    def signature(self, location: str) -> str:
        """Return sizes and times of change, as one word; see `model.ports.ArtifactStore`."""
        path = self.local_path(location)
        return compute_signature(path, self._roots) if path else ""

    def fetch(self, location: str, target: Path, root: Path, cancel: Cancellation) -> None:
        """Copy a file or folder; see `model.ports.ArtifactStore`."""
        if not os.path.isabs(location):
            raise StorageError(f"Cannot copy {location!r}: expected an absolute path of this machine.")
        source = Path(location)
        if not source.is_dir():
            _copy_file(source, target, root, cancel)
            return
        for folder, _, files in os.walk(source, onerror=_raise, followlinks=True):
            copy = target / os.path.relpath(folder, source)
            check_within(copy, root)
            copy.mkdir(parents=True, exist_ok=True)
            for name in files:
                _copy_file(Path(folder, name), copy / name, root, cancel)

    def remove(self, location: str) -> None:
        """Remove a file or folder; see `model.ports.ArtifactStore`."""
        path = self.local_path(location)
        if path:
            remove_path(Path(path))


def _copy_file(source: Path, target: Path, root: Path, cancel: Cancellation) -> None:
    mode = source.stat().st_mode
    if not stat.S_ISREG(mode):
        raise StorageError(f"Cannot copy {source}: expected a file or a folder, got a device, a socket or a pipe.")

    def copy(path: str) -> None:
        _copy_content(source, path, cancel)
        shutil.copystat(source, path)

    write_atomically(target, root, mode, copy)


def _copy_content(source: Path, target: str, cancel: Cancellation) -> None:
    """Copy a file in pieces, as one call for all of it could not be cancelled."""
    copy_range = getattr(os, "copy_file_range", None)  # only Linux has it
    with source.open("rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        while True:
            if cancel:
                raise StorageError(f"Copying {source} was cancelled.")
            if copy_range is not None:
                try:
                    if copy_range(reader.fileno(), writer.fileno(), _RANGE):
                        continue
                except OSError:
                    copy_range = None  # between these file systems; a full disk is an error below, too
            piece = memoryview(reader.read(_PIECE))
            if not piece:
                return
            while piece:
                piece = piece[writer.write(piece) :]


def _raise(error: OSError) -> NoReturn:
    raise error
