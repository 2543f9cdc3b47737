"""What to do about errors of the system that are limits on processes, memory and open files, and no full disk."""

from __future__ import annotations

import errno

_ADVICE = {
    errno.EAGAIN: "This user or container has as many processes and threads as it may have. End some, lower "
    "max_parallel, or raise the limit: `ulimit -u`, or the pids limit of the container.",
    errno.ENOMEM: "There is no memory for another process. End other programs, lower max_parallel, or raise the memory "
    "limit of the container.",
    errno.EMFILE: "This process has as many open files as it may have. Close some, lower max_parallel, or raise the "
    "limit: `ulimit -n`.",
    errno.ENFILE: "The system has as many open files as it may have. End other programs, or raise the limit: "
    "`sysctl fs.file-max`.",
}


def advise(error: OSError, otherwise: str = "") -> str:
    """Return what to do about an error of the system.

    Args:
        error: the error.
        otherwise: what to do unless it is such a limit.
    """
    return _ADVICE.get(error.errno or 0, otherwise)
