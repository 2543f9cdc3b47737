"""Changes of files, found by looking at them a few times per second, which works on every file system.

Editors that replace a file, and files that are missing for a moment, are changes like any other.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

#: Seconds between two looks.
INTERVAL = 0.2

#: For how long files must stay as they are, in seconds, before a change counts: editors write in several steps.
_QUIET = 0.2

#: For how long a file may be missing until that counts as its new state.
_MISSING = 1.0

#: The most files of a folder that are watched, and the most bytes that are read to see that a content is the same.
_MAX_FILES = 2_000
_MAX_BYTES = 8 * 1024 * 1024


class _State(NamedTuple):
    """The state of a path: what `stat` says, None if it is missing, and a digest of its content, if that is small."""

    stat: tuple[int, ...] | None
    digest: str


class FileWatch:
    """Files and folders, and the state in which they were last seen.

    Args:
        paths: the paths, absolute.
        sleep: waits for some seconds.
    """

    def __init__(self, paths: Iterable[str], sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self._states = {path: _look(path) for path in paths}

    @property
    def paths(self) -> list[str]:
        """All paths that are watched."""
        return list(self._states)

    def accept(self) -> None:
        """Take the present state of all files for the one that changes are compared with."""
        self._states = {path: _look(path) for path in self._states}

    def watch(self, paths: Iterable[str], since: float) -> list[str]:
        """Watch these paths as well, and return those that have changed already.

        Args:
            paths: the paths, absolute.
            since: when they were read at the earliest, in seconds since the epoch.
        """
        new = [path for path in paths if path not in self._states]
        self._states.update((path, _look(path)) for path in new)
        return [path for path in new if _modified(path) > since]

    def changed(self) -> list[str]:
        """Return the paths whose content differs from the state that was accepted."""
        return [path for path, state in self._states.items() if _differs(path, state)]

    def settle(self) -> list[str]:
        """Return the changed paths once nothing has changed for a moment; it is empty if the changes were undone."""
        latest, since, began = self._stats(), time.monotonic(), time.monotonic()
        while True:
            self._sleep(INTERVAL / 2)
            now = self._stats()
            if now != latest:
                latest, since = now, time.monotonic()
            is_complete = None not in now or time.monotonic() - began > _MISSING
            if is_complete and time.monotonic() - since >= _QUIET:
                return self.changed()

    def wait(self) -> list[str]:
        """Wait for changes, and return the changed paths."""
        while True:
            if self.changed() and (changed := self.settle()):
                return changed
            self._sleep(INTERVAL)

    def _stats(self) -> list[tuple[int, ...] | None]:
        return [_stat(path) for path in self._states]


def _look(path: str) -> _State:
    return _State(_stat(path), _digest(path))


def _differs(path: str, state: _State) -> bool:
    if _stat(path) == state.stat:
        return False
    digest = _digest(path)
    return not digest or digest != state.digest


def _stat(path: str) -> tuple[int, ...] | None:
    """Return what tells one state of a file from the next; for a folder, of all files in it."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    own = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode)
    if not os.path.isdir(path):
        return own
    return tuple(number for file in _files_in(path) for number in _stat(file) or (0,)) + own[:1]


def _files_in(folder: str) -> Iterator[str]:
    count = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if count == _MAX_FILES:
                return
            count += 1
            yield os.path.join(parent, name)


def _digest(path: str) -> str:
    """Return a digest of the content of a file; empty if it is large, missing or a folder."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > _MAX_BYTES:
            return ""
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def _modified(path: str) -> float:
    try:
        status = os.stat(path)
    except OSError:
        return 0.0
    return max(status.st_mtime, status.st_ctime)
