"""The fork server, spoken to over its socket."""

from __future__ import annotations

import ast
import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe.worker.fork_server import ForkServer
from tests.processes import is_alive, wait_until
from tests.worker.tasks import BOOT, PREAMBLE, interpreter


class Client:
    """One end of a control socket, with a server at the other."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder = folder
        self.control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [str(python), str(BOOT), "serve", str(theirs.fileno())],
                env=dict(os.environ),
                pass_fds=[theirs.fileno()],
            )

    def start(self, body: str, **env: str) -> Task:
        number = len(list(self.folder.iterdir()))
        folder = self.folder / str(number)
        folder.mkdir()
        request = {
            "source": PREAMBLE + "import os, sys, time, subprocess, signal, threading, atexit\ndef f():\n    " + body,
            "function": "f",
            "executor_input": {"outputs": {"outputFile": str(folder / "out.json")}},
            "artifact_classes": {},
            "error_file": str(folder / "error.json"),
            "owner": None,
        }
        (folder / "request.json").write_text(json.dumps(request))
        return Task(self, folder, {"PATH": os.environ["PATH"], **env})


class Task:
    def __init__(self, client: Client, folder: Path, env: dict[str, str]) -> None:
        self.used: dict[str, Any] = {}
        self.reply, reply_end = socket.socketpair()
        self.output, output_end = os.pipe()
        unset = [name for name in os.environ if name not in env]
        told = {
            "request": str(folder / "request.json"),
            "cwd": str(folder),
            "set": env,
            "unset": unset,
            "umask": 0o077,
            "program": 0,
        }
        message = json.dumps(told).encode()
        with reply_end:
            socket.send_fds(client.control, [len(message).to_bytes(4, "big")], [reply_end.fileno(), output_end])
            client.control.sendall(message)
        os.close(output_end)
        self.lines = self.reply.makefile()

    def told(self) -> dict[str, Any]:
        """The next thing that the server says, without what the task used, which is kept; nothing at the end."""
        line = self.lines.readline()
        told: dict[str, Any] = json.loads(line) if line else {}
        self.used = {name: told.pop(name) for name in ("cpu_seconds", "peak_memory") if name in told} or self.used
        return told

    def end(self) -> tuple[int, str]:
        """The exit code and all that was printed."""
        assert self.told()["pid"] > 0
        printed = self.read()
        told = self.told()
        ended = told if "status" in told else self.told()
        code = os.waitstatus_to_exitcode(ended["status"])
        assert told in (ended, {"code": code}), "what the task said of itself is so"
        assert self.told() == {}
        return code, printed

    def read(self) -> str:
        with open(self.output, closefd=False) as file:
            return file.read()

    def close(self) -> None:
        self.lines.close()
        self.reply.close()
        os.close(self.output)


@pytest.fixture(params=["3.9", "current"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    client = Client(interpreter(request.param), tmp_path)
    yield client
    client.control.close()
    assert client.process.wait(timeout=10) == 0


@contextlib.contextmanager
def started(client: Client, body: str, **env: str) -> Iterator[Task]:
    task = client.start(body, **env)
    try:
        yield task
    finally:
        task.close()


def children(client: Client) -> list[int]:
    """The processes that the server has forked and not yet waited for."""
    pid = client.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_task_prints_and_ends(client: Client) -> None:
    with started(client, "print('out'); print('err', file=sys.stderr); os.system('echo sub'); sys.exit(3)") as task:
        assert task.end() == (3, "out\nerr\nsub\n")


def test_each_task_is_a_fresh_process(client: Client) -> None:
    for number in range(3):
        with started(client, "print(getattr(sys, 'seen', 0)); sys.seen = 1; os.environ['SEEN'] = '1'") as task:
            assert task.end() == (0, "0\n"), number


def test_a_task_has_the_environment_it_is_given(client: Client) -> None:
    with started(client, "print(sorted(os.environ), os.getcwd(), sys.path[0], time.tzname[0])", TZ="XYZ3") as task:
        _, printed = task.end()

    cwd = str(client.folder / "0")
    assert printed == f"['PATH', 'TZ', '_KFP_RUNTIME'] {cwd} {cwd} XYZ\n"


def test_a_task_reads_nothing_and_has_no_other_descriptors(client: Client) -> None:
    # A libffi with static trampolines keeps its own file open in every process that uses ctypes.
    wanted = "name for name in os.listdir('/proc/self/fd') if 'libffi' not in os.path.realpath('/proc/self/fd/' + name)"
    with (
        started(client, "time.sleep(30)"),
        started(client, f"print(repr(sys.stdin.read()), sorted({wanted}))") as task,
    ):
        _, printed = task.end()

    read, _, descriptors = printed.partition(" ")
    assert read == "''"
    assert len(ast.literal_eval(descriptors)) == 5  # the streams, where to report, and that of the listing itself


def test_tasks_run_side_by_side(client: Client) -> None:
    with started(client, "time.sleep(30)") as slow, started(client, "print('quick')") as quick:
        assert quick.end() == (0, "quick\n")
        pid = slow.told()["pid"]
        os.killpg(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(slow.told()["status"]) == -signal.SIGTERM


def test_what_a_task_starts_at_its_end_is_done(client: Client) -> None:
    body = "atexit.register(print, 'atexit'); threading.Timer(0.1, print, ['thread']).start()"
    with started(client, body) as task:
        assert task.end() == (0, "thread\natexit\n")


def test_only_a_task_with_something_to_finalize_takes_the_time_for_it(client: Client) -> None:
    with started(client, "import csv, random; global kept; kept = [random.Random(), lambda: 1]") as task:
        assert task.told()["pid"] > 0
        assert task.told() == {"code": 0}
    with started(client, "global kept; kept = open(os.devnull, 'w')") as task:
        assert task.told()["pid"] > 0
        assert task.told() == {"status": 0}


def test_output_without_a_newline_is_flushed(client: Client) -> None:
    with started(client, "print('no newline', end='')") as task:
        assert task.end() == (0, "no newline")


def test_what_a_task_leaves_running_is_ended(client: Client) -> None:
    with started(client, "print(subprocess.Popen(['sleep', '60']).pid)") as task:
        code, printed = task.end()

    assert code == 0
    assert wait_until(lambda: not is_alive(int(printed)))


DAEMONS = (
    "print(subprocess.Popen(['sh', '-c', 'echo $$; trap \"\" INT TERM; setsid sleep 60 & sleep 60'],"
    " start_new_session=True).pid, flush=True); time.sleep(0.2)"
)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, init takes the daemons")
def test_daemons_end_with_their_task(client: Client) -> None:
    with started(client, "time.sleep(60)") as other, started(client, DAEMONS) as task:
        code, printed = task.end()

        assert code == 0
        assert wait_until(lambda: not is_alive(int(printed.split()[0])))
        assert wait_until(lambda: len(children(client)) == 2), "the other task and the spare are all that is left"
        assert is_alive(other.told()["pid"])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, init takes the daemons")
def test_daemons_end_with_the_process_that_asked_for_their_task(client: Client) -> None:
    with started(client, DAEMONS + "; open('left', 'w'); print('ready', flush=True); time.sleep(60)") as task:
        assert wait_until(lambda: (client.folder / "0" / "left").exists())
        daemon = int(os.read(task.output, 100).split()[0])
        client.control.close()

        assert client.process.wait(timeout=10) == 0
        assert not is_alive(daemon)
        assert not (client.folder / "0").exists(), "nobody else is sure to remove the folder that it worked in"


def test_an_interrupt_is_an_exception(client: Client) -> None:
    with started(client, "print('ready', flush=True); time.sleep(30)") as task:
        pid = task.told()["pid"]
        assert os.read(task.output, 100).startswith(b"ready")
        os.killpg(pid, signal.SIGINT)
        assert "KeyboardInterrupt" in task.read()
        assert task.told() == {"code": 130}


def test_tasks_end_with_the_process_that_asked_for_them(client: Client) -> None:
    with started(client, "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)") as task:
        pid = task.told()["pid"]
        child = int(os.read(task.output, 100))
        client.control.close()

        assert client.process.wait(timeout=10) == 0
        assert wait_until(lambda: not is_alive(pid) and not is_alive(child))


def test_a_client_that_has_gone_disturbs_nobody(client: Client) -> None:
    with started(client, "time.sleep(0.2)"):
        pass  # its reply socket is closed before it ends
    with started(client, "time.sleep(0.4); print('still here')") as task:
        assert task.end() == (0, "still here\n")


def test_many_at_once(client: Client) -> None:
    tasks = [client.start(f"print({number})") for number in range(40)]
    try:
        assert [task.end() for task in tasks] == [(0, f"{number}\n") for number in range(40)]
    finally:
        for task in tasks:
            task.close()


def test_a_spare_that_died_is_not_missed(client: Client) -> None:
    for _ in range(2):
        with started(client, "print('here')") as task:
            assert task.end() == (0, "here\n")
        assert wait_until(lambda: len(children(client)) == 1)
        for spare in children(client):
            os.kill(spare, signal.SIGKILL)
        assert wait_until(lambda: not children(client))


def test_nothing_is_left_when_the_client_goes(client: Client) -> None:
    with started(client, "pass") as task:
        task.end()
    assert wait_until(lambda: len(children(client)) == 1)
    (spare,) = children(client)
    client.control.close()
    assert wait_until(lambda: not is_alive(spare))


def test_a_process_that_cannot_be_forked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    control, server_end = socket.socketpair()
    reply, reply_end = socket.socketpair()
    log = os.open(os.devnull, os.O_WRONLY)
    with control, reply, reply_end, contextlib.ExitStack() as undo:
        undo.callback(signal.signal, signal.SIGCHLD, signal.getsignal(signal.SIGCHLD))
        undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(-1))
        socket.send_fds(control, [(15).to_bytes(4, "big"), b'{"request": ""}'], [reply_end.fileno(), log])
        os.close(log)
        control.close()
        server = ForkServer(server_end)
        undo.callback(server.close)
        server.serve()

        told = json.loads(reply.recv(1000))

    assert told == {"problem": "no process could be started: Resource temporarily unavailable", "errno": errno.EAGAIN}


def test_the_server_sleeps_when_there_is_nothing_to_do(client: Client) -> None:
    with started(client, "pass") as task:
        task.end()
    before = processor_time(client)
    select.select([], [], [], 0.5)

    assert processor_time(client) - before < 0.1, "it may still have made a spare"


def processor_time(client: Client) -> float:
    """The seconds that the server has worked."""
    fields = Path(f"/proc/{client.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
