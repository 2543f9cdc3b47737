"""Whole programs with real processes and containers, as users and CI run them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import command_of, process_ids

from .disks import mount_small_disk
from .docker_engine import wait_for

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from standpipe import dsl, local

def run(target, runner="SubprocessRunner", **arguments):
    return local.run(target, arguments, runner=getattr(local, runner)(), pipeline_root="root")

@dsl.component
def add(a: int, b: int = 1) -> int:
    return a + b

@dsl.component
def sleep(mark: str, stubborn: bool = False) -> int:
    import signal, subprocess, sys, time
    if stubborn:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    for own_session in (False, True):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", mark], start_new_session=own_session)
    print("ready", flush=True)
    time.sleep(300)
    return 1

@dsl.component
def write(megabytes: int, data: dsl.Output[dsl.Dataset]):
    with open(data.path, "wb") as file:
        for _ in range(megabytes):
            file.write(b"x" * 1_000_000)

@dsl.component
def say(lines: int) -> int:
    for number in range(lines):
        print("x" * 1000)
    return lines

@dsl.pipeline
def nap(mark: str, stubborn: bool = False):
    first = sleep(mark=mark, stubborn=stubborn)
    sleep(mark=mark, stubborn=stubborn)
    sleep(mark=mark, stubborn=stubborn).after(first)
"""


@dataclass(frozen=True)
class Programs:
    """Runs programs in a folder of their own, where `root` is the pipeline root."""

    folder: Path

    def start(self, body: str, **environment: str) -> subprocess.Popen[str]:
        program = self.folder / f"program_{len(list(self.folder.iterdir()))}.py"
        program.write_text(PROGRAM + body)
        return subprocess.Popen(
            [sys.executable, str(program)],
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self.folder / "tmp"), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, body: str, **environment: str) -> str:
        with self.start(body, **environment) as program:
            assert program.stdout is not None
            printed = program.stdout.read()
        return f"{printed}\nended with {program.returncode}"

    def fails(self, body: str, **environment: str) -> str:
        printed = self.run(body, **environment)
        assert printed.endswith("ended with 1"), printed
        return printed.partition("standpipe.errors.")[2]

    @property
    def mark(self) -> str:
        """Return an argument that only the processes of these programs have."""
        return f"mark-{self.folder}"

    def processes(self) -> list[str]:
        commands = map(command_of, process_ids())
        return [command for command in commands if self.mark in command or str(self.folder / "root") in command]

    def facts(self) -> list[tuple[str, Any]]:
        with contextlib.closing(sqlite3.connect(self.folder / "root" / "runs.sqlite")) as db:
            rows = db.execute("SELECT kind, body FROM facts ORDER BY run, seq").fetchall()
        return [(kind, json.loads(body)) for kind, body in rows]


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    (tmp_path / "tmp").mkdir()
    return Programs(tmp_path)


@pytest.fixture(params=["SubprocessRunner", "DockerRunner"])
def runner(request: pytest.FixtureRequest) -> str:
    if request.param == "DockerRunner":
        request.getfixturevalue("docker_client")
    return str(request.param)


# --- signals


def napping(programs: Programs, runner: str, *, stubborn: bool = False) -> subprocess.Popen[str]:
    """Start a program and wait until two of its tasks sleep, each with a child and a daemon."""
    program = programs.start(f"run(nap, {runner!r}, mark={programs.mark!r}, stubborn={stubborn})")
    assert program.stdout is not None
    for _ in range(2):
        for line in program.stdout:
            if line.rstrip().endswith("ready"):
                break
    return program


