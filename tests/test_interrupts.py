"""Ctrl-C in programs that wait for something which does not end by itself: servers, files, processes, locks."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.history import Status
from standpipe.model.layout import RUN_STORE_FILE
from tests.processes import CHECKOUT, has_variable, process_ids, wait_until

#: The seconds in which Ctrl-C ends a program, and what a busy machine may add.
_LIMIT = 5.0
_NOISE = 5.0

#: Of each kind one test is fast. The others wait for seconds, too, and are slow tests.
_slow = pytest.mark.slow

#: Of which every process of a program has one, by which those that it leaves are found.
_MARK = "STANDPIPE_TEST_PROGRAM"

_HEAD = """
import os, signal, sys, threading, time
from standpipe import dsl, local

ROOT, READY, ARGUMENT = sys.argv[1:4]
WORKSPACE = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"))

def ready():
    open(READY, "w").close()

"""

_RUN = """
local.run(target, {}, runner=local.SubprocessRunner(use_venv=False), pipeline_root=ROOT)
"""

_IMPORTER = (
    _HEAD
    + """
@dsl.pipeline(pipeline_config=WORKSPACE)
def target():
    dsl.importer(artifact_uri=ARGUMENT, artifact_class=dsl.Dataset, download_to_workspace=True)
"""
    + _RUN
)


class Program:
    """A program that runs a pipeline, in a process of its own."""

    def __init__(self, folder: Path, text: str, argument: str = "", env: dict[str, str] | None = None) -> None:
        self.root = folder / "root"
        self.ready = folder / "ready"
        self.mark = f"{_MARK}={folder}"
        (folder / "program.py").write_text(text)
        self.process = subprocess.Popen(
            [sys.executable, folder / "program.py", self.root, self.ready, argument],
            cwd=CHECKOUT,
            env={**os.environ, **(env or {}), _MARK: str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def interrupt(self, ready: Callable[[], object] | None = None, times: int = 1, pause: float = 0.3) -> float:
        """Send SIGINT once the program is ready, and return the seconds until it has ended."""
        assert wait_until(ready or self.ready.exists, 60), self.kill()
        time.sleep(0.3)  # so that it waits, where only the other end could say that it does
        start = time.monotonic()
        for number in range(times):
            time.sleep(pause if number else 0)
            self.process.send_signal(signal.SIGINT)
        try:
            self.printed, _ = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            pytest.fail(f"It did not end in 30 s: {self.kill()}")
        return time.monotonic() - start

    def states(self) -> list[str]:
        """Return the stored states of the program's runs."""
        with closing(sqlite3.connect(self.root / RUN_STORE_FILE)) as db:
            bodies = db.execute("SELECT body FROM facts WHERE kind = 'RunEnded' ORDER BY run").fetchall()
        return [json.loads(body)["state"] for (body,) in bodies]

    def left(self) -> list[int]:
        """Return the processes that it has left running."""
        return [pid for pid in process_ids() if has_variable(pid, self.mark)]

    def kill(self) -> str:
        """Kill its processes, and return what it has printed."""
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return self.process.communicate()[0] if self.process.stdout and not self.process.stdout.closed else ""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    with ExitStack() as stack:

        def start(text: str, argument: str = "", env: dict[str, str] | None = None) -> Program:
            program = Program(tmp_path, text, argument, env)
            stack.callback(program.kill)
            return program

        yield start


def check_cancelled(program: Program, seconds: float) -> None:
    assert seconds < _LIMIT + _NOISE, program.printed
    assert program.process.returncode in (-signal.SIGINT, 130), program.printed
    assert program.states() == ["CANCELLED"], program.printed
    assert wait_until(lambda: not program.left()), program.printed
    print(f"{seconds:.1f} s\n{program.printed}")


# --- downloads and copies


