"""Processes that are killed at random moments leave no processes of their tasks."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from standpipe.model.cancellation import Cancellation
from tests.processes import command_of, has_variable, is_alive, process_ids, wait_until
from tests.runners.bench import Bench, Fixed

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="it takes /proc")]

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.runners.bench import Bench, Fixed
bench = Bench(Path({folder!r}), Fixed(Path(sys.executable)))
SOURCE = '''
def f(n: int):
    subprocess.Popen(["sh", "-c", "trap '' INT TERM; setsid sleep 60 & sleep 60"], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(60)
        os._exit(0)
    time.sleep(0.3 if n % 2 else 60)
'''
print("ready", flush=True)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda n: bench.run(SOURCE, {{"n": n}}), range(1, 100, 2)))
    print("over", flush=True)
"""


def marked(mark: str) -> dict[int, str]:
    """Return the processes that were started with an environment variable, with their commands."""
    return {pid: command_of(pid) for pid in process_ids() if has_variable(pid, mark)}


@contextlib.contextmanager
def program(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process that runs tasks with daemons; return it and the variable that marks its processes."""
    mark = f"STANDPIPE_TEST={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    command = [sys.executable, "-c", PROGRAM.format(root=str(ROOT), folder=str(folder))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, name: value}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process, mark
        finally:
            for pid in marked(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_left_of_a_main_process_that_was_killed(tmp_path: Path, seed: int) -> None:
    with program(tmp_path) as (process, mark):
        time.sleep(random.Random(seed).uniform(0, 1.2))
        os.kill(process.pid, signal.SIGKILL)

        assert wait_until(lambda: not marked(mark), seconds=1), marked(mark)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_left_of_a_fork_server_that_was_killed(tmp_path: Path, seed: int) -> None:
    with program(tmp_path) as (process, mark):
        assert wait_until(lambda: any("boot.py serve" in command for command in marked(mark).values()))
        time.sleep(random.Random(seed).uniform(0.2, 1.0))
        before = marked(mark)
        server = min(pid for pid, command in before.items() if "boot.py serve" in command)
        os.kill(server, signal.SIGKILL)

        assert wait_until(lambda: not (before.keys() - {process.pid}) & marked(mark).keys(), seconds=5)


def test_a_gigabyte_of_output_takes_no_memory(tmp_path: Path) -> None:
    class Counted:
        size = 0

        def write(self, data: bytes) -> None:
            self.size += len(data)

    bench, log = Bench(tmp_path, Fixed(Path(sys.executable))), Counted()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = "def f():\n  for _ in range(1024): sys.stdout.buffer.write(b'x' * (1 << 20))"
    with ThreadPoolExecutor() as pool:
        outcome = pool.submit(bench.runner.run, bench.request(source), log=log, cancel=Cancellation()).result(
            timeout=100
        )
    bench.runner.close()

    assert outcome.succeeded
    assert log.size == 1 << 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000, "kilobytes"


def test_a_task_that_goes_on_after_it_has_reported_its_end_is_killed(tmp_path: Path) -> None:
    """The task writes to the socket on which its end is reported."""
    bench = Bench(tmp_path, Fixed(Path(sys.executable)))
    source = """
def f(file: str):
    open(file, "w").write(str(os.getpid()))
    for descriptor in range(3, 50):
        try:
            os.fstat(descriptor).st_mode & 0o140000 == 0o140000 and os.write(descriptor, b'{"code": 3}\\n')
        except OSError:
            continue
    time.sleep(600)
"""
    assert bench.run(source, {"file": str(tmp_path / "pid")})[0].exit_code == 3
    pid = int((tmp_path / "pid").read_text())
    assert wait_until(lambda: not is_alive(pid))
    bench.runner.close()
