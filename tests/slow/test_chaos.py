"""A run of 60 tasks whose processes are killed at random moments and which is resumed: `make chaos`.

`STANDPIPE_KILLS` is the number of kills (20 by default), `STANDPIPE_CHAOS_SEED` the seed of the random numbers.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from standpipe.model.events import AttemptStarted, RunEnded, RunResumed, TaskSucceeded
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.store.reading import run_facts, run_rows

from .docker_engine import IMAGE, leave_out

KILLS = int(os.environ.get("STANDPIPE_KILLS", "20"))
SEED = int(os.environ.get("STANDPIPE_CHAOS_SEED", "0")) or random.randrange(10**6)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 30 * KILLS)]

PROGRAM = Path(__file__).parent.parent / "chaos" / "program.py"

#: Seconds after which no process of a killed one may run.
PATIENCE = 1.0

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes in /proc")


class Chaos:
    """Runs the program in a pipeline root and finds its processes by an environment variable."""

    def __init__(self, root: Path, runner: str) -> None:
        self.root, self.runner = root, runner
        self.mark = f"STANDPIPE_CHAOS={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.environment = {**os.environ, name: value}

    def start(self, seed: int, run: str | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAM), str(self.root), self.runner, str(seed), *([run] if run else [])]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=self.environment)

    def processes(self) -> set[int]:
        """Return the processes of the programs that still run."""
        found = set()
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
                    if self.mark.encode() in file.read().split(b"\0") and _runs(int(entry)):
                        found.add(int(entry))
        return found

    def until_nothing_is_left(self) -> None:
        end = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.02)
        assert not left, [_command(pid) for pid in left]

    def check_store(self) -> None:
        if (self.root / "runs.sqlite").exists():
            with closing(sqlite3.connect(self.root / "runs.sqlite")) as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    @property
    def latest(self) -> str | None:
        rows = run_rows(self.root)
        return rows[0].id if rows else None

    def to_the_end(self, seed: int, kill: Callable[[subprocess.Popen[str]], object]) -> dict[str, Any]:
        """Start a run, call `kill`, and resume the run until it ends; return its outputs."""
        before = self.latest
        process = self.start(seed)
        kill(process)
        for _ in range(20):
            told, errors = process.communicate(timeout=60)
            assert process.returncode in (0, 10, -signal.SIGKILL), errors
            self.until_nothing_is_left()
            self.check_store()
            if process.returncode == 0:
                assert self.latest
                check_no_task_ran_twice(self.root, self.latest)
                return json.loads(told)
            run = self.latest if self.latest != before else None  # otherwise it was killed before it began
            process = self.start(seed, run)
            if process.returncode is None and random.randrange(3) == 0:
                kill(process)
        raise AssertionError(f"20 times was not enough: {errors}")


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
                "of what was killed, nothing that is done is done again"
            )
            done -= set(fact.rerun_tasks)
        elif isinstance(fact, TaskSucceeded):
            done.add(fact.task)
        elif isinstance(fact, AttemptStarted):
            assert fact.task not in done, fact
            assert fact.attempt == began[fact.task], "each attempt has a number of its own"
            began[fact.task] += 1


def _runs(pid: int) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _command(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
        return file.read().replace("\0", " ")
    return str(pid)


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[Chaos]:
    random.seed(SEED)
    print(f"STANDPIPE_CHAOS_SEED={SEED}")  # shown when the test fails
    made = Chaos(tmp_path, "SubprocessRunner")
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)


def undisturbed(chaos: Chaos, seed: int) -> tuple[dict[str, Any], float]:
    """Return the outputs of an undisturbed run in another folder, and its duration in seconds."""
    alone = Chaos(chaos.root / "undisturbed", chaos.runner)
    start = time.monotonic()
    outputs = alone.to_the_end(seed, lambda process: None)
    return outputs, time.monotonic() - start


def after(seconds: float, kill: Callable[[subprocess.Popen[str]], object]) -> Callable[[subprocess.Popen[str]], None]:
    """Return a function that kills at a random moment within some seconds."""

    def disturb(process: subprocess.Popen[str]) -> None:
        time.sleep(random.uniform(0, seconds))
        kill(process)

    return disturb


@needs_proc
def test_the_main_process_is_killed(chaos: Chaos) -> None:
    expected, seconds = undisturbed(chaos, 0)
    killed = 0

    def kill(process: subprocess.Popen[str]) -> None:
        nonlocal killed
        killed += process.poll() is None
        process.kill()

    for number in range(KILLS):
        outputs = chaos.to_the_end(number, after(seconds, kill))
        assert outputs == {**expected, "total": expected["total"] + number}
    assert killed >= KILLS / 4


@needs_proc
@pytest.mark.parametrize("victim", ["fork server", "task"])
def test_another_process_is_killed(chaos: Chaos, victim: str) -> None:
    expected, seconds = undisturbed(chaos, 5)

    def kill(process: subprocess.Popen[str]) -> None:
        others = sorted(chaos.processes() - {process.pid})
        servers = [pid for pid in others if "boot.py" in _command(pid) and _parent(pid) == process.pid]
        found = servers if victim == "fork server" else [pid for pid in others if _parent(pid) in servers]
        if found:
            with suppress(ProcessLookupError):
                os.kill(random.choice(found), signal.SIGKILL)

    for _ in range(max(2, KILLS // 4)):
        outputs = chaos.to_the_end(5, after(seconds, kill))
        assert outputs == expected


def _parent(pid: int) -> int:
    with suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
    return 0


class PrivateEngine:
    """A separate Docker engine with the image of the tasks, which can be killed without effect on other tests.

    It has a network of its own: an engine without a bridge would remove the bridge of another engine.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = [f"--{name}={self.folder}/{name}" for name in ("data-root", "exec-root")]
        options += [f"--pidfile={self.folder}/docker.pid", f"--host={self.host}", "--bridge=none", "--iptables=false"]
        (self.folder / "docker.pid").unlink(missing_ok=True)
        with open(self.folder / "log.txt", "ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "dockerd", *options, "--ip6tables=false"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while self.docker("version").returncode:
            assert time.monotonic() < end, (self.folder / "log.txt").read_text()[-2000:]
            assert self._process.poll() is None, (self.folder / "log.txt").read_text()[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop the engine and everything that it started."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
        for pid in [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]:
            if str(self.folder) in _command(pid) and pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def docker(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["docker", "--host", self.host, *arguments], capture_output=True, check=False, **options)


@pytest.fixture
def engine(docker_client: object) -> Iterator[PrivateEngine]:
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("unshare"):
        leave_out("only root, with a dockerd, can start an engine to be killed")
    with tempfile.TemporaryDirectory(prefix="standpipe-engine-", ignore_cleanup_errors=True) as folder:
        made = PrivateEngine(Path(folder))
        try:
            made.start()
            image = subprocess.run(["docker", "save", IMAGE], capture_output=True, check=True).stdout
            loaded = made.docker("load", input=image)
            assert loaded.returncode == 0, loaded.stderr
            yield made
        finally:
            made.stop()


@needs_proc
def test_the_container_engine_is_killed(chaos: Chaos, engine: PrivateEngine) -> None:
    expected, _ = undisturbed(chaos, 3)
    chaos.runner = "DockerRunner"
    chaos.environment["DOCKER_HOST"] = engine.host
    process = chaos.start(3)
    end = time.monotonic() + 60
    while len(engine.docker("ps", "-q", "--all").stdout.split()) < 2:
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
    time.sleep(random.uniform(0, 4))
    engine.kill()
    told, errors = process.communicate(timeout=120)
    assert process.returncode == 10, (told, errors)
    chaos.check_store()
    engine.start()
    assert chaos.latest
    for _ in range(3):  # a container that the engine lost may block the first attempts
        process = chaos.start(3, chaos.latest)
        told, errors = process.communicate(timeout=240)
        if process.returncode == 0:
            break
    assert process.returncode == 0, errors
    assert json.loads(told) == expected
    check_no_task_ran_twice(chaos.root, chaos.latest)
    chaos.until_nothing_is_left()  # nor the process that waits for the engine to remove its containers
    assert engine.docker("ps", "-q", "--all").stdout == b""
