"""Tasks as processes of this machine."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe.errors import RunnerError, StorageError, UnsupportedError
from standpipe.model.attempts import CommandLine, Mount, Outcome, PodSettings
from standpipe.model.cancellation import Cancellation
from standpipe.model.kfp import DEFAULT_IMAGE
from standpipe.runners.process import task_process
from tests.processes import is_alive, wait_until
from tests.runners.bench import HERE, Bench, Fixed, Kept, value_in
from tests.worker.tasks import interpreter

count_out_of_memory_kills = task_process._out_of_memory_kills


@pytest.fixture(autouse=True)
def _no_out_of_memory_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the outcomes independent of processes of others that the kernel kills meanwhile."""
    monkeypatch.setattr(task_process, "_out_of_memory_kills", lambda: 0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, Fixed(Path(sys.executable)))
    yield bench
    bench.runner.close()


@pytest.fixture(params=["3.9", "3.13"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A bench with another Python than the host's."""
    bench = Bench(tmp_path, Fixed(interpreter(request.param)))
    yield bench
    bench.runner.close()


def chosen(bench: Bench) -> Path:
    """The interpreter that a bench runs everything with."""
    assert isinstance(bench.runner._environments, Fixed)
    return bench.runner._environments.chosen


# --- what comes back


def test_a_function_runs(bench: Bench) -> None:
    assert bench.value("def f(a: int, b: int) -> int: return a + b", {"a": 1, "b": 2}) == 3


def test_it_runs_in_the_interpreter_of_its_environment(other: Bench) -> None:
    assert other.value("def f() -> str: return os.path.realpath(sys.executable)") == str(chosen(other).resolve())


@pytest.mark.parametrize("text", ["é𝄞\0\ud800\n'\"{{$.foo}}", "x" * 10_000_000])
def test_any_text_arrives(bench: Bench, text: str) -> None:
    assert bench.value("def f(s: str) -> str: return s", {"s": text}) == text


def test_what_is_printed_arrives_in_order(bench: Bench) -> None:
    outcome, log = bench.run("def f():\n  for i in range(1000): print(i, file=(sys.stdout, sys.stderr)[i % 2])")

    assert outcome.succeeded
    assert log == "".join(f"{i}\n" for i in range(1000))


@pytest.mark.parametrize("printed", [b"no newline", bytes(range(256)), b"x" * 3_000_000])
def test_any_bytes_can_be_printed(bench: Bench, printed: bytes) -> None:
    log = Kept()
    source = "def f(n: str): sys.stdout.buffer.write(bytes.fromhex(n) if len(n) > 9 else b'x' * int(n))"
    text = str(len(printed)) if len(printed) > 1000 else printed.hex()

    assert bench.runner.run(bench.request(source, {"n": text}), log=log, cancel=Cancellation()).succeeded
    assert log.data == printed


def test_output_arrives_as_it_is_printed(bench: Bench) -> None:
    log = Kept()
    gate = bench.folder / "gate"
    source = (
        "def f(gate: str):\n  print('first')\n  while not os.path.exists(gate): time.sleep(0.01)\n  print('second')"
    )
    with ThreadPoolExecutor() as pool:
        running = pool.submit(
            bench.runner.run, bench.request(source, {"gate": str(gate)}), log=log, cancel=Cancellation()
        )
        log.wait_for(b"first")
        assert b"second" not in log.data
        gate.touch()

        assert running.result().succeeded
    assert log.data == b"first\nsecond\n"


@pytest.mark.parametrize(("wish", "code"), [("0", 0), ("3", 3), ("'why'", 1), ("256 + 7", 7)])
def test_exit_codes(bench: Bench, wish: str, code: int) -> None:
    assert bench.run(f"def f(): sys.exit({wish})")[0] == Outcome(exit_code=code)


def test_an_exit_past_python(bench: Bench) -> None:
    assert bench.run("def f(): os._exit(5)")[0] == Outcome(exit_code=5)


def test_an_exception_is_told_with_the_users_lines(bench: Bench) -> None:
    outcome, log = bench.run("def f():\n    raise ValueError('no good')")

    assert outcome == Outcome(exit_code=1, detail=log.rstrip(), cause="ValueError: no good")
    assert outcome.detail.startswith("Traceback (most recent call last):\n")
    assert outcome.detail.endswith("    raise ValueError('no good')\nValueError: no good")


def test_a_missing_name_comes_with_a_way_out(bench: Bench) -> None:
    outcome, _ = bench.run("def f(): return np.array(1)")

    last = outcome.detail.splitlines()[-1]
    assert last.startswith("NameError: name 'np' is not defined (a component runs without the rest of its file: ")
    assert "additional_funcs" in last


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_signal_is_told(bench: Bench, number: signal.Signals) -> None:
    assert bench.run(f"def f(): os.kill(os.getpid(), {int(number)})")[0] == Outcome(signal=number)


def test_memory_that_python_could_not_have(bench: Bench) -> None:
    outcome, _ = bench.run("def f(): return bytearray(1 << 62)")

    assert outcome.out_of_memory
    assert outcome.exit_code == 1
    assert outcome.detail.endswith("MemoryError")


def test_memory_that_the_kernel_took_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = iter((7, 8))
    monkeypatch.setattr(task_process, "_out_of_memory_kills", lambda: next(kills))

    assert bench.run("def f(): os.kill(os.getpid(), 9)")[0] == Outcome(signal=9, out_of_memory=True)


@pytest.mark.parametrize(
    ("vmstat", "kills"),
    [(b"nr_free_pages 5\noom_kill 7\nnuma_hit 1\n", 7), (b"oom_kill 12\n", 12), (b"no_oom_kill 3\n", 0), (None, 0)],
)
def test_the_kernels_count_of_out_of_memory_kills_is_read(
    monkeypatch: pytest.MonkeyPatch, vmstat: bytes | None, kills: int
) -> None:
    def open_file(path: str, *_: object, **__: object) -> io.BytesIO:
        assert path == "/proc/vmstat"
        if vmstat is None:
            raise FileNotFoundError(path)
        return io.BytesIO(vmstat)

    monkeypatch.setattr(task_process, "open", open_file, raising=False)

    assert count_out_of_memory_kills() == kills


# --- what a task runs in


def test_the_environment_of_a_task(other: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/host")
    monkeypatch.setenv("VIRTUAL_ENV", "/host/venv")
    monkeypatch.setenv("FROM_HOST", "é")
    source = (
        "def f() -> list: return [os.environ.get(n) for n in ('FROM_HOST', 'OWN', 'KFP_RETRY_INDEX', 'VIRTUAL_ENV')]"
    )

    assert other.value(source, env={"OWN": "1"}, retry_index=2) == ["é", "1", "2", None]
    assert "/host" not in other.value("def f() -> list: return sys.path")
    assert other.value("def f() -> str: return os.environ['PATH']").startswith(f"{chosen(other).parent}:")


def test_a_variable_that_changes_between_tasks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def f() -> str: return os.environ.get('FROM_HOST', 'none')"
    for value in ("red", "blue", "red"):
        monkeypatch.setenv("FROM_HOST", value)
        assert bench.value(source) == value
    monkeypatch.delenv("FROM_HOST")
    assert bench.value(source) == "none"


def test_the_host_is_not_visible(other: Bench) -> None:
    source = "def f() -> list: return sys.path + [m for m in sys.modules if m.partition('.')[0] == 'standpipe']"

    assert [entry for entry in other.value(source) if sys.prefix in entry or entry.startswith("standpipe")] == []


def test_a_virtual_environment_is_named(bench: Bench) -> None:
    assert bench.value("def f() -> str: return os.environ['VIRTUAL_ENV']") == sys.prefix


def test_tasks_leave_no_trace_in_each_others_environment(bench: Bench) -> None:
    assert bench.value("def f() -> str: return os.environ.pop('ONCE')", env={"ONCE": "1"}) == "1"
    assert bench.value("def f() -> bool: return 'ONCE' in os.environ") is False


def test_variables_that_python_reads_at_its_start_count(bench: Bench, tmp_path: Path) -> None:
    source = "def f() -> list: return [hash('a'), '/mine' in sys.path]"
    seeded = {"PYTHONHASHSEED": "1", "PYTHONPATH": "/mine"}

    assert bench.value(source, env=seeded) == bench.value(source, env=seeded)
    assert bench.value(source, env=seeded)[1] is True
    assert bench.value(source)[1] is False


def test_the_working_directory_is_temporary(bench: Bench) -> None:
    source = """
        def f() -> str:
            assert os.listdir('.') == [] and os.getcwd() == sys.path[0]
            os.makedirs('deep/down'); open('deep/file', 'w').close(); os.chmod('deep', 0o500)
            return os.getcwd()
    """
    cwd = bench.value(source)

    assert Path.cwd() != Path(cwd)
    assert not Path(cwd).exists()


def test_what_a_task_leaves_running_is_ended(bench: Bench) -> None:
    pid = bench.value("def f() -> int: return subprocess.Popen(['sleep', '60']).pid")

    assert wait_until(lambda: not is_alive(pid))


def test_a_daemon_that_holds_the_log_does_not_hold_the_task(bench: Bench) -> None:
    log = Kept()
    source = """
        def f() -> int:
            daemon = subprocess.Popen(['sleep', '60'], start_new_session=True)
            print('said before the end')
            return daemon.pid
    """
    request = bench.request(source)
    start = time.monotonic()
    outcome = bench.runner.run(request, log=log, cancel=Cancellation())
    took = time.monotonic() - start
    if sys.platform != "linux":
        os.kill(value_in(request), signal.SIGKILL)  # it has gone to init

    assert outcome.succeeded
    assert log.data == b"said before the end\n"
    assert took < 20
    assert wait_until(lambda: not is_alive(value_in(request)))


def test_a_log_that_is_closed_early(bench: Bench) -> None:
    outcome, log = bench.run(
        "def f():\n  print('x', flush=True); os.close(1); os.close(2); time.sleep(0.2); os._exit(0)"
    )

    assert (outcome, log) == (Outcome(exit_code=0), "x\n")


# --- several at once


def test_twenty_tasks_at_once(bench: Bench) -> None:
    source = """
        def f(n: int, folder: str) -> int:
            print(n)
            open(os.path.join(folder, str(n)), 'w').close()
            while len(os.listdir(folder)) < 20: time.sleep(0.005)
            return n * n
    """
    together = bench.folder / "together"
    together.mkdir()

    def run(number: int) -> tuple[int, bytes]:
        request = bench.request(source, {"n": number, "folder": str(together)})
        log = Kept()
        assert bench.runner.run(request, log=log, cancel=Cancellation()).succeeded
        return value_in(request), log.data

    bench.value("def f() -> int: return 0")  # the server is there
    with ThreadPoolExecutor(20) as pool:  # each task waits for all others
        results = list(pool.map(run, range(20)))

    assert results == [(number * number, b"%d\n" % number) for number in range(20)]
    assert len(bench.runner._servers._running) == 1


def test_no_descriptor_is_left_open(bench: Bench) -> None:
    bench.value("def f() -> int: return 0")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        bench.run("def f(): raise ValueError")

    assert len(os.listdir("/proc/self/fd")) == before


# --- cancelling


@pytest.fixture
def long_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a task that only ends after the grace period fail its test, which waits for less."""
    monkeypatch.setattr(task_process, "_GRACE_PERIOD", 50.0)


def cancelled(bench: Bench, body: str) -> tuple[Outcome, float, bytes]:
    """Run a task, cancel it once it has printed `ready`; return its outcome, the seconds that it took, its log."""
    log, cancel = Kept(), Cancellation()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.runner.run, bench.request(f"def f():\n  {body}"), log=log, cancel=cancel)
        log.wait_for(b"ready")
        start = time.monotonic()
        cancel.set()
        return running.result(timeout=30), time.monotonic() - start, log.data


@pytest.mark.usefixtures("long_grace_period")
def test_a_cancelled_task_is_interrupted(bench: Bench) -> None:
    outcome, _, log = cancelled(bench, "print('ready'); time.sleep(60)")

    assert outcome.exit_code == 130
    assert b"KeyboardInterrupt" in log


def test_a_task_that_ignores_interrupts_is_terminated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_process, "_GRACE_PERIOD", 0.2)
    outcome, _, _ = cancelled(bench, "signal.signal(2, signal.SIG_IGN); print('ready'); time.sleep(60)")

    assert outcome == Outcome(signal=signal.SIGTERM)


def test_a_task_that_ignores_everything_is_killed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_process, "_GRACE_PERIOD", 0.2)
    ignore = "[signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; "
    outcome, took, _ = cancelled(bench, f"{ignore} subprocess.Popen(['sleep', '60']); print('ready'); time.sleep(60)")

    assert outcome == Outcome(signal=signal.SIGKILL)
    assert 0.4 <= took < 5


IGNORES = "[signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; "


@pytest.mark.usefixtures("long_grace_period")
@pytest.mark.parametrize("at_once", [True, False])
def test_an_urgent_wish_kills_what_ignores_everything(bench: Bench, at_once: bool) -> None:
    log, cancel = Kept(), Cancellation()
    request = bench.request(f"def f():\n  {IGNORES}print('ready'); time.sleep(60)")
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.runner.run, request, log=log, cancel=cancel)
        log.wait_for(b"ready")
        if not at_once:
            cancel.set()
        cancel.set(urgent=True)
        outcome = running.result(timeout=30)

    assert outcome == Outcome(signal=signal.SIGKILL)


@pytest.mark.usefixtures("long_grace_period")
def test_a_daemon_is_asked_to_end_as_its_task_is(bench: Bench) -> None:
    source = """
        def f():
            trap = 'trap "echo cleaned up; exit" INT; read line; echo ready; while :; do sleep 0.05; done'
            daemon = subprocess.Popen(['sh', '-c', trap], stdin=subprocess.PIPE, start_new_session=True)
            try:
                daemon.stdin.write(b'\\n')
                daemon.stdin.flush()
                time.sleep(60)
            finally:
                daemon.wait()
    """
    log, cancel = Kept(), Cancellation()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.runner.run, bench.request(source), log=log, cancel=cancel)
        log.wait_for(b"ready")
        cancel.set()
        running.result(timeout=30)

    assert b"cleaned up" in log.data


def test_a_daemon_of_a_task_that_ignores_everything_is_killed(bench: Bench) -> None:
    log, cancel = Kept(), Cancellation()
    source = f"""
        def f():
            {IGNORES}
            print(subprocess.Popen(['sh', '-c', 'trap "" INT TERM; sleep 60'], start_new_session=True).pid, flush=True)
            time.sleep(60)
    """
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.runner.run, bench.request(source), log=log, cancel=cancel)
        log.wait_for(b"\n")
        cancel.set(urgent=True)
        running.result(timeout=30)

    assert wait_until(lambda: not is_alive(int(log.data)), seconds=1)


def test_a_task_that_is_cancelled_before_it_starts_is_not_started(bench: Bench) -> None:
    cancel = Cancellation()
    cancel.set()
    request = bench.request("def f(): open('/tmp/never', 'w')")

    assert bench.runner.run(request, log=Kept(), cancel=cancel).problem == "it was cancelled before it started"
    assert not (request.folder / "request.json").exists()


def test_a_task_ends_when_its_log_cannot_be_kept(bench: Bench) -> None:
    class Full:
        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    source = "def f(pid: str):\n  open(pid, 'w').write(str(os.getpid())); print('x'); time.sleep(60)"
    pid_file = bench.folder / "pid"
    start = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        bench.runner.run(bench.request(source, {"pid": str(pid_file)}), log=Full(), cancel=Cancellation())

    assert time.monotonic() - start < 20
    assert not is_alive(int(pid_file.read_text()))


# --- servers


def test_a_server_that_died_is_replaced(bench: Bench) -> None:
    bench.value("def f() -> int: return 1")
    first = bench.server()
    os.kill(first, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(first))

    assert bench.value("def f() -> int: return 2") == 2
    assert bench.server() != first


def test_a_task_ends_with_its_server_and_takes_its_daemons_along(bench: Bench) -> None:
    source = """
        def f():
            daemon = subprocess.Popen(['sh', '-c', 'setsid sleep 60 & echo $!; sleep 60'], start_new_session=True)
            print(daemon.pid, os.getpid(), flush=True)
            time.sleep(60)
    """
    log = Kept()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.runner.run, bench.request(source), log=log, cancel=Cancellation())
        assert wait_until(lambda: log.data.count(b"\n") == 2)
        os.kill(bench.server(), signal.SIGKILL)
        outcome = running.result(timeout=30)

    assert outcome.problem.startswith("the fork server that it was started from has died")
    assert wait_until(lambda: not any(is_alive(int(pid)) for pid in log.data.split())), "the system ends them"
    assert bench.value("def f() -> int: return 1") == 1


def test_a_task_has_failed_if_its_end_is_not_known(bench: Bench) -> None:
    log = Kept()
    with ThreadPoolExecutor() as pool:
        request = bench.request("def f(): print(os.getpid()); time.sleep(60)")
        running = pool.submit(bench.runner.run, request, log=log, cancel=Cancellation())
        log.wait_for(b"\n")
        os.kill(bench.server(), signal.SIGKILL)
        os.kill(int(log.data), signal.SIGKILL)

        assert running.result(timeout=30).problem.startswith("the fork server that it was started from has died")


def test_an_interpreter_that_does_not_start(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'libpython is missing' >&2\nexit 127\n")
    broken.chmod(0o755)
    bench = Bench(tmp_path, Fixed(broken))

    with pytest.raises(RunnerError, match=r"does not start: .*/python\nlibpython is missing\n"):
        bench.run("def f(): pass")


def test_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Fixed(tmp_path / "nothing"))

    with pytest.raises(RunnerError, match=r"cannot be started: .*nothing"):
        bench.run("def f(): pass")


def test_closing_ends_everything(bench: Bench) -> None:
    log = Kept()
    with ThreadPoolExecutor() as pool:
        request = bench.request("def f(): print('ready', os.getpid()); time.sleep(60)")
        running = pool.submit(bench.runner.run, request, log=log, cancel=Cancellation())
        log.wait_for(b"\n")
        (server,) = bench.runner._servers._running.values()
        bench.runner.close()
        bench.runner.close()

        assert not running.result(timeout=30).succeeded
    assert server._process.returncode == 0, "it has stopped by itself, and was not killed after a timeout"
    assert wait_until(lambda: not is_alive(int(log.data.split()[1])))


def test_a_forked_process_has_servers_of_its_own(bench: Bench) -> None:
    bench.value("def f() -> int: return 0")
    server = bench.server()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads should not fork
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert bench.value("def f() -> int: return 1") == 1
            assert bench.server() != server
            bench.runner.close()
            code = 0
        finally:
            os._exit(code)

    assert os.waitpid(pid, 0)[1] == 0
    assert bench.value("def f() -> int: return 2") == 2
    assert bench.server() == server


def test_a_forked_process_does_not_keep_the_servers_of_one_that_died(tmp_path: Path) -> None:
    program = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).resolve().parents[3])!r})
from pathlib import Path
from tests.runners.bench import Bench, Fixed
bench = Bench(Path({str(tmp_path)!r}), Fixed(Path(sys.executable)))
bench.value("def f() -> int: return 0")
print(bench.server(), flush=True)
if os.fork() == 0:
    time.sleep(60)
os.kill(os.getpid(), 9)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        try:
            assert wait_until(lambda: not is_alive(server), seconds=5)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


# --- settings for Kubernetes


def value_with(bench: Bench, source: str, pod: PodSettings) -> Any:
    request = replace(bench.request(source), pod=pod)
    log = Kept()
    assert bench.runner.run(request, log=log, cancel=Cancellation()) == Outcome(exit_code=0), log.data.decode()
    return value_in(request)


def test_a_secret_variable_is_known_to_its_task_only(bench: Bench) -> None:
    source = """
        def f() -> list:
            with open("/proc/self/environ") as file:
                return [os.environ.get("PW") == "s3" + "cret", "s3" + "cret" in file.read()]
    """
    assert value_with(bench, source, PodSettings(env={"PW": "s3cret", "PATH": "/bin"})) == [True, False]
    assert bench.value(source) == [False, False]
    left = [file for file in bench.folder.rglob("*") if file.is_file()]
    assert [file for file in left if b"s3cret" in file.read_bytes()] == []


def test_volumes_are_mounted_for_the_task_alone(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("here")
    (tmp_path / "empty").mkdir()
    mounts = (
        Mount(tmp_path / "data", "/standpipe-test/data", read_only=True),
        Mount(tmp_path / "empty", str(Path(tempfile.gettempdir()))),  # which hides all that the task needs
    )
    source = """
        def f() -> list:
            import tempfile
            with open("/standpipe-test/data/x") as file, tempfile.NamedTemporaryFile() as other:
                return [file.read(), os.path.dirname(other.name), os.listdir(os.getcwd())]
    """
    assert value_with(bench, source, PodSettings(mounts=mounts)) == ["here", tempfile.gettempdir(), []]
    assert not Path("/standpipe-test").exists()


def test_what_cannot_be_mounted_fails_the_task_and_names_the_path(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    request = replace(
        bench.request("def f(): pass"), pod=PodSettings(mounts=(Mount(tmp_path, str(tmp_path / "file")),))
    )
    outcome = bench.runner.run(request, log=Kept(), cancel=Cancellation())
    assert outcome.problem.startswith("its volumes could not be mounted: ")
    assert f"It mounts folders at {tmp_path / 'file'}: mount them at paths that do not exist yet" in outcome.problem
    assert "DockerRunner" not in outcome.problem, "it could not mount that, either"


def test_a_volume_in_a_folder_that_others_use_meanwhile(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("text")
    pod = PodSettings(mounts=(Mount(tmp_path / "secret", f"{tempfile.gettempdir()}/standpipe-secret"),))
    source = f"def f() -> str: return open('{tempfile.gettempdir()}/standpipe-secret/key').read()"
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: value_with(bench, source, pod), range(24)))
    assert texts == ["text"] * 24


def test_what_only_containers_have_is_said_once_in_a_run(bench: Bench) -> None:
    pod = PodSettings(pull_policy="Always", user=0, shared_memory=1)
    for _ in range(2):
        bench.runner.run(replace(bench.request("def f(): pass"), pod=pod), log=Kept(), cancel=Cancellation())
    assert len(bench.notices) == 3
    assert bench.notices[0].startswith("kubernetes: the image pull policy of task 'train' has no effect")


# --- what is refused, and what is said


def test_a_container_needs_another_runner(bench: Bench) -> None:
    request = bench.request("", program=CommandLine(("echo",), ()), image="alpine")

    with pytest.raises(UnsupportedError, match=r"The task 'train' runs a container \(alpine\).*DockerRunner"):
        bench.runner.run(request, log=Kept(), cancel=Cancellation())


def test_a_folder_that_cannot_be_written(bench: Bench) -> None:
    request = bench.request("def f(): pass")
    request.folder.rmdir()

    with pytest.raises(StorageError, match=r"The task 'train' cannot be started: .*No such file"):
        bench.runner.run(request, log=Kept(), cancel=Cancellation())


@pytest.mark.parametrize("image", ["python:3.7", "docker.io/library/python:3.7-slim"])
def test_another_python_than_the_images_is_said_once(bench: Bench, image: str) -> None:
    for _ in range(2):
        assert bench.run("def f(): pass", image=image)[0].succeeded

    (notice,) = bench.notices
    assert notice.startswith(f"Components with the base image {image} run on this machine's Python 3.")


def test_the_default_image_is_nobodys_choice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))

    bench.runner._warn_of_other_python(DEFAULT_IMAGE)

    assert bench.notices == []


@pytest.mark.parametrize("image", ["python", "mine:3.7", "mypython:3.7", f"python:{HERE}-slim"])
def test_other_images_need_no_word(bench: Bench, image: str) -> None:
    bench.run("def f(): pass", image=image)

    assert bench.notices == []
