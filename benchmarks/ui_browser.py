"""Pages of `standpipe ui` in Chromium.

    python ui_browser.py FOLDER interactive
    python ui_browser.py FOLDER live TASKS TIMES

`interactive` prints as JSON the median milliseconds from the start of the navigation to the event `DOMContentLoaded`,
when the scripts of the page have run (`loop`, `wide`): of the page of a run of 10,000 iterations, and of 10,000 tasks
without a loop.

`live` runs a loop of trivial tasks with the SubprocessRunner, in turns without and with its page open in the browser.
It prints as JSON the median seconds of both (`alone`, `shown`), and the median of their ratios in pairs (`ratio`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from records import record
from scale import loop, wide
from ui_server import Server, serve

TASKS = 10_000
TIMES = 5
#: The milliseconds from the start of the navigation until the scripts of the page have run.
READY = "() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"


@contextmanager
def browse(server: Server) -> Iterator[Page]:
    """Open the address of a server in Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = os.environ.get("STANDPIPE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        sys.exit("no Chromium on the PATH")
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_page()
        page.goto(server.address)
        yield page
        browser.close()


def measure_interactive(root: Path) -> None:
    """Measure how long pages of large runs take to be ready, and print."""
    record(root, "loop", loop(TASKS))
    record(root, "wide", wide(TASKS))
    ready: dict[str, float] = {}
    with serve(root) as server, browse(server) as page:
        for run in ("loop", "wide"):
            address = f"http://{server.host}/runs/{run}"
            page.goto(address)  # reads the run
            samples = []
            for _ in range(TIMES):
                page.goto(address)
                samples.append(page.evaluate(READY))
            ready[run] = median(samples)
    print(json.dumps(ready))


def measure_live(root: Path, tasks: int, times: int) -> None:
    """Measure a run without and with its page open, and print."""
    with serve(root) as server, browse(server) as page:
        page.goto("about:blank")
        run_loop(root, tasks)  # fills the caches
        pairs = []
        for _ in range(times):
            page.goto("about:blank")
            alone = run_loop(root, tasks)
            pairs.append((alone, run_loop(root, tasks, (page, server))))
    alone, shown = (median(column) for column in zip(*pairs, strict=True))
    print(json.dumps({"alone": alone, "shown": shown, "ratio": median(after / before for before, after in pairs)}))


def run_loop(root: Path, tasks: int, viewer: tuple[Page, Server] | None = None) -> float:
    """Return the seconds of a loop of trivial tasks in a process of its own; open its page when it begins."""
    before = {path.name for path in root.iterdir()}
    command = [sys.executable, str(Path(__file__).parent / "trivial_loop.py"), str(root), str(tasks)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if viewer is not None:
        page, server = viewer
        page.goto(f"http://{server.host}/runs/{_new_run(root, before)}", wait_until="commit")
    while process.poll() is None:
        if viewer is not None:
            viewer[0].wait_for_timeout(50)
        time.sleep(0.05)
    assert process.stdout is not None
    with process.stdout:
        if process.returncode:
            raise RuntimeError(f"the loop exited with code {process.returncode}")
        return float(json.load(process.stdout)["seconds"])


def _new_run(root: Path, before: set[str]) -> str:
    """Return the id of the second run that begins; the first one is a warm-up."""
    while True:
        new = sorted(path.name for path in root.glob("loop-*") if path.name not in before)
        if len(new) > 1:
            return new[-1]
        time.sleep(0.01)


if __name__ == "__main__":
    if sys.argv[2] == "interactive":
        measure_interactive(Path(sys.argv[1]))
    else:
        measure_live(Path(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4]))
