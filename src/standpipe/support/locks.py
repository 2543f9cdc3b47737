"""Locks between processes, on files and folders (`flock`). The system releases them when their process ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from standpipe.support.forking import Descriptor, close_owned, own, paused

#: Seconds between two attempts to take a lock that another process holds.
_RETRY_INTERVAL = 0.05


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file or folder, and return whether that succeeded. It does not wait.

    On Windows, which has no such locks, it returns True.

    Raises:
        OSError: if the file system has no locks.
    """
    try:
        import fcntl  # Windows has none
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_for_locking(open_file: Callable[[], int]) -> Descriptor:
    """Open a file or folder that only this process may hold the lock of: forked children close it.

    Close it with `unlock`.

    Args:
        open_file: opens it, and returns its descriptor; what it raises is raised.
    """
    with paused():
        file = Descriptor(open_file())
        own(file)
    return file


def unlock(file: Descriptor) -> None:
    """Release the lock of an open file or folder, and close it. In a forked child, which has closed it, do nothing.

    Closing alone would not release it while another process has the file open: a child of C code that forks, for
    instance, where no hook is called.
    """
    with paused():
        if file.number >= 0:
            _unlock(file.number)
        close_owned(file)


def _unlock(descriptor: int) -> None:
    try:
        import fcntl  # Windows has none
    except ImportError:
        return
    with suppress(OSError):  # the file system has no locks
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_file_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is the one at a path: it may have been removed since."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


@contextmanager
def lock_file(
    path: Path, *, keep_waiting: Callable[[], None], on_wait: Callable[[], None] | None = None
) -> Iterator[Descriptor]:
    """Hold an exclusive lock on a file for the length of a block. The file stays: others may be waiting for it.

    Args:
        path: the file; made if it is missing. Its folder exists.
        keep_waiting: called again and again while another process holds the lock; raises to give up.
        on_wait: called once if the lock is not free.

    Yields:
        The file; forked children, which leave the block as well, have closed it.

    Raises:
        OSError: if the file cannot be made, or its file system has no locks.
    """
    file = open_for_locking(partial(os.open, path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
    try:
        if not try_lock(file.number):
            if on_wait is not None:
                on_wait()
            while not try_lock(file.number):
                keep_waiting()
                time.sleep(_RETRY_INTERVAL)
        yield file
    finally:
        unlock(file)


@contextmanager
def lock_temporary_file(
    path: Path, *, keep_waiting: Callable[[], None], on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold an exclusive lock on a file as `lock_file` does, and remove the file afterwards."""
    while True:
        with lock_file(path, keep_waiting=keep_waiting, on_wait=on_wait) as file:
            if not is_file_at(file.number, path):
                continue  # its last holder has removed it: others lock another file
            try:
                yield
            finally:
                if file.number >= 0:  # not in a forked child
                    path.unlink(missing_ok=True)
            return
