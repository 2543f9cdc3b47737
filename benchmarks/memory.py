"""The memory of a process and all that it has started."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sides import Failed

#: The seconds between two samples.
_INTERVAL = 0.05

_PROC = Path("/proc")
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def peak_memory(command: list[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Run a program, and return the most memory that its processes had at once, in MB.

    It is the sum of their PSS: pages that several processes share count once.

    Raises:
        Failed: if its exit code is not 0, or the system does not tell.
    """
    if not (_PROC / "self" / "smaps_rollup").exists():
        raise Failed("this system does not tell the PSS of a process")
    peak = 0.0
    with open(folder / "output.txt", "wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        while process.poll() is None:
            peak = max(peak, sum(map(read_pss, _find_family(process.pid))))
            time.sleep(_INTERVAL)
    if process.returncode:
        raise Failed((folder / "output.txt").read_text(errors="replace")[-2000:])
    return peak


def _find_family(pid: int) -> set[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it has ended
                # Behind the name, which is in parentheses and may hold any, come the state and the parent (proc(5)).
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    family, left = set[int](), [pid]
    while left:
        family.add(left[-1])
        left += children.get(left.pop(), [])
    return family


def read_pss(pid: int) -> float:
    """Return the memory of a process in MB: its PSS. It is 0 if the process has ended."""
    with suppress(OSError):  # it has ended
        match = _PSS.search((_PROC / str(pid) / "smaps_rollup").read_text())
        return int(match[1]) / 1e3 if match else 0.0
    return 0.0
