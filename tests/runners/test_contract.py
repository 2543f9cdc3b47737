"""The runner contract, for the fake runner and for processes; tests/slow/test_docker_contract.py has containers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.plan import PythonFunction
from standpipe.runners.fake import FakeTaskRunner, Function
from standpipe.runners.in_process.runner import InProcessTaskRunner
from standpipe.runners.process import task_process
from standpipe.runners.process.runner import ProcessTaskRunner
from tests.runners.bench import HERE, Fixed
from tests.runners.contract import Harness, IsolatedRunnerContract, RunnerContract, add


class FakeHarness(Harness):
    """A runner of functions, which are called as they are."""

    def __init__(self, root: Path) -> None:
        self.functions: dict[str, Function] = {}
        super().__init__(FakeTaskRunner(self.functions), root)

    def program(self, function: Callable[..., Any], task: str) -> PythonFunction:
        self.functions[task] = function
        return PythonFunction(function.__name__, "")

    def lose(self, request: TaskRequest) -> None:
        raise NotImplementedError("functions always end in a known way")


class TestFakeRunner(RunnerContract):
    """Functions in this process."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> FakeHarness:
        return FakeHarness(tmp_path)

    def test_an_end_that_is_unknown_is_a_failure(self, harness: Harness) -> None:
        def unknown() -> Outcome:
            return Outcome(problem="the machine is gone")

        assert harness.run(harness.request(unknown)) == Outcome(problem="the machine is gone")


class InProcessHarness(Harness):
    """A runner of functions in this process, from their sources."""

    def __init__(self, root: Path) -> None:
        super().__init__(InProcessTaskRunner(), root)

    def lose(self, request: TaskRequest) -> None:
        raise NotImplementedError("the end of a function in this process is always known")


class TestInProcessRunner(RunnerContract):
    """Components in this process. Of what runners with processes must do, this has what one process can do."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[InProcessHarness]:
        harness = InProcessHarness(tmp_path)
        yield harness
        harness.runner.close()

    @pytest.mark.skip(reason="the end of a function in this process is always known")
    def test_an_end_that_is_unknown_is_a_failure(self, harness: Harness) -> None: ...

    def test_the_fingerprint_is_the_same_for_the_same_image(self, harness: Harness) -> None:
        """It is empty: a result can depend on all of this process, so it is not cached."""
        assert harness.runner.fingerprint(harness.request(add, {"a": 1, "b": 2})) == ""

    test_files_in_global_variables_are_complete = IsolatedRunnerContract.test_files_in_global_variables_are_complete
    test_an_exception_is_in_the_log = IsolatedRunnerContract.test_an_exception_is_in_the_log
    test_environment_variables_are_those_of_the_request = (
        IsolatedRunnerContract.test_environment_variables_are_those_of_the_request
    )

    # A task that is cancelled may clean up in the main thread, as only that gets signals (tests/runners/in_process). Of
    # the others of `IsolatedRunnerContract`: files that are left open elsewhere (`leave_open`), the state of
    # earlier tasks (`remember`), what child processes print (`print_all`), kills, limits and the peak of the memory
    # need a process for each task.


class ProcessHarness(Harness):
    """A runner of processes of this Python."""

    image = f"python:{HERE}"

    def __init__(self, root: Path) -> None:
        self.process_runner = ProcessTaskRunner(Fixed(Path(sys.executable)))
        super().__init__(self.process_runner, root)

    def lose(self, request: TaskRequest) -> None:
        for server in list(self.process_runner._servers._running.values()):  # others are idle ones of other tests
            os.kill(server._process.pid, signal.SIGKILL)


class TestProcessRunner(IsolatedRunnerContract):
    """Processes of this machine."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[ProcessHarness]:
        harness = ProcessHarness(tmp_path)
        yield harness
        harness.runner.close()

    @pytest.fixture(autouse=True)
    def _short_grace_period(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Kill at once what ignores signals; other tasks keep the time to clean up."""
        if "ignores_signals" in request.node.name:
            monkeypatch.setattr(task_process, "_GRACE_PERIOD", 0.2)
