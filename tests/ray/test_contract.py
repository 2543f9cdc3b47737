"""The contract of runners on a real Ray cluster of one node."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from standpipe import local
from standpipe.model.attempts import TaskRequest
from standpipe.model.ports import Runner
from tests.processes import command_of, process_ids
from tests.runners.bench import HERE
from tests.runners.contract import Harness, IsolatedRunnerContract


class RayHarness(Harness):
    """A runner of tasks on a Ray cluster."""

    image = f"python:{HERE}"

    def __init__(self, root: Path, runner: Runner) -> None:
        super().__init__(runner, root)

    def lose(self, request: TaskRequest) -> None:
        """Kill the process of Ray that the task is below: the only one that runs our function."""
        for pid in _ray_processes(f"standpipe: {request.task}"):
            os.kill(pid, signal.SIGKILL)


def _ray_processes(task: str) -> list[int]:
    """Return the processes that run a task of Ray, which it names `ray::<task>`."""
    return [pid for pid in process_ids() if command_of(pid).startswith(f"ray::{task}")]


class TestRayRunner(IsolatedRunnerContract):
    """Processes below tasks of Ray."""

    @pytest.fixture
    def harness(self, tmp_path: Path, single_node: local.RayRunner) -> RayHarness:
        return RayHarness(tmp_path, single_node.task_runner)
