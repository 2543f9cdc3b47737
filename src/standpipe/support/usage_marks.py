"""Marks of use: which processes use the things of a folder, such as environments, and when each was used last.

Each thing has a file beside it, `<name>.used`, whose time is that of the last use. A process that uses it holds a
shared lock on the file, so that nobody removes the thing meanwhile: until the process ends, or for the length of a
block. Who removes a thing reserves it, and may remove the mark then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from standpipe.support.forking import Descriptor
from standpipe.support.locks import open_for_locking, try_lock, unlock
from standpipe.support.untrusted_files import ensure_folder, open_or_create, resolve_within

ENDING = ".used"

#: Seconds between two attempts to take a lock while another process removes the thing.
_RETRY_INTERVAL = 0.05


#: The marks that this process holds, by the paths of their files: one for all runners, as they last until it ends.
_held: dict[str, Descriptor] = {}


class UsageMarks:
    """The marks in one folder, which is created when a mark is first needed.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold(self, name: str, *, keep_waiting: Callable[[], None] = lambda: None) -> None:
        """Mark a thing as used by this process, until that ends; wait while another process removes it.

        In a folder that cannot be written, or whose file system has no locks, nothing is marked, and nothing removed.

        Args:
            name: the name of the thing.
            keep_waiting: called again and again while it waits; raises to give up.
        """
        key = os.path.join(self._folder, name)
        if key in _held and _held[key].number >= 0:  # a forked child has closed those of its parent
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            file = _acquire(self._folder, name, None, keep_waiting)
            try:
                if _held.setdefault(key, file).number < 0:
                    _held[key] = file
            finally:
                if _held.get(key) is not file:  # another thread was faster
                    unlock(file)


@contextmanager
def using(folder: Path, name: str, root: Path, *, keep_waiting: Callable[[], None]) -> Iterator[None]:
    """Mark a thing as used for the length of a block; wait while another process removes it.

    Args:
        folder: the folder, which is created if it is missing.
        name: the name of the thing.
        root: the folder below which no link is followed: tasks may have made some.
        keep_waiting: called again and again while it waits; raises to give up.

    Raises:
        OSError: if the folder cannot be written, or its file system has no locks.
    """
    ensure_folder(*resolve_within(folder, root))
    file = _acquire(folder, name, root, keep_waiting)
    try:
        yield
    finally:
        unlock(file)


def mark_path(folder: Path, name: str) -> Path:
    """Return the path of the mark of a thing."""
    return folder / f"{name}{ENDING}"


def _acquire(folder: Path, name: str, root: Path | None, keep_waiting: Callable[[], None]) -> Descriptor:
    """Lock the mark of a thing as used, and return the open lock."""
    while True:
        file = open_mark(folder, name, root)
        try:
            while not try_lock(file.number, shared=True):
                keep_waiting()
                time.sleep(_RETRY_INTERVAL)
            os.utime(file.number)
            if _is_current(file, mark_path(folder, name)):
                return file
        except BaseException:
            unlock(file)
            raise
        unlock(file)


def open_mark(folder: Path, name: str, root: Path | None = None) -> Descriptor:
    """Open the mark of a thing, created if it is missing.

    Args:
        folder: the folder.
        name: the name of the thing.
        root: the folder below which no link is followed; None if the folder is not one of tasks.

    Raises:
        OSError: if it cannot be opened.
    """
    path = mark_path(folder, name)
    if root is not None:
        return open_for_locking(partial(open_or_create, path, root))
    return open_for_locking(partial(os.open, path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666))


def _is_current(file: Descriptor, path: Path) -> bool:
    """Return whether an open mark is still at its path: it may have been removed, with the thing, before its lock."""
    try:
        return os.path.samestat(os.fstat(file.number), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def last_use(folder: Path, name: str) -> float:
    """Return when a thing was used last, in seconds since the epoch; 0 if that is not known."""
    try:
        return os.stat(mark_path(folder, name)).st_mtime
    except OSError:
        return 0.0


@contextmanager
def reserved(folder: Path, name: str, root: Path | None = None) -> Iterator[bool]:
    """Keep all processes from using a thing for the length of a block; yield False if one uses it, or may use it.

    Args:
        folder: the folder.
        name: the name of the thing.
        root: the folder below which no link is followed; None if the folder is not one of tasks.
    """
    try:
        file = open_mark(folder, name, root)
    except OSError:
        yield False
        return
    try:
        yield _try_lock(file) and _is_current(file, mark_path(folder, name))
    finally:
        unlock(file)


def _try_lock(file: Descriptor) -> bool:
    try:
        return try_lock(file.number)
    except OSError:  # the file system has no locks
        return False
