"""How many bytes all payloads of a folder have, without looking at each of them.

The number is in a file that the processes of all runs change. It may be too large, as a process can be killed between
its two steps; it is measured before anything is removed because of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from standpipe.errors import StorageError
from standpipe.support.locks import lock_file
from standpipe.support.untrusted_files import read_file, write_atomically

_SIZE_FILE, _LOCK_FILE = ".size", ".size-lock"


class StoredSize:
    """The bytes of all payloads of a folder.

    Args:
        folder: the folder, which exists when a method is called.
        root: the folder below which no link is followed.
        measure: returns the bytes of the payloads that are there.
    """

    def __init__(self, folder: Path, root: Path, measure: Callable[[], int]) -> None:
        self._folder = folder
        self._root = root
        self._measure = measure

    def add(self, size: int) -> int:
        """Add to the bytes, and return them all; they are measured if they are not known.

        Raises:
            OSError: if the files cannot be written.
        """
        with self._locked():
            known = self._read()
            return self._write((self._measure() if known is None else known) + size)

    def get(self) -> int:
        """Return the bytes; they are measured if they are not known, and it raises what `add` raises."""
        known = self._read()
        return self.add(0) if known is None else known

    def count(self) -> int:
        """Measure the bytes, and return them; it raises what `add` raises."""
        with self._locked():
            return self._write(self._measure())

    def _locked(self) -> AbstractContextManager[object]:
        return lock_file(self._folder / _LOCK_FILE, keep_waiting=lambda: None)

    def _write(self, size: int) -> int:
        size = max(size, 0)
        write_atomically(self._folder / _SIZE_FILE, self._root, 0o666, lambda file: file.write(str(size).encode()))
        return size

    def _read(self) -> int | None:
        try:
            return int(read_file(self._folder / _SIZE_FILE, self._root))
        except (OSError, StorageError, ValueError):
            return None  # nobody has counted yet, or it is not ours
