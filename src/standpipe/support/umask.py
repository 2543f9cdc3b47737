"""The umask of the process during a run: files of a run are never writable for all users."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from standpipe.support.forking import register_functions

#: The permission that no file gets: that all other users may write to it.
_OTHERS_WRITE = 0o002

_lock = threading.Lock()
_open_blocks = 0  # in all threads
_original = 0  # the umask before the first open block


@contextmanager
def restrict_umask() -> Iterator[None]:
    """Make files and folders that are created in the block not writable for all users.

    This covers processes that are started in the block, too. A umask belongs to the whole process, so files that other
    threads create in the meantime get the same permissions. A umask that already excludes other users is not changed.
    The end of the last open block restores the original umask.
    """
    global _open_blocks, _original
    process = os.getpid()
    with _lock:
        if not _open_blocks:
            _original = _read_umask()
            if not _original & _OTHERS_WRITE:
                os.umask(_original | _OTHERS_WRITE)
        _open_blocks += 1
    try:
        yield
    finally:
        with _lock:
            _open_blocks -= process == os.getpid()  # unless a forked child leaves the block of its parent
            if not _open_blocks and not _original & _OTHERS_WRITE:
                os.umask(_original)


def _read_umask() -> int:
    # The system call that returns the umask also changes it, for all threads. On Linux a file in /proc has it, too.
    with suppress(OSError, StopIteration), open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return int(next(line for line in file if line.startswith("Umask:")).split()[1], 8)
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _after_fork_in_child() -> None:
    global _lock, _open_blocks
    _lock = threading.Lock()  # a thread that this process does not have may hold the old one
    if _open_blocks and not _original & _OTHERS_WRITE:
        os.umask(_original)
    _open_blocks = 0  # they are blocks of the parent


register_functions(in_child=_after_fork_in_child)
