"""Folders as trees of limited size. Links in them are named and never followed."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice

from standpipe.model.frozen import frozen
from standpipe.support.untrusted_folders import OPEN_FOLDER

#: The most entries that are shown, how deep, and how many of one folder are looked at.
_MAX_ENTRIES = 500
_MAX_DEPTH = 8
_MAX_SCANNED = 10_000


@frozen
class Entry:
    """A file, a folder or something else in a folder.

    `path` is its path in the artifact, empty if that is not UTF-8, which no address can have. `kind` is `file`,
    `folder`, `link` or `other`. `size` (bytes) is that of a file. `hidden` is how many of a folder's entries are not
    among its `children`.
    """

    name: str
    path: str
    kind: str
    size: int | None = None
    children: tuple[Entry, ...] = ()
    hidden: int = 0


@frozen
class Folder:
    """The entries of a folder, and how many files with how many bytes are in those that are shown."""

    entries: tuple[Entry, ...]
    hidden: int
    file_count: int
    total_size: int


def read_folder(descriptor: int, path: str = "") -> Folder:
    """Return what is in an open folder.

    Args:
        descriptor: the folder.
        path: its path in the artifact.
    """
    reader = _Reader()
    entries, hidden = reader.read(descriptor, path, 0)
    return Folder(entries, hidden, reader.file_count, reader.total_size)


class _Reader:
    def __init__(self) -> None:
        self.file_count = 0
        self.total_size = 0
        self._left = _MAX_ENTRIES

    def read(self, descriptor: int, path: str, depth: int) -> tuple[tuple[Entry, ...], int]:
        """Return the entries of a folder, folders first, and how many are left out."""
        with os.scandir(descriptor) as scan:
            found = sorted(islice(scan, _MAX_SCANNED), key=lambda entry: (not _is_folder(entry), entry.name))
        shown = found[: self._left]
        self._left -= len(shown)
        return tuple(self._entry(entry, descriptor, path, depth) for entry in shown), len(found) - len(shown)

    def _entry(self, entry: os.DirEntry[str], parent: int, path: str, depth: int) -> Entry:
        name = os.fsencode(entry.name).decode(errors="replace")
        is_valid = name == entry.name and bool(path or not depth)
        inner = "" if not is_valid else f"{path}/{name}" if path else name
        if entry.is_symlink():
            return Entry(name, inner, "link")
        if _is_folder(entry):
            children, hidden = self._children(entry.name, parent, inner, depth)
            return Entry(name, inner, "folder", None, children, hidden)
        if not entry.is_file(follow_symlinks=False):
            return Entry(name, inner, "other")
        size = 0
        with suppress(OSError):  # removed meanwhile
            size = entry.stat(follow_symlinks=False).st_size
        self.file_count += 1
        self.total_size += size
        return Entry(name, inner, "file", size)

    def _children(self, name: str, parent: int, path: str, depth: int) -> tuple[tuple[Entry, ...], int]:
        if depth >= _MAX_DEPTH or not self._left:
            return (), 0
        try:
            descriptor = os.open(name, OPEN_FOLDER, dir_fd=parent)
        except OSError:  # closed to this user, or no folder any more
            return (), 0
        try:
            return self.read(descriptor, path, depth + 1)
        finally:
            os.close(descriptor)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)
