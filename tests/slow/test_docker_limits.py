"""Containers on a real engine: limits, resource usage, and removal."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from standpipe.errors import RunnerError
from standpipe.model.attempts import CommandLine, Outcome
from standpipe.model.cancellation import Cancellation
from standpipe.model.resources import Capacity, Limits
from standpipe.support import machine_capacity

from .docker_engine import (
    Bench,
    EngineProxy,
    Log,
    MakeBench,
    containers_of,
    needs_socket,
    python_function,
    wait_for,
)

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("docker_client")]

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024**2


def test_a_container_over_its_memory_is_killed_and_its_peak_is_the_limit(bench: Bench) -> None:
    source = "def work():\n    held = []\n    while True: held.append(bytearray(b'x') * (1 << 20))\n"
    outcome = bench.run(bench.request(python_function(source), limits=Limits(memory=64 * MIB)))
    assert outcome == Outcome(signal=9, out_of_memory=True)
    assert outcome.peak_memory == 64 * MIB


def test_the_limit_of_cores_reaches_the_engine(bench: Bench, docker_client: DockerClient) -> None:
    request = bench.request(CommandLine(("sleep", "60"), ()), limits=Limits(cpu=0.5, memory=64 * MIB))
    cancel = Cancellation()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.run, request, cancel=cancel)
        (container,) = wait_for(lambda: containers_of(docker_client, bench.run_id, running=True))
        host = docker_client.containers.get(container).attrs["HostConfig"]
        start = int(time.time())
        cancel.set(urgent=True)
        assert not running.result(timeout=20).succeeded
    kills = docker_client.api.events(
        since=start, until=int(time.time()) + 1, decode=True, filters={"event": "kill", "container": container}
    )
    signals = {kill["Actor"]["Attributes"].get("signal", "9") for kill in kills}  # Podman does not say which
    assert signals == {"9"}, "nothing waits for a grace period"
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 64 * MIB, 64 * MIB)


def test_a_function_says_what_it_used(bench: Bench) -> None:
    source = """def work():
    import time
    held = bytearray(b"x") * (70 << 20)
    while time.process_time() < 0.3: pass
"""
    outcome = bench.run(bench.request(python_function(source)))
    assert outcome.cpu_seconds is not None
    assert outcome.peak_memory is not None
    assert 0.3 <= outcome.cpu_seconds < 5
    assert 70 * MIB < outcome.peak_memory < 500 * MIB


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from concurrent.futures import ThreadPoolExecutor
from tests.slow.docker_engine import Bench
bench = Bench(Path({folder!r}))
print(bench.run_id, flush=True)
with ThreadPoolExecutor() as pool:
    list(pool.map(lambda name: bench.shell("sleep 60", name=name), ["a", "b", "c"]))
"""


@pytest.mark.parametrize("containers", [1, 3])
def test_nothing_is_left_of_a_process_that_was_killed(
    tmp_path: Path, docker_client: DockerClient, containers: int
) -> None:
    program = KILLED.format(root=str(ROOT), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        wait_for(lambda: len(containers_of(docker_client, run)) >= containers)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not containers_of(docker_client, run))
    time.sleep(1)
    assert containers_of(docker_client, run) == [], "none that was asked for just before came after"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK does not close a socket that nobody answers at
@needs_socket
def test_a_run_whose_engine_dies_fails_and_the_next_one_works(
    tmp_path: Path, docker_client: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = EngineProxy(tmp_path / "engine.sock")
    proxy.open()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{proxy.path}")
    bench, log = Bench(tmp_path / "root"), Log()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(bench.shell, "echo started; sleep 60", log)
        wait_for(lambda: log.pieces)
        proxy.shut()
        outcome = running.result(timeout=20)
    assert outcome.problem.startswith(
        "how its container ended is unknown: the container engine stopped answering (No such file or directory)."
    )
    assert len(containers_of(docker_client, bench.run_id)) == 1
    with pytest.raises(RunnerError, match="No such file or directory"):
        bench.shell("true", name="too early")
    proxy.open()
    assert bench.shell("true", name="next").succeeded
    assert containers_of(docker_client, bench.run_id) == [], "what could not be removed is removed by now"
    bench.runner.close()
    proxy.shut()
    gc.collect()


def test_libraries_start_as_many_threads_as_the_container_may_use(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_capacity, "read_capacity", lambda: Capacity(8, 2**40))
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    script = "echo ${OMP_NUM_THREADS-unset}"

    def read(bench: Bench, name: str, **settings: Any) -> str:
        log = Log()
        assert bench.shell(script, log, name=name, **settings).succeeded
        return log.text.strip()

    plain = make_bench()
    assert read(plain, "alone") == "unset"
    assert read(plain, "shared", concurrency=4) == "2"
    assert read(plain, "limited", limits=Limits(cpu=0.5)) == "1"
    assert read(plain, "own", concurrency=4, env={"OMP_NUM_THREADS": "6"}) == "6"
    assert read(make_bench(environment={"OMP_NUM_THREADS": "7"}), "arguments", concurrency=4) == "7"
