"""Kills programs at random moments, takes the last facts from their stores, and checks what they leave."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from standpipe.model.events import AttemptStarted, RunEnded, RunResumed, TaskSucceeded
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.store.reading import run_facts, run_rows
from tests.chaos.pipelines import EXPECTED, LINES
from tests.processes import command_of, has_variable, is_alive, process_ids

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "tests.chaos.program"

#: Seconds after which no process of a killed one may run, on a busy machine; and if it removes containers.
PATIENCE = 5.0
PATIENCE_WITH_CONTAINERS = 40.0

#: A run that does not end after so many kills makes no progress.
MOST_STARTS = 60

Process = subprocess.Popen[str]


class Chaos:
    """Runs a pipeline in a pipeline root, and finds its processes by an environment variable.

    Attributes:
        kills: the number of programs that were running when they were killed.
        kills_in_a_row: the number of those that had been started after a kill.
        losses: the number of times that the last facts were taken from the store.
        runs: the number of runs that ended.
    """

    def __init__(self, root: Path, pipeline: str, runner: str = "SubprocessRunner") -> None:
        self.root, self.pipeline, self.runner = root, pipeline, runner
        self.mark = f"STANDPIPE_CHAOS={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.environment = {**os.environ, name: value}
        self.kills = self.kills_in_a_row = self.losses = self.runs = 0
        self._forgotten: Counter[str] = Counter()  # starts of attempts that were taken from the store, by task
        self._logs: set[int] = set()  # the inodes of the logs of all attempts so far
        root.mkdir(parents=True, exist_ok=True)
        (root / "source.txt").write_text("".join(LINES))

    # --- programs -----------------------------------------------------------------------------------------------------

    def start(self, seed: int, run: str | None = None) -> Process:
        command = [sys.executable, "-m", PROGRAM, str(self.root), self.runner, self.pipeline, str(seed)]
        command += [run] if run else []
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=self.environment, cwd=ROOT)

    def processes(self) -> set[int]:
        """Return the processes of the programs that still run."""
        return {pid for pid in process_ids() if has_variable(pid, self.mark) and is_alive(pid)}

    def until_nothing_is_left(self) -> None:
        end = time.monotonic() + (PATIENCE_WITH_CONTAINERS if self.runner == "DockerRunner" else PATIENCE)
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.02)
        assert not left, {pid: command_of(pid) for pid in left}

    @property
    def latest(self) -> str | None:
        rows = run_rows(self.root)
        return rows[0].id if rows else None

    def to_the_end(
        self, seed: int, disturb: Callable[[Process, bool], object], *, losses: float = 0.0, failures: bool = False
    ) -> None:
        """Start a run, and resume it until it ends with the right outputs.

        Args:
            seed: the seed of the pipeline.
            disturb: called with each program that was started, and whether it starts the run.
            losses: how often a program that was killed loses the last facts, from 0 to 1.
            failures: whether tasks may fail.
        """
        before, run = self.latest, None
        for number in range(MOST_STARTS):
            process = self.start(seed, run)
            disturb(process, number == 0)
            output, errors = process.communicate(timeout=120)
            assert process.returncode in (0, -signal.SIGKILL, *([10] if failures else [])), errors
            self.until_nothing_is_left()
            if process.returncode and random.random() < losses:
                self.lose_facts()
            self.check()
            run = self.latest if self.latest != before else None  # otherwise it was killed before it was recorded
            if process.returncode == 0:
                assert json.loads(output) == EXPECTED[self.pipeline](seed), errors
                self.runs += 1
                return
        raise AssertionError(f"{MOST_STARTS} times was not enough: {errors}")

    def kill_within(self, seconds: float) -> Callable[[Process, bool], None]:
        """Return a function that kills each first program, and every second later one, at a random moment.

        Most are killed within some seconds after they have begun with the run, a few within that of their start.
        """
        kills = 0

        def disturb(process: Process, is_first: bool) -> None:
            nonlocal kills
            kills = 0 if is_first else kills
            if not is_first and random.randrange(2):
                return
            if random.randrange(8):
                self.until_run_begins(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(0, seconds))
            if process.poll() is None:
                process.kill()
                self.kills += 1
                self.kills_in_a_row += kills > 0
                kills += 1

        return disturb

    def until_run_begins(self, process: Process) -> None:
        """Wait until a program has locked its run, or has ended."""
        while process.poll() is None:
            if any(_read(lock) == str(process.pid) for lock in self.root.glob("*/.running")):
                return
            time.sleep(0.005)

    def lose_facts(self) -> None:
        """Cut the write-ahead logs of the store and the cache at a random byte, or remove them."""
        before = self._starts()
        for log in self.root.glob("*.sqlite-wal"):
            if random.randrange(3):
                os.truncate(log, random.randrange(log.stat().st_size + 1))
            else:
                log.unlink()
            if random.randrange(2):
                log.with_name(log.name.replace("-wal", "-shm")).unlink(missing_ok=True)
        self._forgotten += before - self._starts()
        self.losses += 1

    # --- checks -------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check the store, and that no task that had succeeded is executed again."""
        logs = {path.stat().st_ino for path in self.root.rglob("log.txt")}
        assert logs >= self._logs, "no folder of an attempt is removed"
        self._logs = logs
        if not (self.root / "runs.sqlite").exists():
            return
        for file in self.root.glob("*.sqlite"):
            with closing(sqlite3.connect(file)) as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for row in run_rows(self.root):
            check_no_task_ran_twice(self.root, row.id)
        if not self.losses:
            assert not list(self.root.glob("*/.lost")), "the store knows every folder"
        effects = self.root / "effects.txt"
        done = Counter(effects.read_text().split() if effects.exists() else ())
        assert done <= self._starts() + self._forgotten, "each execution is known"
        succeeded = self._count(TaskSucceeded)
        assert all(count >= succeeded[name] for name, count in done.items() if self.pipeline != "imports")

    def _starts(self) -> Counter[str]:
        return self._count(AttemptStarted)

    def _count(self, kind: type[AttemptStarted | TaskSucceeded]) -> Counter[str]:
        """Return how many facts of a kind the store has of each task, in all runs."""
        facts = (fact for row in run_rows(self.root) for _, fact in run_facts(self.root, row))
        return Counter(fact.task.name for fact in facts if isinstance(fact, kind) and fact.task.iteration is None)


