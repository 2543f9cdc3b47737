"""Failures of the machine: full disks, damaged databases, changed clocks. Mounts are in `slow`."""

from __future__ import annotations

import itertools
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.engine.machine import Machine
from standpipe.errors import StandpipeError, StorageError, TaskFailed
from standpipe.execution import logs
from standpipe.local import FakeRunner
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptStarted,
    Failure,
    Start,
    StartAttempt,
)
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.plan import Retry
from standpipe.model.ports import Log, Runner
from standpipe.model.states import TaskState
from standpipe.runners.api import LocalRunner
from standpipe.runs.driver import Driver
from tests.plans import RUN, dag, node, plan
from tests.runs.test_driver import Kept

PROCESSES = local.SubprocessRunner(use_venv=False)
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")


@dsl.component
def say(text: str) -> str:
    print(text)
    return text


@dsl.component
def fill(data: dsl.Output[dsl.Dataset]) -> None:
    import os

    os.symlink("/dev/full", data.path)
    with open(data.path, "w") as file:
        file.write("x" * 100_000)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(target: Any, runner: LocalRunner = PROCESSES, **arguments: Any) -> Any:
        return local.run(target, arguments, runner=runner, pipeline_root=tmp_path, quiet=False)

    return run


def kinds_of(root: Path, task: str) -> list[str]:
    """Return the kinds of the stored facts of a task."""
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        facts = db.execute("SELECT kind, body FROM facts ORDER BY run, seq").fetchall()
    return [kind for kind, body in facts if json.loads(body).get("task") == [[task, None]]]


# --- disks


@needs_dev_full
def test_a_task_that_fills_the_disk_fails_and_others_finish(run: Any, tmp_path: Path) -> None:
    @dsl.pipeline
    def two() -> None:
        fill()
        say(text="unharmed")

    with pytest.raises(TaskFailed, match=r"Task 'fill' failed: OSError: \[Errno 28\] No space left on device"):
        run(two)
    assert kinds_of(tmp_path, "say")[-1] == "TaskSucceeded"
    assert kinds_of(tmp_path, "fill")[-1] == "TaskFailed"


@needs_dev_full
def test_a_log_that_cannot_be_written_fails_its_task_with_a_hint(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "create_file_in", lambda *_: os.open("/dev/full", os.O_WRONLY))
    message = r"Task 'say' failed: No space left on device at .*say\n\nFree some space, or choose a pipeline root"
    with pytest.raises(TaskFailed, match=message):
        run(say, text="lost")
    assert kinds_of(tmp_path, "say") == ["TaskReady", "AttemptStarted", "TaskFailed"]


FULL_STORE = """
import resource, sys
from standpipe import dsl, local
from standpipe.errors import StorageError
from standpipe.local import FakeRunner

@dsl.component
def say(text: str) -> str:
    return text

@dsl.pipeline
def many():
    with dsl.ParallelFor([str(number) for number in range(400)]) as text:
        say(text=text)

def run(target, arguments):
    runner = FakeRunner(say=lambda text: {"Output": text})
    local.run(target, arguments, runner=runner, pipeline_root=sys.argv[1], quiet=True)

run(say, {"text": "before"})
resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))  # bytes, the largest size of files from here on
try:
    run(many, {})
except StorageError as error:
    print(error)
"""


