"""How many bytes folders have on the disk: files with several hard links count once, links are not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from standpipe.support.untrusted_files import open_parent
from standpipe.support.untrusted_folders import visit_folders

_BLOCK = 512  # bytes, the unit of `st_blocks`


class DiskUsage:
    """Adds up what folders have on the disk. What was counted in one of them does not count in the next again."""

    def __init__(self) -> None:
        self._counted: set[tuple[int, int]] = set()

    def file(self, path: str | os.PathLike[str]) -> int:
        """Return the bytes of a file or a link; 0 if it is missing."""
        try:
            return self._bytes(os.lstat(path))
        except OSError:
            return 0

    def folder(self, path: Path, *, without: Collection[str] = ()) -> int:
        """Return the bytes of a folder and of all that is in it; 0 if it is missing.

        Args:
            path: the folder.
            without: the names of folders in it that are left out.
        """
        return sum(self.split(path, frozenset(), without=without))

    def split(self, path: Path, names: Collection[str], *, without: Collection[str] = ()) -> tuple[int, int]:
        """Return the bytes of the files with these names in a folder and below it, and the bytes of all others.

        Args:
            path: the folder.
            names: the names of files, such as those of logs.
            without: the names of folders in it that are left out.
        """
        named, others, skipped = 0, 0, without

        def enter(descriptor: int) -> list[str]:
            nonlocal named, others, skipped
            folders = []
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    with suppress(OSError):  # it was removed meanwhile
                        status = entry.stat(follow_symlinks=False)
                        is_folder = stat.S_ISDIR(status.st_mode)
                        if is_folder and entry.name in skipped:
                            continue
                        if is_folder:
                            folders.append(entry.name)
                        size = self._bytes(status)
                        if not is_folder and entry.name in names:
                            named += size
                        else:
                            others += size
            skipped = ()
            return folders

        with suppress(OSError), open_parent(path, path.parent) as (parent, name):
            visit_folders(name, parent, enter, lambda name, parent: None)
        return named, others

    def _bytes(self, status: os.stat_result) -> int:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            identity = status.st_dev, status.st_ino
            if identity in self._counted:
                return 0
            self._counted.add(identity)
        return status.st_blocks * _BLOCK


def folder_size(folder: Path) -> int:
    """Return the number of bytes on the disk that a folder and all that is in it have; 0 if it is missing."""
    return DiskUsage().folder(folder)
