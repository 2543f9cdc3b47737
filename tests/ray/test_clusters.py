"""Runs on Ray clusters: what is lost with a node or the program, what ends with it, and what Ray must not change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed, UnsupportedError
from standpipe.history import Status
from standpipe.model.events import AttemptFailed
from standpipe.store.reading import run_facts, run_rows
from tests.processes import CHECKOUT, is_alive, wait_until
from tests.ray.clusters import TestCluster, cluster, raylet_pid

SMALL = {"object_store_memory": 80 * 1024**2}


@dsl.component
def wait(number: int, folder: str, seconds: float) -> int:
    import os
    import time

    with open(f"{folder}/starts.txt", "a") as file:
        file.write(f"{number} {os.getpid()}\n")
    time.sleep(seconds)
    return number * number


@dsl.component
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dsl.pipeline
def squares(folder: str, seconds: float) -> int:
    with dsl.ParallelFor([1, 2, 3, 4]) as number:
        each = wait(number=number, folder=folder, seconds=seconds)
    return total(numbers=dsl.Collected(each.output)).output


@dsl.component
def leave(folder: str) -> None:
    import sys

    with open(f"{folder}/starts.txt", "a") as file:
        file.write("0 0\n")
    sys.exit(0)


@dsl.component
def fail(folder: str) -> None:
    class Two(Exception):
        def __init__(self, first: str, second: str) -> None:
            super().__init__(f"{first} and {second}")

    with open(f"{folder}/starts.txt", "a") as file:
        file.write("0 0\n")
    raise Two("one", "two")


@dsl.component
def variables() -> dict:
    import os

    return {name: value for name, value in os.environ.items() if name.startswith(("RAY_", "OMP_", "CUDA", "PYTHONB"))}


@dsl.component
def number() -> int:
    return 7


def starts(folder: Path) -> list[tuple[int, int]]:
    """Return the number and the process of each start of a task."""
    try:
        lines = (folder / "starts.txt").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [(int(number), int(pid)) for number, pid in map(str.split, lines)]


def ancestors(pid: int, last: int = 1) -> Iterator[int]:
    """Yield the processes above a process, up to the last one."""
    while pid not in (1, last):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid


# --- one node after the other -----------------------------------------------------------------------------------------


def test_tasks_of_a_node_that_is_killed_run_again_on_another_one(tmp_path: Path) -> None:
    with cluster(num_cpus=0, **SMALL) as started:
        nodes = [started.add_node(num_cpus=2, **SMALL) for _ in range(2)]
        runner = local.RayRunner(started.address, use_venv=False)
        killed: list[int] = []

        def kill_one() -> None:
            if wait_until(lambda: len(starts(tmp_path)) == 4, 60):
                raylet = raylet_pid(nodes[0])
                killed.extend(pid for _, pid in starts(tmp_path) if raylet in ancestors(pid))
                started.kill(nodes[0])

        killer = threading.Thread(target=kill_one)
        killer.start()
        arguments = {"folder": str(tmp_path), "seconds": 8.0}
        try:
            run = local.run(squares, arguments, runner=runner, pipeline_root=tmp_path, quiet=True)
        finally:
            killer.join()
            runner.task_runner.close()
    assert run.output == 1 + 4 + 9 + 16
    assert len(killed) == 2
    assert not any(map(is_alive, killed))
    assert sorted(Counter(number for number, _ in starts(tmp_path)).values()) == [1, 1, 2, 2]
    (row,) = run_rows(tmp_path)
    lost = [fact for _, fact in run_facts(tmp_path, row) if isinstance(fact, AttemptFailed)]
    assert [fact.is_lost for fact in lost] == [True, True]
    assert "the node that it ran on was lost" in lost[0].failure.message


# --- what Ray must not change -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def head() -> Iterator[TestCluster]:
    with cluster(num_cpus=2, num_gpus=2, **SMALL) as started:
        yield started


@pytest.fixture
def runner(head: TestCluster) -> Iterator[local.RayRunner]:
    runner = local.RayRunner(head.address, use_venv=False)
    yield runner
    runner.task_runner.close()


def test_a_task_that_exits_with_0_has_succeeded_and_runs_once(tmp_path: Path, runner: local.RayRunner) -> None:
    local.run(leave, {"folder": str(tmp_path)}, runner=runner, pipeline_root=tmp_path, quiet=True)

    assert local.get_run("latest", tmp_path).status is Status.SUCCEEDED
    assert len(starts(tmp_path)) == 1


def test_an_exception_with_two_arguments_arrives_as_it_was(tmp_path: Path, runner: local.RayRunner) -> None:
    with pytest.raises(TaskFailed, match="Two: one and two"):
        local.run(fail, {"folder": str(tmp_path)}, runner=runner, pipeline_root=tmp_path, quiet=True)
    assert len(starts(tmp_path)) == 1


def test_a_task_sees_no_variables_of_ray_and_no_accelerators(tmp_path: Path, runner: local.RayRunner) -> None:
    run = local.run(variables, {}, runner=runner, pipeline_root=tmp_path, quiet=True)

    assert {name: value for name, value in run.output.items() if os.environ.get(name) != value} == {
        "CUDA_VISIBLE_DEVICES": ""
    }


def test_a_task_sees_the_accelerators_that_are_its_own(tmp_path: Path, runner: local.RayRunner) -> None:
    @dsl.pipeline
    def two() -> None:
        for _ in range(2):
            variables().set_accelerator_limit(1).set_accelerator_type("nvidia.com/gpu").set_caching_options(False)

    local.run(two, {}, runner=runner, pipeline_root=tmp_path, quiet=True)

    outputs: list[Any] = [task.outputs["Output"] for task in local.get_run("latest", tmp_path).tasks]
    seen = [each["CUDA_VISIBLE_DEVICES"] for each in outputs]
    assert set(seen) <= {"0", "1"}


def test_a_request_that_no_node_can_satisfy_runs_with_the_most_that_one_has(
    tmp_path: Path, runner: local.RayRunner, head: TestCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    node = head.add_node(num_cpus=1, **SMALL)

    @dsl.pipeline
    def large() -> int:
        return number().set_cpu_request("3").output

    try:
        run = local.run(large, {}, runner=runner, pipeline_root=tmp_path, quiet=True)
    finally:
        head.kill(node)
    assert run.output == 7
    assert "requests 3 cores, and the largest node of the Ray cluster has 2" in capsys.readouterr().err


def test_a_node_that_does_not_see_the_folder_of_a_task_is_named(tmp_path: Path, runner: local.RayRunner) -> None:
    from dataclasses import replace

    from standpipe.model.cancellation import Cancellation
    from tests.ray.test_contract import RayHarness
    from tests.runners.bench import Kept
    from tests.runners.contract import add

    harness = RayHarness(tmp_path, runner.task_runner)
    assert harness.run(harness.request(add, {"a": 1, "b": 2})).succeeded, "the nodes are not checked again"
    elsewhere = replace(harness.request(add, {"a": 1, "b": 2}), folder=tmp_path / "missing")
    with pytest.raises(UnsupportedError, match=r"The node [0-9.]+ does not see the folder .* share with this machine"):
        runner.task_runner.run(elsewhere, log=Kept(), cancel=Cancellation())


def test_packages_are_in_an_environment_of_their_own(tmp_path: Path, head: TestCluster) -> None:
    @dsl.component
    def where() -> str:
        import sys

        return sys.prefix

    runner = local.RayRunner(head.address)
    run = local.run(where, {}, runner=runner, pipeline_root=tmp_path, quiet=True)
    runner.task_runner.close()

    assert run.output != sys.prefix


# --- the program ------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from standpipe import local
from tests.ray.test_clusters import squares

if __name__ == "__main__":
    root, address, *run = sys.argv[1:]
    local.init(local.RayRunner(address or None, use_venv=False), root, quiet=True)
    print("output", (local.resume(*run) if run else squares(folder=root, seconds=6.0)).output)
"""