def test_a_full_run_store_is_an_error_and_keeps_its_facts(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(FULL_STORE)
    root = tmp_path / "root"
    repository = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", root],
        cwd=repository,
        env={"PYTHONPATH": str(repository)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"The run store {root / RUN_STORE_FILE} cannot be used: ")
    assert "Check that the disk is not full" in done.stdout
    assert kinds_of(root, "say")[-1] == "TaskSucceeded", "the first run"


@pytest.mark.parametrize("size", [50, 100, 1000, 4096, 5000, 8192])
def test_a_truncated_database_is_an_error_and_other_files_stay(run: Any, tmp_path: Path, size: int) -> None:
    runner = FakeRunner(say=lambda text: {"Output": text})
    run(say, runner, text="x")
    whole = (tmp_path / RUN_STORE_FILE).read_bytes()
    assert len(whole) > size
    (tmp_path / RUN_STORE_FILE).write_bytes(whole[:size])
    with pytest.raises(StorageError, match=rf"^The run store .*{RUN_STORE_FILE} is damaged: "):
        run(say, runner, text="y")
    assert (tmp_path / RUN_STORE_FILE).read_bytes() == whole[:size], "the user can still repair the damaged file"
    assert len(list(tmp_path.glob("say-*/say/executor_output.json"))) == 1


def test_a_run_that_cannot_be_recorded_leaves_no_folder(run: Any, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="written by a newer Standpipe"):
        run(say, FakeRunner(say=lambda text: {"Output": text}), text="x")
    assert [path.name for path in tmp_path.iterdir()] == [RUN_STORE_FILE]


@pytest.mark.parametrize("at", [0, 16, 18, 100, 4096, 4100])
def test_a_damaged_database_is_read_or_refused(run: Any, tmp_path: Path, at: int) -> None:
    runner = FakeRunner(say=lambda text: {"Output": text})
    run(say, runner, text="x")
    damaged = bytearray((tmp_path / RUN_STORE_FILE).read_bytes())
    damaged[at : at + 64] = b"\xa5" * 64
    (tmp_path / RUN_STORE_FILE).write_bytes(damaged)
    try:
        told = run(say, runner, text="y").output
    except StandpipeError as error:
        told = str(error)
    assert told == "y" or RUN_STORE_FILE in told


def test_a_database_that_is_damaged_during_a_run_ends_it(run: Any, tmp_path: Path) -> None:
    @dsl.pipeline
    def two() -> None:
        say(text=say(text="first").output)

    def damage(text: str) -> dict[str, Any]:
        for path in tmp_path.glob(f"{RUN_STORE_FILE}*"):
            path.write_bytes(b"garbage" * 5000)
        return {"Output": text}

    with pytest.raises(StandpipeError, match=RUN_STORE_FILE):
        run(two, FakeRunner(say=damage, say_2=lambda text: {"Output": text}))


# --- clocks


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Change the clock of the machine back and forth at each call."""
    real, jumps = time.time, itertools.cycle([0.0, -86_400.0, 3_600.0, -10.0, 1e9])
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    return real


def test_clock_changes_do_not_affect_delays_and_order(jumping: Callable[[], float]) -> None:
    began: list[float] = []

    def attempt(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        began.append(time.monotonic())
        return AttemptEnded(command.task, {"y": 1}, Failure("boom") if command.attempt < 3 else None)

    kept = Kept()
    machine = Machine(plan(dag(replace(node("a"), retry=Retry(5, 0.03, 1.0)))), RUN, max_parallel=2)
    ended = Driver(machine, attempt, [kept]).run(Start({}))
    assert ended.state is TaskState.SUCCEEDED
    gaps = [after - before for before, after in itertools.pairwise(began)]
    assert len(gaps) == 3
    assert all(0.03 <= gap < 2 for gap in gaps)
    told = [fact.at for fact in kept.facts if isinstance(fact, (AttemptStarted, AttemptFailed))]
    assert told == sorted(told)
    assert told[-1] - told[0] == pytest.approx(began[-1] - began[0], abs=0.05)


def test_clock_changes_do_not_affect_durations(
    run: Any, jumping: Callable[[], float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(say, FakeRunner(say=lambda text: {"Output": text}), text="x").output == "x"
    seconds = [float(found) for found in re.findall(r" in (\S+) s$", capsys.readouterr().out, re.MULTILINE)]
    assert len(seconds) == 2
    assert all(0 <= each < 20 for each in seconds)


# --- defects


class Defective(FakeRunner):
    """A runner with a defect that only the tasks `fill` meet."""

    def open(self) -> Runner:
        runner = super().open()

        class Broken:
            def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
                if request.task.name == "fill":
                    raise AttributeError("userbase")
                return runner.run(request, log=log, cancel=cancel)

            fingerprint, capacity, close = runner.fingerprint, runner.capacity, runner.close

        return Broken()


def test_a_defect_fails_its_task_and_others_finish(run: Any, tmp_path: Path) -> None:
    @dsl.pipeline
    def several() -> None:
        fill()
        say(text=say(text="a").output)

    with pytest.raises(TaskFailed, match="Task 'fill' failed: Standpipe itself failed: AttributeError: userbase"):
        run(several, Defective(say=lambda text: text, fill=lambda data: None))
    assert kinds_of(tmp_path, "say-2")[-1] == "TaskSucceeded"
    assert kinds_of(tmp_path, "fill")[-1] == "TaskFailed"
