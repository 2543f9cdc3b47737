"""Locks between processes, on files and folders (`flock`). The system releases them when their process ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def lock_file(
    path: Path, *, keep_waiting: Callable[[], None], on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of a block. The file stays: others may be waiting for it.

    Args:
        path: the file; made if it is missing. Its folder exists.
        keep_waiting: called again and again while another process holds the lock; raises to give up.
        on_wait: called once if the lock is not free.

    Raises:
        OSError: if the file cannot be made, or its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if not try_lock(descriptor):
            if on_wait is not None:
                on_wait()
            while not try_lock(descriptor):
                keep_waiting()
                time.sleep(_RETRY_INTERVAL)
        yield
    finally:
        os.close(descriptor)