class Server:
    """An HTTP server that answers one request with what a function sends, and never closes the connection."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self.requested = threading.Event()
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        kept = []
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                kept.append(connection)
                threading.Thread(target=self._respond, args=(connection,), daemon=True).start()

    def _respond(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(4096)
            self.requested.set()
            self._answer(connection)


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        connection.sendall(b".")
        time.sleep(0.5)


def drip_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: 1\r\n")
        time.sleep(0.5)


def stall(connection: socket.socket) -> None:
    pass


def stall_after_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")


@pytest.mark.parametrize(
    "answer", [stall, *(pytest.param(each, marks=_slow) for each in (drip, drip_headers, stall_after_headers))]
)
def test_a_download(start: Callable[..., Program], answer: Callable[[socket.socket], None]) -> None:
    with closing(Server(answer)) as server:
        program = start(_IMPORTER, f"{server.url}/data.bin")
        check_cancelled(program, program.interrupt(server.requested.is_set))


@_slow
def test_a_copy_of_a_huge_file(start: Callable[..., Program], tmp_path: Path) -> None:
    source = tmp_path / "huge"
    with source.open("wb") as file:
        file.truncate(20 * 2**30)  # a sparse file: it takes no space until it is copied
    program = start(_IMPORTER, str(source))
    check_cancelled(program, program.interrupt(lambda: any(tmp_path.rglob(".partial-*"))))
    assert not list(tmp_path.rglob(".partial-*"))


# --- tasks

_TASK = """
@dsl.component
def task(ready: str):
    import os, signal, subprocess, sys, time
    {body}

@dsl.pipeline
def target():
    task(ready=READY)
"""

_BODIES = {
    "sleeps": "open(ready, 'w').close(); time.sleep(1000)",
    "ignores signals": (
        "[signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)]; "
        "open(ready, 'w').close(); time.sleep(1000)"
    ),
    "stops the fork server": ("os.kill(os.getppid(), signal.SIGSTOP); open(ready, 'w').close(); time.sleep(1000)"),
    "stops the fork server again and again": (
        "open(ready, 'w').close(); "
        "[os.system(f'while kill -STOP {os.getppid()}; do sleep 0.1; done') for _ in iter(int, 1)]"
    ),
    "stops itself": "open(ready, 'w').close(); os.kill(os.getpid(), signal.SIGSTOP); time.sleep(1000)",
    "stops its group": "open(ready, 'w').close(); os.killpg(0, signal.SIGSTOP); time.sleep(1000)",
    "leaves a daemon with its streams": (
        "subprocess.Popen(['sleep', '1000'], start_new_session=True); open(ready, 'w').close(); time.sleep(1000)"
    ),
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=name, marks=() if name == "stops the fork server" else _slow)
        for name, body in _BODIES.items()
    ],
)
def test_a_task(start: Callable[..., Program], body: str) -> None:
    program = start(_HEAD + _TASK.format(body=body) + _RUN)
    check_cancelled(program, program.interrupt())


def test_a_fork_server_that_a_task_has_stopped_continues(tmp_path: Path) -> None:
    @dsl.component
    def stop_server() -> None:
        import os
        import signal

        os.kill(os.getppid(), signal.SIGSTOP)
        os._exit(3)  # which only the server can report

    @dsl.component
    def succeed() -> int:
        return 1

    @dsl.pipeline
    def two() -> int:
        stop_server()
        return succeed().output

    with pytest.raises(TaskFailed, match="Task 'stop-server' failed: it exited with code 3"):
        local.run(two, {}, runner=local.SubprocessRunner(use_venv=False), pipeline_root=tmp_path)
    assert local.get_run("latest", pipeline_root=tmp_path).task("succeed").status is Status.SUCCEEDED


# --- the second request, and exit tasks

_EXIT = """
@dsl.component
def task(ready: str):
    import signal, time
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    open(ready, "w").close()
    time.sleep(1000)

@dsl.component
def tidy(path: str):
    open(path, "w").close()

@dsl.pipeline
def target():
    with dsl.ExitHandler(tidy(path=ROOT + "/tidied")):
        task(ready=READY)
