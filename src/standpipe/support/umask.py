"""The umask of the process during a run: what a run leaves is for its user alone, or for the group, too."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from standpipe.support.forking import register_functions

#: The permissions that nothing gets which a run leaves: all those of other users, and of the group.
PRIVATE, GROUP = 0o077, 0o007

_lock = threading.Lock()
_open_blocks: Counter[int] = Counter()  # by their umasks, in all threads
_original = 0  # the umask before the first open block


@contextmanager
def restrict_umask(umask: int = PRIVATE) -> Iterator[None]:
    """Create files and folders in the block without the permissions of a umask, whatever the user's umask is.

    This covers processes that are started in the block, too. A umask belongs to the whole process, so files that other
    threads create in the meantime get the same permissions, and of several open blocks the strictest umask is in
    effect. The end of the last open block restores the original umask.
    """
    global _original
    process = os.getpid()
    with _lock:
        if not +_open_blocks:
            _original = _read_umask()
        _open_blocks[umask] += 1
        os.umask(_combine())
    try:
        yield
    finally:
        with _lock:
            if process == os.getpid():  # otherwise a forked child leaves the block of its parent
                _open_blocks[umask] -= 1
                os.umask(_combine())


def _combine() -> int:
    """Return the umask of all open blocks; the original one if none is open."""
    umask = 0
    for each in +_open_blocks:
        umask |= each
    return umask or _original


def private_mode(mode: int, umask: int) -> int:
    """Return the permissions that a file of a run gets, of those that a container gave it.

    Its owner keeps what it has; the group gets the same, unless the umask excludes it; other users get nothing.
    """
    owner = mode & 0o700
    return (owner | owner >> 3) & ~umask


def _read_umask() -> int:
    # The system call that returns the umask also changes it, for all threads. On Linux a file in /proc has it, too.
    with suppress(OSError, StopIteration), open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return int(next(line for line in file if line.startswith("Umask:")).split()[1], 8)
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # a thread that this process does not have may hold the old one
    if +_open_blocks:
        os.umask(_original)
    _open_blocks.clear()  # they are blocks of the parent


register_functions(in_child=_after_fork_in_child)
