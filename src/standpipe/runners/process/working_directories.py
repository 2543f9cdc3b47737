"""The working directories of tasks: empty folders, which are removed afterwards, whatever a task did to them."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import NamedTuple

from standpipe.support.forking import paused
from standpipe.support.untrusted_files import remove_path


class WorkingDirectory(NamedTuple):
    """An empty folder, and what tells that nobody has changed it since."""

    path: str
    state: tuple[int, ...]

    @property
    def is_untouched(self) -> bool:
        """Whether it is still the same folder, in which nothing was made, removed or changed."""
        try:
            return _state(self.path) == self.state and not os.listdir(self.path)
        except OSError:
            return False


class WorkingDirectories:
    """Working directories, of which those that tasks have left untouched may be used again.

    ext4 takes 0.4 ms to make a folder if hundreds were removed in the last seconds, as by a chain of small tasks: it
    does not give out their numbers again before, and looks at each.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unused: list[WorkingDirectory] = []

    def take(self) -> WorkingDirectory:
        """Return an empty folder, which is nobody else's."""
        while folder := self._pop():
            if folder.is_untouched:
                return folder
            _remove(folder.path)  # a process has outlived its task
        return _make()

    def put_back(self, folder: WorkingDirectory) -> None:
        """Keep the folder of a task that has ended for another task, or remove it if it was changed."""
        if folder.is_untouched:
            with self._lock:
                self._unused.append(folder)
        else:
            _remove(folder.path)

    def remove(self, folder: WorkingDirectory) -> None:
        """Remove the folder of a task that has ended."""
        _remove(folder.path)

    def clear(self) -> None:
        """Remove the folders that nobody uses."""
        while folder := self._pop():
            _remove(folder.path)

    def after_fork_in_child(self) -> None:
        """Leave the folders to the process that this one was forked from; see `support.forking`."""
        self._lock = threading.Lock()
        self._unused = []

    def _pop(self) -> WorkingDirectory | None:
        with self._lock:
            return self._unused.pop() if self._unused else None


def _make() -> WorkingDirectory:
    import tempfile  # costs 6 ms, which a program that runs nothing need not pay

    with paused():  # it has a lock of its own
        path = tempfile.mkdtemp(prefix="standpipe-")
    return WorkingDirectory(path, _state(path))


def _state(path: str) -> tuple[int, ...]:
    status = os.lstat(path)
    return (status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_ctime_ns)


def _remove(path: str) -> None:
    try:
        os.rmdir(path)  # most tasks leave nothing there
    except OSError:
        remove_path(Path(path), Path(path).parent)
