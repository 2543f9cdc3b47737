"""The first process of a container, seen by the kernel of this machine: the engine takes longer to notice its end."""

from __future__ import annotations

import os
import select
from pathlib import Path
from weakref import finalize

from standpipe.support.system_files import read_text


class FirstProcess:
    """The first process of a container, with which all others of it end (pid_namespaces(7)).

    Args:
        descriptor: a file descriptor of the process (pidfd_open(2)), which is closed with this object.
    """

    def __init__(self, descriptor: int) -> None:
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        finalize(self, os.close, descriptor)

    def has_ended(self, seconds: float = 0) -> bool:
        """Return whether the process has ended, for which this waits so long."""
        return bool(self._poll.poll(seconds * 1000))


def find_first_process(container: str, pid: int) -> FirstProcess | None:
    """Return the first process of a container.

    None if it has ended, or the kernel of this machine does not know it: the engine is on another machine, in a virtual
    machine or in a container, or this process is in one. Then the id means nothing here, or another process.

    Args:
        container: the id of the container, after which the engine names its control group.
        pid: the process id that the engine reports.
    """
    if not pid or not hasattr(os, "pidfd_open"):
        return None
    try:
        process = FirstProcess(os.pidfd_open(pid))
    except OSError:  # it has ended, or the kernel is older than Linux 5.3
        return None
    # Only now, as the id may have belonged to another process before.
    return process if container in read_text(Path(f"/proc/{pid}/cgroup")) else None
