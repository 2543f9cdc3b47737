"""Call `local.init` with a new runner many times, with or without a run each, and print what this process holds.

    python -m tests.forks.many ROOT COUNT WAY

`WAY` is `process`, `container` (needs an engine), `unused` (containers without a run) or `variables` (each run has
another fork server). The output is a line of JSON for each of some moments: the processes with the environment variable
STANDPIPE_MARK of this one, file descriptors, threads, and memory in kB.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from standpipe import local
from tests.forks.pipelines import add
from tests.processes import has_variable, process_ids, wait_until


def count_processes() -> int:
    mark = f"STANDPIPE_MARK={os.environ['STANDPIPE_MARK']}"
    return sum(has_variable(pid, mark) for pid in process_ids())


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def usage(fewest: int) -> dict[str, int]:
    """Return what this process holds; if that is more than `fewest` descriptors, once connections had time to close."""
    wait_until(lambda: count_descriptors() <= fewest, 2)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "processes": count_processes(),
        "descriptors": count_descriptors(),
        "threads": threading.active_count(),
        "memory": int(status["VmRSS"].split()[0]),
    }


def main(root: str, count: int, way: str) -> None:
    fewest = sys.maxsize
    for number in range(count):
        runner = local.SubprocessRunner() if way in ("process", "variables") else local.DockerRunner()
        local.init(runner, pipeline_root=root, quiet=True, enable_caching=False)
        if way == "variables":
            os.environ["LANGUAGE"] = str(number)
        if way != "unused":
            assert add(a=number).output == number + 1
        if number % 10 == 9:
            held = usage(fewest)
            fewest = min(fewest, held["descriptors"])
            print(json.dumps(held), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