@pytest.mark.parametrize("whole_group", [False, True], ids=["process", "group"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_processes_and_cancels_the_run(
    programs: Programs, runner: str, number: signal.Signals, whole_group: bool
) -> None:
    with napping(programs, runner) as program:
        (os.killpg if whole_group else os.kill)(program.pid, number)
        assert program.stdout is not None
        printed = program.stdout.read()
    assert program.returncode == -number, printed
    assert "Cancelling" in printed
    wait_for(lambda: not programs.processes())
    assert programs.facts()[-1] == ("RunEnded", {"state": "CANCELLED", "outputs": {}})
    assert list((programs.folder / "tmp").iterdir()) == []


@pytest.mark.timeout(120)  # the tasks would sleep for 300 s
def test_a_task_that_ignores_signals_is_killed(programs: Programs) -> None:
    with napping(programs, "SubprocessRunner", stubborn=True) as program:
        os.kill(program.pid, signal.SIGINT)
        assert program.stdout is not None
        printed = program.stdout.read()
    assert program.returncode == -signal.SIGINT, printed
    wait_for(lambda: not programs.processes())
    assert programs.facts()[-1] == ("RunEnded", {"state": "CANCELLED", "outputs": {}})


def test_a_program_that_is_killed_leaves_no_process_and_no_folder(programs: Programs) -> None:
    with napping(programs, "SubprocessRunner", stubborn=True) as program:
        program.kill()
        assert program.stdout is not None
        program.stdout.read()
    wait_for(lambda: not programs.processes())
    wait_for(lambda: not list((programs.folder / "tmp").iterdir()))


def test_containers_of_a_program_that_was_killed_are_removed_at_the_next_start(
    programs: Programs, docker_client: DockerClient
) -> None:
    with napping(programs, "DockerRunner") as program:
        program.kill()
        assert program.stdout is not None
        program.stdout.read()
    left: dict[str, Any] = {"all": True, "ignore_removed": True, "filters": {"label": f"standpipe.pid={program.pid}"}}
    assert docker_client.containers.list(**left)
    programs.run("run(add, 'DockerRunner', a=1)")
    assert docker_client.containers.list(**left) == []


# --- disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a pipeline root on a disk of 2 MB."""
    with mount_small_disk(tmp_path / "root", megabytes=2) as folder:
        yield folder


@pytest.mark.parametrize("body", ["write, megabytes=5", "say, lines=5000"])
def test_a_disk_that_a_task_fills_is_an_error_that_names_it(
    programs: Programs, small_disk: Path, runner: str, body: str
) -> None:
    target, argument = body.split(", ")
    message = programs.fails(f"run({target}, {runner!r}, {argument})")
    assert message.startswith("StorageError: The run store ")
    assert "full" in message
    assert "pipeline_root=" in message


def test_a_disk_that_was_full_before_is_an_error_that_names_it(programs: Programs, small_disk: Path) -> None:
    with contextlib.suppress(OSError), open(small_disk / "fill", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    assert programs.fails("run(add, a=1)").startswith("StorageError: ")


def test_a_cache_on_a_full_disk_is_an_error_that_names_it(programs: Programs, small_disk: Path) -> None:
    with contextlib.suppress(OSError), open(small_disk / "fill", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    body = "local.run(add, {'a': 1}, runner=local.SubprocessRunner(), pipeline_root='elsewhere')"
    message = programs.fails(body, STANDPIPE_CACHE=str(small_disk / "cache"))
    assert message.startswith("TaskFailed: Task 'add' failed: ")
    assert "No space left on device" in message
    assert "STANDPIPE_CACHE" in message


# --- many at once


def test_eight_programs_share_a_root(programs: Programs) -> None:
    body = "for number in range(10):\n    assert run(add, a=number).output == number + 1"
    running = [programs.start(body) for _ in range(8)]
    printed = [program.communicate()[0] for program in running]
    assert [text for text, program in zip(printed, running, strict=True) if program.returncode] == []
    ends = [body["state"] for kind, body in programs.facts() if kind == "RunEnded"]
    assert ends == ["SUCCEEDED"] * 80


def test_sixteen_threads_share_a_runner(programs: Programs) -> None:
    body = """
from concurrent.futures import ThreadPoolExecutor
runner = local.SubprocessRunner()
def go(number):
    return local.run(add, {"a": number}, runner=runner, pipeline_root="root", quiet=True).output
with ThreadPoolExecutor(16) as pool:
    assert list(pool.map(go, range(64))) == list(range(1, 65))
"""
    assert programs.run(body).endswith("ended with 0")


@pytest.mark.parametrize("max_parallel", [1, 16, 64])
def test_three_hundred_independent_tasks(programs: Programs, max_parallel: int) -> None:
    body = f"""
@dsl.pipeline
def fan():
    for number in range(300):
        add(a=number)
local.run(fan, runner=local.SubprocessRunner(), pipeline_root="root", max_parallel={max_parallel}, quiet=True)
"""
    assert programs.run(body).endswith("ended with 0")
    assert sum(kind == "TaskSucceeded" for kind, _ in programs.facts()) == 300


def test_a_long_chain_takes_little_memory_and_leaves_nothing_open(programs: Programs) -> None:
    body = """
import os, threading, time
runner = local.SubprocessRunner()
def go(target):
    return local.run(target, runner=runner, pipeline_root="root", quiet=True).output
@dsl.pipeline
def chain() -> int:
    task = add(a=0)
    for _ in range(999):
        task = add(a=task.output)
    return task.output
@dsl.pipeline
def one() -> int:
    return add(a=0).output
go(one)
before = len(os.listdir("/proc/self/fd"))
assert go(chain) == 1000
assert len(os.listdir("/proc/self/fd")) == before
patience = time.monotonic() + 20
while threading.active_count() > 1 and time.monotonic() < patience:
    time.sleep(0.01)  # threads without work end by themselves
assert threading.active_count() == 1, threading.enumerate()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
assert int(status["VmHWM"].split()[0]) < 120_000, status["VmHWM"]  # ru_maxrss would count the process that started us
"""
    assert programs.run(body).endswith("ended with 0")
    assert list((programs.folder / "tmp").iterdir()) == []


def test_pipelines_twenty_deep(programs: Programs) -> None:
    body = """
def nested(depth):
    inner = nested(depth - 1) if depth else add
    @dsl.pipeline(name=f"depth-{depth}")
    def pipeline(a: int) -> int:
        return inner(a=add(a=a).output).output
    return pipeline
assert run(nested(20), a=0).output == 22
"""
    assert programs.run(body).endswith("ended with 0")


def test_processes_that_are_forked_spawned_and_served_run_pipelines(programs: Programs) -> None:
    body = """
import multiprocessing
def go(number):
    return run(add, a=number).output
if __name__ == "__main__":
    assert go(0) == 1
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(3) as pool:
            assert pool.map(go, range(6)) == list(range(1, 7)), method
    assert go(1) == 2
"""
    assert programs.run(body).endswith("ended with 0")
    wait_for(lambda: not programs.processes())


# --- misbehaving tasks

HOSTILE = {
    "binary": ("import os, sys; sys.stdout.buffer.write(os.urandom(1_000_000))", None),
    "flood": ("import sys; [sys.stdout.write('x' * 1_000_000) for _ in range(200)]", None),
    "closed": ("import os; os.close(1); os.close(2)", None),
    "stdin": ("input('what? ')", "EOFError: EOF when reading a line"),
    "exit": ("import os; os._exit(0)", "did not write its output 'Output'"),
    "sys.exit": ("import sys; sys.exit('the reason')", "it exited with code 1\n\nThe end of its log:\nthe reason"),
    "base": ("raise BaseException('x')", "BaseException: x"),
    "recursion": ("f = lambda: f(); f()", "RecursionError"),
    "unprintable": ("raise type('Shy', (Exception,), {'__str__': None})", "Shy: <exception str() failed>"),
    "surrogate": ("raise ValueError('bad \\udcff')", "ValueError: bad \\udcff"),
    "thread": ("import threading; threading.Timer(0.2, print, ['late']).start()", None),
    "pool": ("import multiprocessing as m\n    with m.Pool(2) as p: assert p.map(abs, [-1]) == [1]", None),
    "killed": ("import os; os.kill(os.getpid(), 9)", "it was killed by signal 9 (SIGKILL)"),
    "parent": (
        "import os, time; os.kill(os.getppid(), 9); time.sleep(60)",
        "the fork server that it was started from has died",
    ),
}


@pytest.mark.parametrize("mood", HOSTILE)
def test_a_misbehaving_task_ends_with_a_reason(programs: Programs, mood: str) -> None:
    source, complaint = HOSTILE[mood]
    body = (
        f"@dsl.component\ndef moody() -> int:\n    {source}\n    return 1\nrun(moody)\nassert run(add, a=1).output == 2"
    )
    printed = programs.run(body, PYTHONIOENCODING="utf-8:backslashreplace")
    if complaint is None:
        assert printed.endswith("ended with 0")
    else:
        assert complaint in printed
        assert printed.endswith("ended with 1")
    wait_for(lambda: not programs.processes())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_any_text_is_shown_in_any_encoding(programs: Programs, encoding: str) -> None:
    body = "@dsl.component\ndef speak():\n    print('ü 𝄞')\nrun(speak)"
    with programs.start(body, PYTHONIOENCODING=f"{encoding}:strict") as program:
        assert program.stdout is not None
        printed = os.read(program.stdout.fileno(), 1_000_000)
        while part := os.read(program.stdout.fileno(), 1_000_000):
            printed += part
    assert program.returncode == 0
    assert b"\\U0001d11e" in printed


def test_progress_comes_line_by_line_through_a_pipe(programs: Programs) -> None:
    with napping(programs, "SubprocessRunner") as program:  # which has read a line of each task while both run
        program.terminate()
        assert program.stdout is not None
        program.stdout.read()