"""


@_slow
def test_the_first_request_says_what_it_waits_for_and_runs_exit_tasks(start: Callable[..., Program]) -> None:
    program = start(_HEAD + _EXIT + _RUN)
    check_cancelled(program, program.interrupt())
    line = "Cancelling: waiting for 1 task (exit-handler-1/task). Press Ctrl-C again to kill it.\n"
    assert line in program.printed
    assert (program.root / "tidied").exists()


def test_the_second_request_kills_tasks_and_skips_exit_tasks(start: Callable[..., Program]) -> None:
    program = start(_HEAD + _EXIT + _RUN)
    seconds = program.interrupt(times=2)
    check_cancelled(program, seconds)
    assert seconds < 2 + _NOISE / 2
    assert "Killing 1 task (exit-handler-1/task)\n" in program.printed
    assert not (program.root / "tidied").exists()


# --- what nothing can interrupt

_ONE_TASK = """
@dsl.component
def task():
    pass

@dsl.pipeline
def target():
    task()
"""

_BLOCKED = (
    _ONE_TASK
    + """
def block():
    ready()
    time.sleep(1000)

local.run(target, {}, runner=local.FakeRunner(task=block), pipeline_root=ROOT)
"""
)


@pytest.mark.parametrize("times", [pytest.param(1, marks=_slow), 2])
def test_an_attempt_that_does_not_end(start: Callable[..., Program], times: int) -> None:
    program = start(_HEAD + _BLOCKED)
    check_cancelled(program, program.interrupt(times=times))
    assert "standpipe: Task 'task' has not stopped. The run no longer waits for it" in program.printed


# --- other threads

_THREAD = """
@dsl.component
def other() -> str:
    return "x"

def run():
    local.run(target, {}, runner=local.SubprocessRunner(use_venv=False), pipeline_root=ROOT)

thread = threading.Thread(target=run)
thread.start()
"""

_JOIN = """
try:
    thread.join()
except KeyboardInterrupt:
    local.get_run("latest", ROOT).cancel()
    thread.join()
    raise
"""

_HANDLER = """
def cancel(number, frame):
    local.get_run("latest", ROOT).cancel()
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, cancel)
thread.join()
"""


@pytest.mark.parametrize("wait", [_JOIN, pytest.param(_HANDLER, marks=_slow)], ids=["except", "handler"])
@pytest.mark.parametrize("what", [pytest.param("task", marks=_slow), "download"])
def test_a_run_in_a_thread(start: Callable[..., Program], wait: str, what: str) -> None:
    with closing(Server(stall)) as server:
        if what == "task":
            program = start(_HEAD + _TASK.format(body=_BODIES["sleeps"]) + _THREAD + wait)
            seconds = program.interrupt()
        else:
            program = start(_IMPORTER.removesuffix(_RUN) + _THREAD + wait, f"{server.url}/data.bin")
            seconds = program.interrupt(server.requested.is_set)
        check_cancelled(program, seconds)


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 2), reason="Python itself refuses to start threads (gh-113964)"
)
def test_a_run_outlives_the_main_thread(start: Callable[..., Program]) -> None:
    program = start(_HEAD + _TASK.format(body="time.sleep(0.5)") + _THREAD)
    printed, _ = program.process.communicate(timeout=60)
    assert program.process.returncode == 0, printed
    assert program.states() == ["SUCCEEDED"], printed


# --- asyncio, whose handler of SIGINT only cancels its main task

_ASYNCIO = """
import asyncio

def run():
    local.run(target, {}, runner=local.SubprocessRunner(use_venv=False), pipeline_root=ROOT)

async def main():
    WAIT

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "wait",
    [
        "run()",
        pytest.param(
            "await asyncio.to_thread(run)",
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio waits for its threads after Ctrl-C"),
        ),
    ],
)
def test_a_run_in_asyncio(start: Callable[..., Program], wait: str) -> None:
    program = start(_HEAD + _TASK.format(body=_BODIES["sleeps"]) + _ASYNCIO.replace("WAIT", wait))
    check_cancelled(program, program.interrupt())


def test_a_run_in_asyncio_is_not_cancelled_by_an_earlier_interrupt(start: Callable[..., Program]) -> None:
    wait = """
    try:
        await asyncio.to_thread(run)
    except asyncio.CancelledError:
        await asyncio.to_thread(local.run, other, {}, pipeline_root=ROOT, runner=local.SubprocessRunner())
    """
    other = "@dsl.component\ndef other():\n    import time; time.sleep(0.5)\n"
    program = start(_HEAD + other + _TASK.format(body=_BODIES["sleeps"]) + _ASYNCIO.replace("WAIT", wait.strip()))
    if sys.version_info >= (3, 11):
        program.interrupt()
        assert sorted(program.states()) == ["CANCELLED", "SUCCEEDED"], program.printed


