"""The processes of a container that the kernel has killed for their memory, counted by its control group.

Podman 4.3 does not report them (its monitor writes its mark into the folder in which the service was started).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from standpipe.support.system_files import read_text

_ROOT = Path("/sys/fs/cgroup")


def find_counter(container: str, pid: int) -> Path | None:
    """Return the file that counts the kills of a container; None if its control group is not on this machine.

    Args:
        container: the id of the container, after which the engine names its control group.
        pid: the process id of its first process, as the engine reports it.
    """
    for line in read_text(Path(f"/proc/{pid}/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if container in path and "memory" in controllers.split(","):
            return _ROOT / "memory" / path.lstrip("/") / "memory.oom_control"
        if container in path and not controllers:  # version 2, or both: then there is another line
            unified = _ROOT / path.lstrip("/") / "memory.events"
            if unified.exists():
                return unified
    return None


def count_kills(counter: Path) -> int:
    """Return the number of kills; 0 if the engine has removed the control group of the container by now."""
    with suppress(KeyError, ValueError):
        return int(dict(line.split(maxsplit=1) for line in read_text(counter).splitlines())["oom_kill"])
    return 0
