"""The working directories of tasks: new and empty, or as good as new."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from standpipe.support.forking import paused, register_object
from standpipe.support.untrusted_files import remove_path

#: The modification time of an empty directory, in nanoseconds since the epoch: the system sets another one when a file
#: in it is created or removed, even if that was in the same tick of its clock.
_EMPTY = 0


class _Untouched(NamedTuple):
    """What the system says of a directory as long as nobody has changed it or anything in it."""

    device: int
    inode: int
    mode: int
    user: int
    group: int
    modified: int
    changed: int


class WorkingDirectories:
    """Gives each task an empty directory, which is removed afterwards, whatever the task did to it.

    A directory that its task left untouched is given to a later task, as making and removing one can take longer than a
    small task: 3 ms on a disk that discards what it frees.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[str, _Untouched]] = []
        register_object(self)

    @contextmanager
    def use(self) -> Iterator[str]:
        """Give an empty directory for the length of the block."""
        with self._lock:
            idle = self._idle.pop() if self._idle else None
        if idle is not None and _look_at(idle[0]) != idle[1]:  # somebody has used or removed it
            _remove(idle[0])
            idle = None
        if idle is None:
            idle = _make()
        folder, untouched = idle
        is_untouched = False
        try:
            yield folder
            is_untouched = _look_at(folder) == untouched
        finally:
            if is_untouched:
                with self._lock:
                    self._idle.append((folder, untouched))
            else:
                _remove(folder)

    @contextmanager
    def run(self) -> Iterator[None]:
        """Keep directories for the length of the block, a run, and remove those that no task uses when it ends."""
        try:
            yield
        finally:
            self.clear()

    def clear(self) -> None:
        """Remove the directories that no task uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for folder, _ in idle:
            _remove(folder)

    def after_fork_in_child(self) -> None:
        """Leave the directories to the process that this one was forked from; see `support.forking`."""
        self._lock = threading.Lock()
        self._idle = []


#: The directories of all runners that users make.
shared_directories = WorkingDirectories()


def _make() -> tuple[str, _Untouched]:
    import tempfile  # costs 6 ms, which a program that runs nothing need not pay

    with paused():  # it has a lock of its own
        folder = tempfile.mkdtemp(prefix="standpipe-")
    os.utime(folder, ns=(_EMPTY, _EMPTY))
    untouched = _look_at(folder)
    assert untouched, "it was just made"
    return folder, untouched


def _look_at(folder: str) -> _Untouched | None:
    """Return what the system says of a directory; None if it is missing."""
    with suppress(OSError):
        status = os.lstat(folder)
        return _Untouched(
            status.st_dev,
            status.st_ino,
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
    return None


def _remove(folder: str) -> None:
    try:
        os.rmdir(folder)  # most tasks leave nothing there
    except OSError:
        remove_path(Path(folder), Path(folder).parent)
