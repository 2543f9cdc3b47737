"""What holds tasks in processes to their limits, and what they say that they used."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.resources import Limits
from standpipe.runners.process.cgroups import ControlGroups
from standpipe.runners.process.cpu_affinity import CorePool
from standpipe.runners.process.limits import Limiter
from standpipe.runners.process.memory_watch import process_limit
from tests.processes import is_alive, wait_until
from tests.runners.bench import Bench, Fixed, Kept, value_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it takes /proc")

MIB = 1024**2
HOG = "held = []\n    while True: held.append(bytearray(b'x') * (4 << 20)); time.sleep(0.002)"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "root", Fixed(Path(sys.executable)))
    bench.folder.mkdir()
    bench.runner._limiter = Limiter(ControlGroups(tmp_path / "no proc"))  # as for most users
    yield bench
    bench.runner.close()


def limited(bench: Bench, source: str, **limits: Any) -> tuple[Outcome, TaskRequest, str]:
    request = replace(bench.request(source), limits=Limits(**limits))
    log = Kept()
    outcome = bench.runner.run(request, log=log, cancel=Cancellation())
    return outcome, request, log.data.decode()


# --- memory


def test_a_task_over_its_memory_is_killed_and_its_peak_is_known(bench: Bench) -> None:
    outcome, _, _ = limited(bench, f"def f():\n    {HOG}", memory=96 * MIB)

    assert outcome == Outcome(signal=signal.SIGKILL, out_of_memory=True)
    assert outcome.peak_memory is not None
    assert 96 * MIB < outcome.peak_memory < 1024 * MIB


@pytest.mark.parametrize("how", ["", "start_new_session=True"])
def test_the_memory_of_children_and_daemons_counts(bench: Bench, how: str) -> None:
    # None of the three is over the limit, and all of them are together.
    source = f"""
        def f():
            hold = [sys.executable, '-c', "import time; held = bytearray(b'x') * (60 << 20); time.sleep(60)"]
            print(*[subprocess.Popen(hold, {how}).pid for _ in range(3)], flush=True)
            time.sleep(60)
    """
    outcome, _, log = limited(bench, source, memory=150 * MIB)

    assert outcome == Outcome(signal=signal.SIGKILL, out_of_memory=True)
    assert outcome.peak_memory is not None
    assert outcome.peak_memory > 150 * MIB
    assert wait_until(lambda: not any(is_alive(int(pid)) for pid in log.split()), seconds=1)


def test_a_task_below_its_limit_is_left_alone(bench: Bench) -> None:
    source = "def f() -> int:\n    held = bytearray(b'x') * (50 << 20); time.sleep(0.3); return len(held)"
    outcome, request, _ = limited(bench, source, memory=400 * MIB)

    assert outcome == Outcome(exit_code=0)
    assert value_in(request) == 50 * MIB


def test_memory_that_forked_processes_share_counts_once(bench: Bench) -> None:
    source = """
        def f() -> int:
            held = bytearray(b'x') * (60 << 20)
            for _ in range(4):
                if os.fork() == 0:
                    time.sleep(0.4)
                    os._exit(0)
            return sum(os.wait()[1] for _ in range(4))
    """
    outcome, request, _ = limited(bench, source, memory=150 * MIB)

    assert outcome == Outcome(exit_code=0)
    assert value_in(request) == 0


def test_what_is_asked_for_at_once_is_refused_before_the_next_look(bench: Bench) -> None:
    source = f"def f():\n    bytearray({process_limit(64 * MIB)})"
    outcome, _, _ = limited(bench, source, memory=64 * MIB)

    assert outcome.out_of_memory
    assert outcome.detail.endswith("MemoryError")


def test_a_task_without_a_limit_has_none(bench: Bench) -> None:
    source = """
        def f() -> list:
            import resource
            return [resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY, len(os.sched_getaffinity(0))]
    """
    assert bench.value(source) == [True, len(os.sched_getaffinity(0))]


# --- cores and accelerators


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="it takes two cores")
@pytest.mark.parametrize("cpu", [0.5, 1.0])
def test_a_task_runs_on_as_many_cores_as_its_limit_says(bench: Bench, cpu: float) -> None:
    outcome, request, _ = limited(bench, "def f() -> list: return sorted(os.sched_getaffinity(0))", cpu=cpu)

    assert outcome.succeeded
    assert len(value_in(request)) == 1


def test_limited_tasks_keep_out_of_each_others_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 2, 3, 5})
    cores = CorePool()
    with cores.reserve(1.5) as two, cores.reserve(1) as one, cores.reserve(0.1) as another:
        assert sorted([*two, *one, *another]) == [1, 2, 3, 5]
        with cores.reserve(3.0) as three:
            assert len(set(three)) == 3
    with cores.reserve(2) as again:
        assert again == two, "all are free again"


def test_a_limit_of_all_cores_is_none(bench: Bench) -> None:
    there = os.sched_getaffinity(0)
    _, request, _ = limited(bench, "def f() -> list: return sorted(os.sched_getaffinity(0))", cpu=float(len(there)))

    assert value_in(request) == sorted(there)


def test_accelerators_are_named_to_cuda(bench: Bench) -> None:
    source = "def f() -> list: return [os.environ.get(f'{who}_VISIBLE_DEVICES') for who in ('CUDA', 'NVIDIA')]"
    _, request, _ = limited(bench, source, gpus=("1", "GPU-3"))

    assert value_in(request) == ["1,GPU-3"] * 2


def test_a_task_without_accelerators_sees_what_this_process_sees(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")

    assert bench.value("def f() -> str: return os.environ['CUDA_VISIBLE_DEVICES']") == "7"


# --- what was used


BUSY = "until = time.process_time() + 0.2\n    while time.process_time() < until: pass"


def test_a_task_says_what_it_used(bench: Bench) -> None:
    outcome, _ = bench.run(f"def f():\n    held = bytearray(b'x') * (70 << 20)\n    {BUSY}")

    assert outcome.cpu_seconds is not None
    assert outcome.peak_memory is not None
    assert 0.2 <= outcome.cpu_seconds < 5
    assert 70 * MIB < outcome.peak_memory < 500 * MIB


def test_what_its_children_used_counts(bench: Bench) -> None:
    child = "import time; held = bytearray(b'x') * (70 << 20)\\nwhile time.process_time() < 0.2: pass"
    outcome, _ = bench.run(f'def f(): subprocess.run([sys.executable, "-c", "{child}"], check=True)')

    assert outcome.cpu_seconds is not None
    assert outcome.peak_memory is not None
    assert outcome.cpu_seconds >= 0.2
    assert outcome.peak_memory > 70 * MIB


def test_what_a_killed_task_used_is_told_by_the_server(bench: Bench) -> None:
    outcome, _ = bench.run(f"def f():\n    {BUSY}\n    os.kill(os.getpid(), 9)")

    assert outcome == Outcome(signal=9)
    assert outcome.cpu_seconds is not None
    assert outcome.cpu_seconds >= 0.2
