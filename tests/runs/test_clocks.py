"""Runs on a machine whose clock is set, or that works on another day."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.local import FakeRunner
from tests.processes import CHECKOUT, wait_until

DAY = 86400.0

PROGRAM = """
import sys
from standpipe import dsl, local

@dsl.component
def flaky(folder: str) -> int:
    import os
    number = len(os.listdir(folder))
    open(f"{folder}/{number}", "w").close()
    if number < 3:
        raise ValueError(f"failure {number}")
    return number

@dsl.pipeline
def retrying(folder: str) -> int:
    return flaky(folder=folder).set_retry(3, backoff_duration="2s", backoff_factor=1).output

local.run(retrying, {"folder": sys.argv[1]}, pipeline_root=sys.argv[2], runner=local.SubprocessRunner())
"""


def rows(root: Path, statement: str) -> list[tuple[float, str]]:
    with closing(sqlite3.connect(root / "runs.sqlite")) as db:
        return db.execute(statement).fetchall()


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


@pytest.mark.parametrize("offset", [-DAY, DAY], ids=["set back", "on another day"])
def test_a_run_that_waits_for_a_retry_is_resumed_at_another_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: float
) -> None:
    """Its process is killed while the task waits for its first retry; no retry is lost, and no wait is longer."""
    folder, root = tmp_path / "folder", tmp_path / "root"
    folder.mkdir()
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    failures = "SELECT at, body FROM facts WHERE kind = 'AttemptFailed'"
    with subprocess.Popen(
        [sys.executable, str(script), str(folder), str(root)], cwd=CHECKOUT, stderr=subprocess.DEVNULL
    ) as process:
        assert wait_until(lambda: list(folder.iterdir()) and rows(root, failures), 60)
        process.kill()
    set_clock(monkeypatch, offset)
    start = time.monotonic()
    task = local.resume("latest", pipeline_root=root, runner=local.SubprocessRunner(), quiet=True)
    assert task.output == 3
    assert time.monotonic() - start < 120
    run = local.get_run("latest", root)
    flaky = run.task("flaky")
    assert len(flaky.attempts) == 4
    times = [at for at, _ in rows(root, "SELECT at, kind FROM facts ORDER BY seq")]
    assert times == sorted(times)
    assert run.started
    assert run.ended
    assert flaky.started
    assert flaky.ended
    assert flaky.started <= flaky.ended <= run.ended
    assert run.started < run.ended
    durations = [run.duration, flaky.duration, *(attempt.duration for attempt in flaky.attempts)]
    assert all(duration is not None and 0 <= duration < 200 for duration in durations)
    for at, body in rows(root, failures):
        assert at == pytest.approx(json.loads(body)["failed_at"], abs=1)


@dsl.component
def one() -> int:
    return 1


@dsl.component
def failing() -> int:
    return 1


def boom() -> dict[str, int]:
    raise ValueError("boom")


def test_the_latest_run_is_the_one_that_was_started_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local.init(runner=FakeRunner(one=lambda: {"Output": 1}, failing=boom), pipeline_root=tmp_path, quiet=True)
    one()
    import standpipe.runs.launch as launch

    class Earlier(datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return datetime(2020, 1, 1, tzinfo=tz)  # the same moment for all runs

    monkeypatch.setattr(launch, "datetime", Earlier)
    set_clock(monkeypatch, -1000 * DAY)
    for _ in range(2):
        with pytest.raises(TaskFailed):
            failing()
    assert [run.pipeline for run in local.runs(tmp_path)] == ["failing", "failing", "one"]
    latest = local.get_run("latest", tmp_path)
    assert latest.id == "failing-2020-01-01-00-00-00-000001", "the other one has the name of that moment"
    assert latest.duration is not None
    assert latest.duration >= 0