def check_no_task_ran_twice(root: Path, run: str) -> None:
    """Check that no task that had succeeded was started again, unless an upstream task had failed."""
    (row,) = [row for row in run_rows(root) if row.id == run]
    done: set[TaskRef] = set()
    began: Counter[TaskRef] = Counter()
    ended_badly = False
    for _, fact in run_facts(root, row):
        if isinstance(fact, RunEnded):
            ended_badly = fact.state is not TaskState.SUCCEEDED
        if isinstance(fact, RunResumed):
            assert ended_badly or done.isdisjoint(fact.rerun_tasks), (
                "a task that has succeeded before a kill does not run again"
            )
            done -= set(fact.rerun_tasks)
        elif isinstance(fact, TaskSucceeded):
            done.add(fact.task)
        elif isinstance(fact, AttemptStarted):
            assert fact.task not in done, fact
            assert fact.attempt == began[fact.task], "each attempt has a number of its own"
            began[fact.task] += 1


def _read(path: Path) -> str:
    with suppress(FileNotFoundError):
        return path.read_text()
    return ""


def undisturbed(chaos: Chaos, seed: int) -> float:
    """Return the duration of an undisturbed run in another folder, in seconds."""
    alone = Chaos(chaos.root / "undisturbed", chaos.pipeline, chaos.runner)
    alone.environment = chaos.environment
    alone.to_the_end(seed, lambda *_: None)
    return run_rows(alone.root)[0].seconds
