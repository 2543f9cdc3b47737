"""Containers that wait for their attempts: used once, by the attempt they were started for, and gone at the end."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.model.attempts import Mount, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import ExpectAttempts, Log
from standpipe.runners.docker.runner import ContainerTaskRunner
from tests.processes import wait_until
from tests.runners.contract import Harness, IsolatedRunnerContract

from .docker_engine import (
    IMAGE,
    Bench,
    EngineProxy,
    MakeBench,
    command_of,
    containers_of,
    needs_socket,
    python_function,
    variant,
    wait_for,
)
from .docker_engine import Log as KeptLog
from .test_docker_contract import open_harness

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]

WHERE = "def work():\n    import os, socket\n    print(socket.gethostname(), os.environ.get('X'))"


def waiting_for(client: DockerClient, task: str, run: str = "") -> list[str]:
    """Return the ids of the containers that wait for a task."""
    labels = [f"standpipe.task={task}", *([f"standpipe.run={run}"] if run else [])]
    found = client.api.containers(filters={"label": labels})
    return [each["Id"] for each in found if "stand-by" in command_of(client, each["Id"])]


# --- the contract of runners ------------------------------------------------------------------------------------------


class StandingBy:
    """A runner that runs each attempt, if it can, in a container that waits for it."""

    def __init__(self, runner: ContainerTaskRunner, client: DockerClient, expect: ExpectAttempts) -> None:
        self._runner = runner
        self._client = client
        self._expect = expect
        self._lock = threading.Lock()
        self._expected: dict[Path, TaskRequest] = {}

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        if self._runner._may_stand_by(request) and not cancel:
            with self._lock:
                self._expected[request.folder] = request
                self._expect(list(self._expected.values()), [])
            wait_for(lambda: waiting_for(self._client, str(request.task)), 60)
            with self._lock:
                del self._expected[request.folder]
                self._expect(list(self._expected.values()), [request.folder])
        return self._runner.run(request, log=log, cancel=cancel)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)


def pass_by() -> None:
    """Do nothing."""


@needs_socket
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK does not close a socket that nobody answers at
class TestStandbys(IsolatedRunnerContract):
    """Containers of a real engine that wait for their attempts."""

    @pytest.fixture
    def harness(
        self, tmp_path: Path, docker_client: DockerClient, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Harness]:
        with open_harness(tmp_path, docker_client, monkeypatch) as harness:
            runner = harness.runner
            assert isinstance(runner, ContainerTaskRunner)
            with runner.stand_by("contract", harness.root) as expect:
                first = copy(harness)
                first.root = harness.root / "first"
                first.run(first.request(pass_by))  # there are standbys from the first attempt on
                harness.runner = StandingBy(runner, docker_client, expect)
                yield harness


# --- one container ----------------------------------------------------------------------------------------------------


@pytest.fixture
def expect(bench: Bench) -> Iterator[ExpectAttempts]:
    """Takes the requests that a bench expects, after a first one has been run."""
    bench.root.mkdir()
    with bench.runner.stand_by(bench.run_id, bench.root) as expect:
        bench.run(bench.request(python_function("def work(): ..."), "first"))
        yield expect


def ready(bench: Bench, client: DockerClient, expect: ExpectAttempts, **more: Any) -> tuple[TaskRequest, str]:
    """Return a request, and the id of the container that waits for it."""
    request = bench.request(python_function(WHERE), **more)
    expect([request], [])
    (container,) = wait_for(lambda: waiting_for(client, "task", bench.run_id))
    return request, container


def test_an_attempt_runs_in_the_container_that_waits_for_it(
    bench: Bench, docker_client: DockerClient, expect: ExpectAttempts
) -> None:
    request, container = ready(bench, docker_client, expect, env={"X": "1"})
    log = KeptLog()
    assert bench.run(request, log) == Outcome(exit_code=0)
    assert log.text == f"{container[:12]} 1\n"


@pytest.mark.parametrize("change", ["env", "limits", "mounts", "image"])
def test_a_container_that_does_not_fit_is_replaced(
    bench: Bench, docker_client: DockerClient, expect: ExpectAttempts, change: str, tmp_path: Path
) -> None:
    with variant(docker_client, "touch /one") as one, variant(docker_client, "touch /other") as other:
        bench.run(bench.request(python_function("def work(): ..."), "with-image", image=one))
        request, container = ready(bench, docker_client, expect, image=one)
        if change == "env":
            request = replace(request, env={"X": "2"})
        elif change == "limits":
            request = replace(request, limits=replace(request.limits, cpu=1.0))
        elif change == "mounts":
            request = replace(request, input_mounts=(Mount(tmp_path, "/data", read_only=True),))
        else:  # the name stands for another image now
            docker_client.images.get(other).tag(*one.split(":"))
            bench.runner._known_images._known.clear()
        log = KeptLog()
        assert bench.run(request, log).succeeded
        assert container[:12] not in log.text
        wait_for(lambda: not containers_of(docker_client, bench.run_id))


def test_a_container_that_died_while_it_waited_is_replaced(
    bench: Bench, docker_client: DockerClient, expect: ExpectAttempts
) -> None:
    request, container = ready(bench, docker_client, expect)
    docker_client.api.kill(container)
    wait_for(lambda: not waiting_for(docker_client, "task", bench.run_id))
    log = KeptLog()
    assert bench.run(request, log) == Outcome(exit_code=0)
    assert container[:12] not in log.text


def test_a_container_that_nothing_waits_for_any_more_is_removed(
    bench: Bench, docker_client: DockerClient, expect: ExpectAttempts
) -> None:
    request, container = ready(bench, docker_client, expect)
    expect([], [request.folder])  # it has started, and takes its container soon
    assert waiting_for(docker_client, "task", bench.run_id) == [container]
    expect([], [])
    wait_for(lambda: not waiting_for(docker_client, "task", bench.run_id))


def test_a_container_that_waits_sees_its_own_attempt_only(
    bench: Bench, docker_client: DockerClient, expect: ExpectAttempts
) -> None:
    source = f"def work():\n    import os\n    print(sorted(os.listdir({str(bench.root / bench.run_id)!r})))"
    request, _ = ready(bench, docker_client, expect)
    log = KeptLog()
    assert bench.run(replace(request, program=python_function(source)), log).succeeded
    assert log.text == "['task']\n"


@needs_socket
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK does not close a socket that nobody answers at
def test_a_connection_that_breaks_ends_the_container_that_waits(
    bench: Bench, docker_client: DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = EngineProxy(tmp_path / "engine.sock")
    proxy.open()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{proxy.path}")
    bench.root.mkdir()
    with bench.runner.stand_by(bench.run_id, bench.root) as expect:
        bench.run(bench.request(python_function("def work(): ..."), "first"))
        ready(bench, docker_client, expect)
        proxy.shut()
        wait_for(lambda: not waiting_for(docker_client, "task", bench.run_id))
    proxy.open()
    bench.runner._prepare_engine(bench.engine())
    assert containers_of(docker_client, bench.run_id) == []
    gc.collect()


def test_a_port_of_this_machine_is_free_again_for_the_next_task(
    make_bench: MakeBench, docker_client: DockerClient
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    bench = make_bench(ports={"80/tcp": ("127.0.0.1", port)})
    bench.root.mkdir()
    with bench.runner.stand_by(bench.run_id, bench.root) as expect:
        for number in range(3):
            assert bench.run(bench.request(python_function("def work(): ..."), f"{number}")) == Outcome(exit_code=0)
            expect([bench.request(python_function(WHERE), f"other-{number}")], [])
            assert containers_of(docker_client, bench.run_id) == []


def test_an_attempt_in_a_volume_of_the_user_has_no_folder_before_it_starts(
    make_bench: MakeBench, docker_client: DockerClient, tmp_path: Path
) -> None:
    bench = make_bench(volumes=[f"{tmp_path}:{tmp_path}"])
    bench.root.mkdir()
    with bench.runner.stand_by(bench.run_id, bench.root) as expect:
        assert bench.run(bench.request(python_function("def work(): ..."), "first")).succeeded
        request = bench.request(python_function(WHERE))
        request.folder.rmdir()
        expect([request], [])
        wait_for(lambda: not containers_of(docker_client, bench.run_id))
        assert not request.folder.exists()
        request.folder.mkdir()
        assert bench.run(request).succeeded


# --- runs -------------------------------------------------------------------------------------------------------------


@dsl.component(base_image=IMAGE)
def host(x: str = "", seconds: float = 0.0, fails: bool = False) -> str:
    import socket
    import time

    time.sleep(seconds)
    assert not fails
    return socket.gethostname()


@contextmanager
def recorded(client: DockerClient) -> Iterator[Callable[[], list[str]]]:
    """Give a function that returns the tasks for which containers have waited, in the order of their start."""
    since = int(time.time())
    yield lambda: [
        event["Actor"]["Attributes"]["standpipe.task"]
        for event in client.api.events(
            since=since,
            until=int(time.time()) + 1,
            decode=True,
            filters={"event": "start", "label": f"standpipe.pid={os.getpid()}"},
        )
    ]


@pytest.fixture
def root(tmp_path: Path, docker_client: DockerClient) -> Iterator[Path]:
    """The pipeline root of runs in containers, of which nothing is left."""
    local.init(runner=local.DockerRunner(), pipeline_root=str(tmp_path), raise_on_error=True, max_parallel=2)
    yield tmp_path
    for run in tmp_path.iterdir():
        if run.is_dir():
            assert containers_of(docker_client, run.name) == []
            assert not (run / ".standby").exists()


@dsl.pipeline
def hosts_in_turn() -> str:
    first = host(seconds=0.5).set_caching_options(False)
    second = host(x=first.output, seconds=0.5)
    third = host(x=second.output, seconds=0.5)
    return host(x=third.output).output


def test_each_task_of_a_chain_has_a_container_of_its_own(root: Path) -> None:
    hosts_in_turn()
    (run,) = local.runs()
    hosts = [task.outputs["Output"] for task in run.tasks]
    assert len(set(hosts)) == len(hosts) == 4


def test_the_containers_of_cached_and_of_skipped_tasks_are_removed(root: Path, docker_client: DockerClient) -> None:
    @dsl.pipeline
    def cached() -> None:
        first = host(seconds=1.5).set_caching_options(False)
        host(x="constant").after(first)

    @dsl.pipeline
    def skipped() -> None:
        host(x=host(seconds=1.5, fails=True).output)

    cached()
    with recorded(docker_client) as started:
        cached()
        assert sorted(started()) == ["host", "host-2"]
    with recorded(docker_client) as started, pytest.raises(TaskFailed):
        skipped()
    assert sorted(started()) == ["host", "host-2"]


def test_two_runs_at_once_have_their_own_containers(root: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        for run in [pool.submit(hosts_in_turn) for _ in range(2)]:
            run.result()
    hosts = [task.outputs["Output"] for run in local.runs() for task in run.tasks]
    assert len(set(hosts)) == len(hosts) == 8


PROGRAM = """
import sys
from standpipe import dsl, local

@dsl.component(base_image={image!r})
def work(x: int = 0) -> int:
    import time
    time.sleep(60)
    return x

@dsl.pipeline
def interrupted():
    work(x=work().output)

local.init(runner=local.DockerRunner(), pipeline_root={root!r})
interrupted()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_waits_for_the_tasks_of_a_program_that_was_stopped(
    tmp_path: Path, docker_client: DockerClient, number: signal.Signals
) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(image=IMAGE, root=str(tmp_path / "root")))
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert wait_until(lambda: list((tmp_path / "root").glob("interrupted-*")), 60)
            (run,) = (tmp_path / "root").glob("interrupted-*")
            wait_for(lambda: waiting_for(docker_client, "work-2", run.name), 60)
            process.send_signal(number)
            process.wait(60)
        finally:
            process.kill()
    assert wait_until(lambda: not containers_of(docker_client, run.name), 0 if number != signal.SIGKILL else 20)
    assert (run / ".standby").exists() == (number == signal.SIGKILL)
