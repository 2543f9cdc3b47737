"""Payloads in folders of this machine: each stays where its task wrote it."""

from __future__ import annotations

import os
import shutil
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
    if cancel:
        raise StorageError(f"Copying to {target} was cancelled.")
    mode = source.stat().st_mode
    write_atomically(target, root, mode, lambda path: shutil.copy2(source, path))


def _raise(error: OSError) -> NoReturn:
    raise error