def start(folder: Path, address: str, *run: str) -> subprocess.Popen[str]:
    script = folder / "program.py"
    script.write_text(PROGRAM)
    path = os.pathsep.join((str(CHECKOUT / "src"), str(CHECKOUT)))
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), address, *run],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_program_that_is_killed_leaves_no_task_and_is_resumed(tmp_path: Path, head: TestCluster) -> None:
    process = start(tmp_path, head.address)
    try:
        assert wait_until(lambda: len(starts(tmp_path)) >= 2, 90)
    finally:
        process.kill()
    process.communicate()
    pids = [pid for _, pid in starts(tmp_path)]
    assert wait_until(lambda: not any(map(is_alive, pids)), 30)

    (row,) = run_rows(tmp_path)
    output, errors = start(tmp_path, head.address, row.id).communicate(timeout=180)
    assert "output 30" in output, errors


def test_auto_is_the_cluster_of_this_machine(tmp_path: Path, head: TestCluster) -> None:
    runner = local.RayRunner("auto", use_venv=False)
    try:
        assert local.run(number, {}, runner=runner, pipeline_root=tmp_path, quiet=True).output == 7
    finally:
        runner.task_runner.close()


def test_a_second_cluster_in_one_program_is_refused(tmp_path: Path, head: TestCluster, runner: local.RayRunner) -> None:
    assert runner.task_runner.capacity().cpu == 2
    port = head.address.rpartition(":")[2]
    same = local.RayRunner(f"localhost:{port}", use_venv=False)
    assert local.run(number, {}, runner=same, pipeline_root=tmp_path, quiet=True).output == 7
    same.task_runner.close()
    other = local.RayRunner("127.0.0.1:1", use_venv=False)
    with pytest.raises(TaskFailed, match=r"connected to another cluster, [0-9.:]+, by another RayRunner"):
        local.run(number, {}, runner=other, pipeline_root=tmp_path, quiet=True)


def test_ctrl_c_leaves_nothing_of_a_cluster_of_its_own(tmp_path: Path) -> None:
    process = start(tmp_path, "local")
    assert wait_until(lambda: starts(tmp_path) or process.poll() is not None, 120), "no task has started"
    tasks = [pid for _, pid in starts(tmp_path)]
    of_ray = {pid for task in tasks for pid in ancestors(task, process.pid)} - {process.pid}

    start_of_end = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - start_of_end < 30
    assert process.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert of_ray
    assert wait_until(lambda: not any(map(is_alive, {*tasks, *of_ray})), 30)


def test_a_ray_client_runs_tasks_and_cancels_them(tmp_path: Path) -> None:
    port = 24017
    with cluster(num_cpus=2, ray_client_server_port=port, **SMALL):
        folder = tmp_path / "first"
        folder.mkdir()
        process = start(folder, f"ray://127.0.0.1:{port}")
        assert wait_until(lambda: starts(folder) or process.poll() is not None, 120)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode != 0
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert wait_until(lambda: not any(is_alive(pid) for _, pid in starts(folder)), 30)

        (row,) = run_rows(folder)
        output, errors = start(folder, f"ray://127.0.0.1:{port}", row.id).communicate(timeout=180)
        assert "output 30" in output, errors
