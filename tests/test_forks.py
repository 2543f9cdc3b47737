"""Programs that fork while they run pipelines, and programs that make runner after runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from standpipe import dsl, local

PROJECT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes and descriptors in /proc"),
    pytest.mark.timeout(300),
]


def run_program(name: str, *arguments: object) -> list[str]:
    """Run a program of `tests.forks` to its end, which must leave no process; return the lines that it printed."""
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", f"tests.forks.{name}", *map(str, arguments)]
    env = {**os.environ, "STANDPIPE_MARK": mark}
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout.splitlines()


def check_usage(lines: list[str], *, most_processes: int, more_memory: int = 3000) -> None:
    """Check that what a process holds stays the same; `more_memory` is in kB."""
    usages = [json.loads(line) for line in lines]
    first, last = usages[len(usages) // 5], usages[-1]
    assert max(usage["processes"] for usage in usages) <= most_processes
    assert last["descriptors"] <= first["descriptors"]
    assert last["threads"] <= first["threads"] + 1, "that of an attempt may be about to end"
    assert last["memory"] <= first["memory"] + more_memory


def test_forks_beside_runs_share_nothing(tmp_path: Path) -> None:
    (line,) = run_program("stress", tmp_path / "root", 40)  # each child writes its coverage; the slow tests fork more
    assert line.startswith("40 forks during ")


def test_a_signal_handler_that_forks_does_not_disturb_a_run(tmp_path: Path) -> None:
    assert run_program("handler", tmp_path, 2, "logging")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_run_pipelines(tmp_path: Path, method: str) -> None:
    assert run_program("workers", tmp_path, method) == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_task_may_use_multiprocessing(tmp_path: Path, method: str) -> None:
    @dsl.component
    def parallel(method: str) -> list:
        import multiprocessing
        import operator
        from concurrent.futures import ProcessPoolExecutor
        from typing import Any

        context: Any = multiprocessing.get_context(method)
        with context.Pool(2) as pool, ProcessPoolExecutor(2, mp_context=context) as executor:
            queue = context.Queue()
            writer = context.Process(target=queue.put, args=("from a daemon",), daemon=True)
            writer.start()
            received = queue.get(timeout=60)
            writer.join()
            return [pool.map(abs, [-1, -2]), list(executor.map(operator.neg, [1, 2])), received]

    done = local.run(parallel, {"method": method}, runner=local.SubprocessRunner(), pipeline_root=tmp_path, quiet=True)
    assert done.output == [[1, 2], [-1, -2], "from a daemon"]


def test_runner_after_runner_takes_no_more_processes(tmp_path: Path) -> None:
    check_usage(run_program("many", tmp_path, 50, "process"), most_processes=4)


def test_server_after_server_takes_no_more_processes(tmp_path: Path) -> None:
    check_usage(run_program("many", tmp_path, 30, "variables"), most_processes=10)


def test_runners_of_containers_without_a_run_hold_nothing(tmp_path: Path) -> None:
    check_usage(run_program("many", tmp_path, 50, "unused"), most_processes=1)
