"""What a run leaves is not writable for everybody, even if the user's umask would have it so."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from standpipe.support.forking import register_functions

#: The permission that is never given: that of all other users to write.
_OTHERS_WRITE = 0o002

_lock = threading.Lock()
_blocks = 0  # that are open, in all threads
_users_own = 0


@contextmanager
def restrict_umask() -> Iterator[None]:
    """Takes from the files and folders made in the block, and by the processes started in it, what nobody should have.

    A umask is the whole process's. It is touched only if it lets everybody write, as few do; then what other threads
    make meanwhile is not for everybody either. The last block to end brings the user's own back.
    """
    global _blocks, _users_own
    with _lock:
        if not _blocks:
            _users_own = _umask()
            if not _users_own & _OTHERS_WRITE:
                os.umask(_users_own | _OTHERS_WRITE)
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks and not _users_own & _OTHERS_WRITE:
                os.umask(_users_own)


def _umask() -> int:
    # To ask the system for it is to change it, for a moment and for all threads; Linux also writes it down.
    with suppress(OSError, StopIteration), open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return int(next(line for line in file if line.startswith("Umask:")).split()[1], 8)
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # a thread that is not in this process may hold the old one


register_functions(in_child=_after_fork_in_child)
