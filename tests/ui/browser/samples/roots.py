"""A pipeline root with runs of all kinds, made through the public API.

python -m tests.ui.browser.samples.roots ROOT live FOLDER      a run that waits for the files 1, 2 and 3 in a folder
python -m tests.ui.browser.samples.roots ROOT interrupted      a run whose process is killed
"""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from standpipe import local
from standpipe.errors import TaskFailed
from standpipe.history import Status
from tests.ui.browser.samples import shapes
from tests.ui.browser.samples.training import churn_training

CHECKOUT = Path(__file__).resolve().parents[4]

#: How many iterations the long loop has, and how many MB the long log.
ITERATIONS = 5_000
MEGABYTES = 50
DEPTH = 5


def make_runs(root: Path) -> dict[str, str]:
    """Make runs of all kinds, and return their ids by the kinds.

    Args:
        root: the pipeline root, which may exist.
    """
    root.mkdir(parents=True, exist_ok=True)
    return {kind: make_run(root, kind) for kind in KINDS}


def make_run(root: Path, kind: str) -> str:
    """Make a run of a kind, and return its id."""
    root.mkdir(parents=True, exist_ok=True)
    with suppress(TaskFailed):
        KINDS[kind](root)
    run = local.get_run("latest", pipeline_root=root)
    assert run.status is _STATUSES.get(kind, Status.SUCCEEDED), run
    return run.id


def start(root: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a run in a process of its own, which the caller ends."""
    command = [sys.executable, "-m", __name__, str(root), *arguments]
    return subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL)


def write_customers(path: Path) -> Path:
    """Write the table that the training starts with, unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["customer", "country", "age", "monthly", "leaves"])
            for number in range(480):
                country = ("AT", "JP", "BR")[number % 3]
                table.writerow([number, country, 20 + number * 7 % 55, 10 + number * 13 % 90, number % 7 == 0])
    return path


def _train(root: Path, **arguments: object) -> None:
    customers = write_customers(root / "data" / "customers.csv")
    arguments = {"customers": str(customers), **arguments}
    _run(root, churn_training, arguments, local.SubprocessRunner(), enable_caching=True)


def _run(root: Path, pipeline: object, arguments: dict[str, object], runner: object, **options: object) -> None:
    local.run(pipeline, arguments, runner=runner, pipeline_root=root, quiet=True, **options)  # type: ignore[arg-type]


def _divide_by(divide: Callable[..., float]) -> local.FakeRunner:
    return local.FakeRunner({"load-data": lambda rows: rows, "divide": divide, "save": lambda value: str(value)})


def _divide(rows: int, by: int) -> float:
    return rows / by


def _resume(root: Path) -> None:
    with suppress(TaskFailed):
        _run(root, shapes.broken_division, {}, _divide_by(_divide))
    fixed = _divide_by(lambda rows, by: 1.5)
    local.resume("latest", pipeline=shapes.broken_division, runner=fixed, pipeline_root=root, quiet=True)


def _cancel(root: Path) -> None:
    started = threading.Event()

    def request() -> None:
        started.wait()
        local.get_run("latest", pipeline_root=root).cancel()

    def wait(rows: int, by: int) -> float:
        started.set()
        time.sleep(0.5)
        return rows / (by or 1)

    requester = threading.Thread(target=request)
    requester.start()
    with suppress(KeyboardInterrupt):
        _run(root, shapes.broken_division, {}, _divide_by(wait))
    requester.join()


def _score() -> local.FakeRunner:
    return local.FakeRunner(score=lambda item: item, total=lambda scores: sum(scores))


def _leaf() -> local.FakeRunner:
    return local.FakeRunner(leaf=lambda text: text)


def _interrupt(root: Path) -> None:
    assert start(root, "interrupted").wait() == -signal.SIGKILL


def _be_killed(root: Path) -> None:
    def kill(rows: int, by: int) -> float:
        time.sleep(0.3)  # so that the facts of the tasks before are stored
        os.kill(os.getpid(), signal.SIGKILL)
        return rows / by

    _run(root, shapes.broken_division, {}, _divide_by(kill))


#: What makes a run of each kind. The newest run is the last one; the page of all runs begins with it.
KINDS: dict[str, Callable[[Path], None]] = {
    "long log": lambda root: _run(root, shapes.talkative, {"megabytes": MEGABYTES}, local.SubprocessRunner()),
    "loop": lambda root: _run(root, shapes.long_loop(ITERATIONS), {}, _score()),
    "hostile": lambda root: _run(root, shapes.hostile_page, {}, local.SubprocessRunner()),
    "markup": lambda root: _run(root, shapes.markup, {"text": shapes.QUOTES}, local.SubprocessRunner()),
    "nested": lambda root: _run(root, shapes.nested(DEPTH), {"text": "deep"}, _leaf()),
    "interrupted": _interrupt,
    "cancelled": _cancel,
    "resumed": _resume,
    "failed": lambda root: _run(root, shapes.broken_division, {}, local.SubprocessRunner()),
    "succeeded": lambda root: _train(root),
    "other rates": lambda root: _train(root, rates=[0.2, 0.4], seed=8),
    "cached": lambda root: _train(root),
}
_STATUSES = {"cancelled": Status.CANCELLED, "failed": Status.FAILED, "interrupted": Status.INTERRUPTED}


def main(root: Path, kind: str, *arguments: str) -> None:
    """Make one run in this process."""
    if kind == "live":
        _run(root, shapes.live, {"folder": arguments[0]}, local.SubprocessRunner())
    else:
        _be_killed(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