# --- environments

_ENVIRONMENT = """
@dsl.component(packages_to_install=[ARGUMENT])
def task():
    pass

@dsl.component
def first():
    import time
    time.sleep(1000)

@dsl.pipeline
def target():
    if {is_later}:
        task().after(first())
    else:
        task()

local.run(target, {{}}, runner=local.SubprocessRunner(), pipeline_root=ROOT)
"""

_BACKEND = """
import os, signal, subprocess, time

def build_wheel(*args, **kwargs):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if {has_daemon}:
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
    open({ready!r}, "w").close()
    time.sleep(1000)
"""


@pytest.mark.parametrize("is_later", [False, pytest.param(True, marks=_slow)], ids=["first task", "later task"])
@pytest.mark.parametrize("has_daemon", [pytest.param(False, marks=_slow), True], ids=["stuck", "with a daemon"])
def test_a_build(start: Callable[..., Program], tmp_path: Path, is_later: bool, has_daemon: bool) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "stuck"\nversion = "1"\n'
    )
    ready = str(tmp_path / "ready")
    (project / "backend.py").write_text(_BACKEND.format(ready=ready, has_daemon=has_daemon))
    env = {"STANDPIPE_CACHE": str(tmp_path / "cache"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    program = start(_HEAD + _ENVIRONMENT.format(is_later=is_later), str(project), env)
    seconds = program.interrupt()
    if has_daemon:  # which has left the installer, so that nothing can find it
        assert seconds < _LIMIT + _NOISE, program.printed
        assert program.states() == ["CANCELLED"], program.printed
    else:
        check_cancelled(program, seconds)


@_slow
def test_an_index_that_says_nothing(start: Callable[..., Program], tmp_path: Path) -> None:
    env = {"STANDPIPE_CACHE": str(tmp_path / "cache"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    with closing(Server(stall)) as server:
        env["PIP_INDEX_URL"] = f"{server.url}/simple"
        program = start(_HEAD + _ENVIRONMENT.format(is_later=False), "some-package", env)
        check_cancelled(program, program.interrupt(server.requested.is_set))


# --- an engine of containers that accepts connections and never answers

_CONTAINER = """
@dsl.container_component
def task():
    return dsl.ContainerSpec(image="alpine", command=["true"])

@dsl.pipeline
def target():
    task()

local.run(target, {}, runner=local.DockerRunner(), pipeline_root=ROOT)
"""


@_slow
@pytest.mark.parametrize("times", [1, 2])
def test_an_engine_that_says_nothing(start: Callable[..., Program], times: int) -> None:
    with closing(Server(stall)) as server:
        program = start(_HEAD + _CONTAINER, env={"DOCKER_HOST": server.url.replace("http", "tcp")})
        seconds = program.interrupt(server.requested.is_set, times=times)
    assert seconds < _LIMIT + _NOISE, program.printed
    assert program.process.returncode in (-signal.SIGINT, 130), program.printed
    assert not (program.root / RUN_STORE_FILE).exists(), "the check before the run had not ended"
    assert not program.left(), program.printed


# --- a run store that another process has locked

_LOCKED = (
    _ONE_TASK
    + """
def lock():
    import sqlite3
    global db
    db = sqlite3.connect(ROOT + "/runs.sqlite", check_same_thread=False)
    db.execute("BEGIN IMMEDIATE")
    ready()

local.run(target, {}, runner=local.FakeRunner(task=lock), pipeline_root=ROOT)
"""
)


@_slow
@pytest.mark.parametrize("times", [1, 2])
def test_a_locked_run_store(start: Callable[..., Program], times: int) -> None:
    program = start(_HEAD + _LOCKED)
    seconds = program.interrupt(times=times, pause=2)
    assert seconds < _LIMIT + _NOISE, program.printed
    assert program.process.returncode == -signal.SIGINT, program.printed
    assert wait_until(lambda: not program.left())
