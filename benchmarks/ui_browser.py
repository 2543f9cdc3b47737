"""Pages of `standpipe ui` in Chromium.

    python ui_browser.py FOLDER interactive
    python ui_browser.py FOLDER live TASKS TIMES

`interactive` prints as JSON the median milliseconds from the start of the navigation to the event `DOMContentLoaded`,
when the scripts of the page have run: of the page of a run of 10,000 iterations, and of 10,000 tasks without a loop. It
is opened again (`loop`, `wide`), and for the first time after a start of the server as a person does that
(`loop-first`, `wide-first`): a second after the list of runs, the pointer rests on the link for 0.2 s, then clicks.

`live` runs a loop of trivial tasks with the SubprocessRunner, in turns without and with its page open in the browser
since before the loop starts. It prints as JSON the median seconds of both (`alone`, `shown`), and the median of their
ratios in pairs (`ratio`).
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
#: The seconds that a person looks at the list of runs, and then points at a link before the click.
LOOK, REST = 1.0, 0.2
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
    ready = {f"{run}-first": median(_open_first(root, run) for _ in range(TIMES)) for run in ("loop", "wide")}
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


def _open_first(root: Path, run: str) -> float:
    """Return the milliseconds until the page of a run is ready that a person opens from the list of a new server."""
    with serve(root) as server, browse(server) as page:
        time.sleep(LOOK)
        link = page.locator(f".run-link[href='/runs/{run}']")
        link.hover()
        time.sleep(REST)
        with page.expect_navigation(wait_until="domcontentloaded"):
            link.click()
        return float(page.evaluate(READY))


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
    """Return the seconds of a loop of trivial tasks in a process of its own; its page is open before it starts."""
    before = {path.name for path in root.iterdir()}
    gate = root / "gate"
    gate.unlink(missing_ok=True)
    command = [sys.executable, str(Path(__file__).parent / "gated_loop.py"), str(root), str(tasks), str(gate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    run = _new_run(root, before)
    if viewer is not None:
        page, server = viewer
        page.goto(f"http://{server.host}/runs/{run}")
    time.sleep(LOOK)
    gate.touch()
    output, _ = process.communicate()  # meanwhile Playwright has nothing to do, which would count as the page's work
    if process.returncode:
        raise RuntimeError(f"the loop exited with code {process.returncode}")
    return float(json.loads(output)["seconds"])


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
