"""The pages of `standpipe ui`: the first one after the command, those of a run of 10,000 tasks, and the memory.

    python ui_pages.py FOLDER

The pipeline root has 100 small runs, a loop of 10,000 iterations, and a pipeline of 10,000 tasks without a loop. Prints
as JSON: the median seconds from the command to its first page (`first`), and of `python -c pass` (`bare`); for both
runs the seconds of each tab when it is opened for the first time after a start of the server and the median when it is
opened again (`loop`, `wide`); and the memory of the server when it has served all of these, in MB (`memory`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from memory import read_pss
from records import record
from scale import SMALL_RUN, loop, wide
from ui_server import Server, serve

RUNS = 100
TASKS = 10_000
TIMES = 7
TABS = ("graph", "timeline", "tasks", "logs", "details", "spec")


def main(root: Path) -> None:
    """Record the runs, measure, and print."""
    for number in range(RUNS):
        record(root, f"small-{number}", SMALL_RUN)
    record(root, "loop", loop(TASKS))
    record(root, "wide", wide(TASKS))
    samples = [(_first_page(root), _bare_interpreter()) for _ in range(TIMES)]
    first, bare = map(median, zip(*samples, strict=True))
    with serve(root) as server:
        server.get("/")
        tabs = {run: {tab: _tab(server, run, tab) for tab in TABS} for run in ("loop", "wide")}
        memory = read_pss(server.pid)
    print(json.dumps({"first": first, "bare": bare, **tabs, "memory": memory}))


def _first_page(root: Path) -> float:
    start = time.perf_counter()
    with serve(root) as server:  # opens the address with the token, which redirects to the page
        server.get("/")
        return time.perf_counter() - start


def _bare_interpreter() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - start


def _tab(server: Server, run: str, tab: str) -> dict[str, float]:
    path = f"/runs/{run}?tab={tab}"
    return {"first": server.time(path), "again": median(server.time(path) for _ in range(TIMES))}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
