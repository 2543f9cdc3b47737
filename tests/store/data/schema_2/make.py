"""Make the sample store that `tests/store/test_old_stores.py` reads: runs.sqlite of schema 2, cache.sqlite of schema 1.

It was made by commit 1f919eb, on Linux with Python 3.11:

    git worktree add ../old 1f919eb
    cp -r tests/store/data/schema_2 ../old/sample
    cd ../old && python scripts/bootstrap dev && .venv/bin/python sample/make.py

It writes to ROOT. The folder `root` beside this file is a copy of ROOT: both databases byte for byte, and of each
attempt its outputs, `error.json` and `log.txt`. The databases hold absolute paths, all of which begin with ROOT; a test
that copies the sample replaces ROOT by the path of its copy.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import ModuleType

ROOT = Path("/tmp/standpipe-sample")
FOLDER = Path(__file__).resolve().parent
GATE = ROOT / "gate"


def main() -> None:
    sys.path.insert(0, str(FOLDER))
    import pipelines  # type: ignore[import-not-found]

    from standpipe import local

    if len(sys.argv) > 1:  # the process that is killed
        initialize(local)
        pipelines.waiting(gate=str(GATE))
        return
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    (ROOT / "imported.csv").write_text("imported\n")
    os.environ["SAMPLE_TOKEN"] = "token-of-the-sample-store"
    initialize(local)
    make_runs(pipelines, local)
    copy()


def initialize(local: ModuleType) -> None:
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=ROOT,
        raise_on_error=False,
        quiet=True,
        enable_caching=True,
    )


def make_runs(pipelines: ModuleType, local: ModuleType) -> None:
    for _ in range(2):  # of the second run all tasks are cached
        pipelines.everything(path=str(ROOT / "imported.csv"))
    first = local.runs()[-1]
    local.rerun_task(first, "sample-training/for-loop-1/1/train")

    pipelines.failing(gate=str(GATE))  # to be resumed by tests
    local.run(pipelines.failing, {"gate": str(GATE)}, enable_caching=False)
    GATE.touch()
    local.resume("latest")
    GATE.unlink()

    local.run(pipelines.secret, secrets=["SAMPLE_TOKEN"], enable_caching=False)
    interrupt(local, cancel=True)
    interrupt(local, cancel=False)


def interrupt(local: ModuleType, *, cancel: bool) -> None:
    """Cancel a run whose task waits, or kill its process."""
    process = subprocess.Popen([sys.executable, __file__, "waiting"])
    while True:
        newest = local.get_run("latest")
        if newest.pipeline == "sample-waiting" and newest.status.name == "RUNNING":
            tasks = {task.name: task for task in newest.tasks}
            if "wait" in tasks and tasks["wait"].attempts:
                break
        time.sleep(0.05)
    if cancel:
        newest.cancel()
    else:
        process.send_signal(signal.SIGKILL)
    process.wait()


def copy() -> None:
    target = FOLDER / "root"
    shutil.rmtree(target, ignore_errors=True)
    for name in ("runs.sqlite", "cache.sqlite"):  # the process that was killed left a write-ahead log
        with closing(sqlite3.connect(ROOT / name)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".running", ".stop", "request.json", "*executor*"))


if __name__ == "__main__":
    main()
