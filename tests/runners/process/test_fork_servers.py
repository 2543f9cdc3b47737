"""Fork servers that runners share, and their ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.model.cancellation import Cancellation
from standpipe.runners.process import fork_servers
from standpipe.runners.process.fork_servers import ForkServers, shared_servers
from standpipe.runners.process.runner import ProcessTaskRunner
from tests.processes import is_alive, wait_until
from tests.runners.bench import Bench, Fixed, Kept

SOURCE = "def f() -> int: return os.getppid()"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, Fixed(Path(sys.executable)))
    yield bench
    bench.runner._servers.close()


@dsl.component
def parent() -> int:
    import os

    return os.getppid()


def run(runner: local.LocalRunner, root: Path) -> int:
    output = local.run(parent, runner=runner, pipeline_root=root, quiet=True, enable_caching=False).output
    assert isinstance(output, int)
    return output


def other_runner(bench: Bench) -> ProcessTaskRunner:
    return ProcessTaskRunner(Fixed(Path(sys.executable)), servers=bench.runner._servers)


def test_runners_share_servers(bench: Bench) -> None:
    first = bench.value(SOURCE)
    previous, bench.runner = bench.runner, other_runner(bench)

    assert bench.value(SOURCE) == first
    previous.close()
    assert bench.value(SOURCE) == first, "another runner uses it"
    bench.runner.close()
    assert not is_alive(first)


def test_only_a_few_servers_without_tasks_are_kept(bench: Bench) -> None:
    pids = [bench.value(SOURCE, env={"LANG": str(number)}) for number in range(6)]

    assert [is_alive(pid) for pid in pids] == [False] * 2 + [True] * 4
    assert bench.value(SOURCE, env={"LANG": "2"}) == pids[2]
    bench.value(SOURCE, env={"LANG": "7"})
    assert [is_alive(pid) for pid in pids] == [False, False, True, False, True, True], "the last used ones are kept"


def test_a_run_keeps_more_servers_until_it_ends(bench: Bench) -> None:
    with bench.runner._servers.run():
        pids = [bench.value(SOURCE, env={"LANG": str(number)}) for number in range(6)]
        assert all(map(is_alive, pids))
    assert [is_alive(pid) for pid in pids] == [False] * 2 + [True] * 4


def test_servers_with_tasks_are_no_surplus(bench: Bench) -> None:
    source = """
        def f(folder: str) -> int:
            open(os.path.join(folder, str(os.getpid())), 'w').close()
            while len(os.listdir(folder)) < 6: time.sleep(0.005)
            return os.getppid()
    """
    together = bench.folder / "together"
    together.mkdir()
    with ThreadPoolExecutor(6) as pool:
        pids = pool.map(lambda n: bench.value(source, {"folder": str(together)}, env={"LANG": str(n)}), range(6))

    assert sum(map(is_alive, pids)) == 4


def test_a_server_without_tasks_ends_and_the_next_task_starts_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_servers, "IDLE_SECONDS", 0.2)
    first = bench.value("def f() -> int: time.sleep(0.6); return os.getppid()")

    assert wait_until(lambda: not is_alive(first))
    assert bench.value(SOURCE) != first
    assert not os.path.exists(f"/proc/{first}"), "not even a zombie"


def test_no_task_fails_because_a_server_ends_at_that_moment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_servers, "IDLE_SECONDS", 0.003)
    pids = {bench.value(SOURCE) for _ in range(30)}

    assert pids


def test_an_order_to_a_server_that_has_ended_is_sent_to_another(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.value(SOURCE)
    os.kill(first, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(first))
    monkeypatch.setattr(fork_servers.ForkServer, "has_ended", False)

    assert bench.value(SOURCE) != first


def test_init_ends_what_the_last_runner_no_longer_needs(tmp_path: Path) -> None:
    shared_servers.close()
    local.init(local.SubprocessRunner(), pipeline_root=tmp_path, quiet=True, enable_caching=False)
    server = parent().output
    local.init(local.SubprocessRunner(), pipeline_root=tmp_path, quiet=True, enable_caching=False)
    assert parent().output == server
    local.init(local.FakeRunner())

    assert not is_alive(server)


def test_init_leaves_the_run_of_another_thread_alone(bench: Bench, tmp_path: Path) -> None:
    @dsl.component
    def wait(folder: str) -> int:
        import os
        import time

        open(os.path.join(folder, "ready"), "w").close()
        while not os.path.exists(os.path.join(folder, "go")):
            time.sleep(0.005)
        return os.getppid()

    shared_servers.close()
    runner = local.SubprocessRunner()
    local.init(runner, pipeline_root=tmp_path, quiet=True, enable_caching=False)
    outputs: list[int] = []
    thread = threading.Thread(target=lambda: outputs.append(wait(folder=str(tmp_path)).output))
    thread.start()
    assert wait_until((tmp_path / "ready").exists)
    local.init(local.FakeRunner())
    (tmp_path / "go").touch()
    thread.join(60)

    (server,) = outputs
    assert not is_alive(server), "the runner is closed when its last run has ended"
    assert run(runner, tmp_path), "a later run opens it again"


def test_twenty_threads_with_a_runner_each(tmp_path: Path) -> None:
    shared_servers.close()
    with ThreadPoolExecutor(20) as pool:
        servers = set(pool.map(lambda _: run(local.SubprocessRunner(), tmp_path), range(20)))

    assert len(servers) == 1


def test_a_forked_process_does_not_make_a_run_wait_for_a_server_that_died(bench: Bench) -> None:
    log = Kept()
    with ThreadPoolExecutor() as pool:
        request = bench.request("def f(): print(os.getppid(), flush=True); time.sleep(60)")
        running = pool.submit(bench.runner.run, request, log=log, cancel=Cancellation())
        log.wait_for(b"\n")
        pid = os.fork()
        if pid == 0:
            signal.pause()
        try:
            os.kill(int(log.data), signal.SIGKILL)
            assert running.result(timeout=30).problem.startswith("the fork server that it was started from has died")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_servers_are_closed_at_the_end_of_the_program_once(bench: Bench) -> None:
    servers = ForkServers()
    with servers.use(Path(sys.executable), dict(os.environ), bench) as server:
        pass
    servers.close()
    servers.close()

    assert server.has_ended


def test_ctrl_c_while_a_server_ends_kills_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = bench.value(SOURCE)
    (server,) = bench.runner._servers._running.values()
    wait = server._process.wait

    def interrupt(timeout: float | None = None) -> int:
        if timeout is not None:
            raise KeyboardInterrupt
        return wait()

    monkeypatch.setattr(server._process, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.runner._servers.close()
    assert not is_alive(pid)
    assert server._process.returncode is not None
