"""What every runner must do: the tests that each implementation of `standpipe.model.ports.Runner` runs.

A new runner subclasses `RunnerContract`, or `IsolatedRunnerContract` if its tasks are processes of their own, and
provides the fixture `harness`; see docs/contributing/runners.md. The functions below stand in for the user's code, so
each imports what it needs.
"""

from __future__ import annotations

import gzip
import inspect
import json
import stat
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest

from standpipe.model.attempts import Mount, Outcome, PodSettings, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import Component, ExecutorRef, PythonFunction
from standpipe.model.ports import Runner
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Limits
from standpipe.model.types import ParameterOutput, ParameterType
from tests.processes import wait_until
from tests.runners.bench import Kept
from tests.worker.tasks import PREAMBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from standpipe.dsl import Dataset, Input, Model, Output

MIB = 1024**2

#: What the tasks declare, as far as runners read it.
COMPONENT = Component(ExecutorRef("contract"), outputs={"Output": ParameterOutput(ParameterType.STRUCT)})


class Harness(ABC):
    """A runner and a pipeline root, with short ways to make requests for it and to run them."""

    #: The image of all tasks.
    image = "python:3.11"

    def __init__(self, runner: Runner, root: Path) -> None:
        self.runner = runner
        self.root = root
        self._lock = threading.Lock()
        self._count = 0

    @abstractmethod
    def lose(self, request: TaskRequest) -> None:
        """Make the end of a running task unknown to the runner."""

    def program(self, function: Callable[..., Any], task: str) -> PythonFunction:
        """Return the program that runs a function of this module; by default a lightweight Python component."""
        return PythonFunction(function.__name__, PREAMBLE + inspect.getsource(function))

    def request(
        self,
        function: Callable[..., Any],
        parameters: Mapping[str, Any] | None = None,
        artifacts: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> TaskRequest:
        """Return a request for a new task; it has the outputs `Output`, a parameter, and `model`, an artifact."""
        with self._lock:
            self._count += 1
            name = f"task-{self._count}"
        folder = self.root / "run" / name
        folder.mkdir(parents=True)
        outputs = {
            "parameters": {"Output": {"outputFile": str(folder / "Output")}},
            "artifacts": {"model": {"artifacts": [artifact("model", "system.Model", folder / "model")]}},
            "outputFile": str(folder / "executor_output.json"),
        }
        return TaskRequest(
            run="contract",
            task=TaskRef(((name, None),)),
            attempt=fields.get("retry_index", 0),
            image=self.image,
            program=self.program(function, name),
            executor_input={
                "inputs": {"parameterValues": dict(parameters or {}), "artifacts": dict(artifacts or {})},
                "outputs": outputs,
            },
            folder=folder,
            pipeline_root=self.root,
            component=COMPONENT,
            **fields,
        )

    def run(self, request: TaskRequest, log: Kept | None = None, cancel: Cancellation | None = None) -> Outcome:
        return self.runner.run(request, log=log or Kept(), cancel=cancel or Cancellation())

    @contextmanager
    def running(
        self, request: TaskRequest, cancel: Cancellation | None = None
    ) -> Iterator[tuple[Future[Outcome], Kept]]:
        """Run a task that prints `started`, and yield when it has."""
        log = Kept()
        cancel = Cancellation() if cancel is None else cancel
        with ThreadPoolExecutor(1) as pool:
            outcome = pool.submit(self.runner.run, request, log=log, cancel=cancel)
            try:
                assert wait_until(lambda: b"started" in log.data or outcome.done(), 60)
                assert not outcome.done(), outcome.result()
                yield outcome, log
            finally:
                cancel.set(urgent=True)


def artifact(name: str, title: str, path: Path) -> dict[str, Any]:
    schema = {"schemaTitle": title, "schemaVersion": "0.0.1"}
    return {"name": name, "type": schema, "uri": str(path), "metadata": {}}


def executor_output(request: TaskRequest) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((request.folder / "executor_output.json").read_text())
    return content


def value(request: TaskRequest) -> Any:
    return executor_output(request)["parameterValues"]["Output"]


# --- the code of tasks


def add(a: int, b: int) -> int:
    return a + b


def echo(text: str, number: float, flag: bool, items: list, table: dict) -> dict:
    return {"text": text, "number": number, "flag": flag, "items": items, "table": table}


def copy(data: Input[Dataset], model: Output[Model]) -> None:
    with open(data.path) as source, open(model.path, "w") as target:
        target.write(source.read().upper())
    model.metadata["rows"] = 3


def leave(code: Any) -> None:
    import sys

    sys.exit(code)


def fail(text: str) -> None:
    raise ValueError(text)


def leave_open(path: str) -> None:
    import builtins

    builtins.file = open(path, "w")  # type: ignore[attr-defined]  # noqa: SIM115  stays open
    builtins.file.write("rows")  # type: ignore[attr-defined]


def leave_globals_open(path: str) -> None:
    import gzip
    import zipfile

    global rows, packed, archive
    rows = open(path, "w")  # type: ignore[name-defined]  # noqa: SIM115  they stay open
    packed = gzip.open(path + ".gz", "wt")  # type: ignore[name-defined]  # noqa: SIM115
    archive = zipfile.ZipFile(path + ".zip", "w")  # type: ignore[name-defined]
    rows.write("rows")  # type: ignore[name-defined]
    packed.write("packed rows")  # type: ignore[name-defined]
    archive.writestr("member", "archived rows")  # type: ignore[name-defined]


def variables(names: list) -> dict:
    import os

    return {name: os.environ.get(name) for name in names}


def remember() -> bool:
    import builtins

    knew = hasattr(builtins, "standpipe_contract")
    builtins.standpipe_contract = True  # type: ignore[attr-defined]
    return knew


def print_all() -> None:
    import os
    import subprocess
    import sys

    print("one")
    print("two", file=sys.stderr)
    os.write(1, b"\xff\x00 three\n")
    subprocess.run(["echo", "four"], check=True)
    print("é", end="")


def sleep() -> None:
    import time

    print("started", flush=True)
    time.sleep(60)


def clean_up() -> None:
    import time

    try:
        print("started", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("cleaned up")
        raise


def ignore_signals() -> None:
    import signal
    import time

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    print("started", flush=True)
    time.sleep(60)


def let_child_take_memory(size: int) -> None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", f"import time; x = bytearray({size}); time.sleep(5)"], check=False)


def take_memory(size: int) -> int:
    import time

    held = bytearray(size)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(0.5)  # a runner may look at the memory now and then only
    return len(held)


# --- the tests


class RunnerContract:
    """The tests of every runner. A subclass provides the fixture `harness`."""

    def test_a_task_that_succeeds_has_exit_code_0_and_its_output(self, harness: Harness) -> None:
        request = harness.request(add, {"a": 1, "b": 2})

        assert harness.run(request) == Outcome(exit_code=0)
        assert value(request) == 3

    def test_parameters_of_all_types_reach_the_task(self, harness: Harness) -> None:
        given = {"text": "é\n'\"{{$}}", "number": 0.5, "flag": True, "items": [1, None], "table": {"a": {"b": []}}}
        request = harness.request(echo, given)

        assert harness.run(request).succeeded
        assert value(request) == given

    def test_artifacts_are_read_and_written(self, harness: Harness) -> None:
        source = harness.root / "data.txt"
        source.write_text("rows")
        data = {"data": {"artifacts": [artifact("data", "system.Dataset", source)]}}
        request = harness.request(copy, artifacts=data, input_mounts=(Mount(source, str(source), read_only=True),))

        assert harness.run(request).succeeded
        assert (request.folder / "model").read_text() == "ROWS"
        (model,) = executor_output(request)["artifacts"]["model"]["artifacts"]
        assert (model["uri"], model["metadata"]) == (str(request.folder / "model"), {"rows": 3})

    @pytest.mark.parametrize(("code", "expected"), [(3, 3), (0, 0), (None, 0), ("a reason", 1)])
    def test_an_exit_code_is_that_of_the_outcome(self, harness: Harness, code: Any, expected: int) -> None:
        outcome = harness.run(harness.request(leave, {"code": code}))

        assert (outcome.exit_code, outcome.signal, outcome.problem) == (expected, None, "")
        assert outcome.succeeded == (expected == 0)

    def test_an_exception_is_a_failure_with_the_traceback_of_the_user(self, harness: Harness) -> None:
        outcome = harness.run(harness.request(fail, {"text": "boom"}))

        assert (outcome.exit_code, outcome.cause) == (1, "ValueError: boom")
        first, frame, *_, last = outcome.detail.splitlines()
        assert first == "Traceback (most recent call last):"
        assert frame.endswith(", in fail")
        assert last == "ValueError: boom"
        assert "raise ValueError(text)" in outcome.detail

    def test_a_task_that_was_cancelled_before_is_not_started(self, harness: Harness) -> None:
        request, cancel = harness.request(add, {"a": 1, "b": 2}), Cancellation()
        cancel.set()

        assert harness.run(request, cancel=cancel) == Outcome(problem="it was cancelled before it started")
        assert not (request.folder / "executor_output.json").exists()

    def test_an_end_that_is_unknown_is_a_failure(self, harness: Harness) -> None:
        request = harness.request(sleep)

        with harness.running(request) as (outcome, _):
            harness.lose(request)
            ended = outcome.result(30)
        assert ended.problem
        assert not ended.succeeded

    def test_many_threads_run_tasks_at_once(self, harness: Harness) -> None:
        requests = [harness.request(add, {"a": number, "b": 0}) for number in range(12)]

        with ThreadPoolExecutor(len(requests)) as pool:
            outcomes = list(pool.map(harness.run, requests))
        assert outcomes == [Outcome(exit_code=0)] * len(requests)
        assert [value(request) for request in requests] == list(range(12))

    def test_the_fingerprint_is_the_same_for_the_same_image(self, harness: Harness) -> None:
        first = harness.runner.fingerprint(harness.request(add, {"a": 1, "b": 2}))

        assert first
        assert harness.runner.fingerprint(harness.request(fail, {"text": "x"})) == first

    def test_there_is_capacity_for_a_task(self, harness: Harness) -> None:
        capacity = harness.runner.capacity()

        assert capacity.cpu > 0
        assert capacity.memory > 0

    def test_it_can_be_closed_twice(self, harness: Harness) -> None:
        assert harness.run(harness.request(add, {"a": 1, "b": 2})).succeeded

        harness.runner.close()
        harness.runner.close()


class IsolatedRunnerContract(RunnerContract):
    """The tests of a runner whose tasks are processes or containers of their own."""

    @pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o007, 0o660)])
    def test_files_have_the_permissions_of_the_request(self, harness: Harness, umask: int, mode: int) -> None:
        request = harness.request(leave_open, {"path": str(harness.root / "run" / "task-1" / "rows")}, umask=umask)

        assert harness.run(request).succeeded
        assert stat.S_IMODE((request.folder / "rows").stat().st_mode) == mode

    def test_each_attempt_starts_without_the_state_of_others(self, harness: Harness) -> None:
        requests = [harness.request(remember) for _ in range(3)]

        for request in requests:
            assert harness.run(request).succeeded
        assert [value(request) for request in requests] == [False, False, False]

    def test_all_that_a_task_prints_is_in_its_log_in_order(self, harness: Harness) -> None:
        log = Kept()

        assert harness.run(harness.request(print_all), log).succeeded
        assert log.data == b"one\ntwo\n\xff\x00 three\nfour\n\xc3\xa9"

    def test_what_is_pending_when_the_function_returns_is_written(self, harness: Harness) -> None:
        path = harness.root / "run" / "task-1" / "rows"  # in the folder of the task

        assert harness.run(harness.request(leave_open, {"path": str(path)})).succeeded
        assert path.read_text() == "rows"

    @pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
    def test_files_in_global_variables_are_complete(self, harness: Harness) -> None:
        path = harness.root / "run" / "task-1" / "rows"  # in the folder of the task

        assert harness.run(harness.request(leave_globals_open, {"path": str(path)})).succeeded
        assert path.read_text() == "rows"
        assert gzip.decompress(Path(f"{path}.gz").read_bytes()) == b"packed rows"
        assert ZipFile(f"{path}.zip").read("member") == b"archived rows"

    def test_an_exception_is_in_the_log(self, harness: Harness) -> None:
        log = Kept()
        outcome = harness.run(harness.request(fail, {"text": "boom"}), log)

        assert log.data.decode().strip() == outcome.detail

    def test_environment_variables_are_those_of_the_request(self, harness: Harness) -> None:
        names = ["ONE", "TWO", "KFP_RETRY_INDEX"]
        pod = PodSettings(env={"TWO": "of the pod"})
        request = harness.request(variables, {"names": names}, env={"ONE": "é=1", "TWO": "2"}, pod=pod, retry_index=2)
        other = harness.request(variables, {"names": names})

        assert harness.run(request).succeeded
        assert harness.run(other).succeeded
        assert value(request) == {"ONE": "é=1", "TWO": "of the pod", "KFP_RETRY_INDEX": "2"}
        assert value(other) == {"ONE": None, "TWO": None, "KFP_RETRY_INDEX": "0"}

    def test_a_task_that_is_cancelled_may_clean_up(self, harness: Harness) -> None:
        cancel = Cancellation()

        with harness.running(harness.request(clean_up), cancel) as (outcome, log):
            cancel.set()
            assert not outcome.result(30).succeeded
        assert b"cleaned up" in log.data

    def test_an_urgent_cancel_kills_the_task_at_once(self, harness: Harness) -> None:
        cancel = Cancellation()

        with harness.running(harness.request(ignore_signals), cancel) as (outcome, _):
            start = time.monotonic()
            cancel.set(urgent=True)
            assert outcome.result(30) == Outcome(signal=9)
        assert time.monotonic() - start < 5

    def test_a_task_that_ignores_signals_is_killed_in_the_end(self, harness: Harness) -> None:
        cancel = Cancellation()

        with harness.running(harness.request(ignore_signals), cancel) as (outcome, _):
            cancel.set()
            assert outcome.result(30) == Outcome(signal=9)

    def test_a_task_over_its_memory_limit_fails_for_that(self, harness: Harness) -> None:
        limits = Limits(memory=128 * MIB)
        within = harness.request(take_memory, {"size": 16 * MIB}, limits=limits)
        over = harness.request(take_memory, {"size": 512 * MIB}, limits=limits)

        assert harness.run(within).succeeded
        outcome = harness.run(over)
        assert outcome.out_of_memory
        assert not outcome.succeeded

    def test_a_task_fails_if_a_child_is_killed_for_its_memory(self, harness: Harness) -> None:
        request = harness.request(let_child_take_memory, {"size": 512 * MIB}, limits=Limits(memory=128 * MIB))

        assert harness.run(request) == Outcome(signal=9, out_of_memory=True)

    def test_the_usage_of_a_task_is_known(self, harness: Harness) -> None:
        outcome = harness.run(harness.request(take_memory, {"size": 64 * MIB}))

        assert outcome.cpu_seconds is not None
        assert outcome.cpu_seconds > 0
        assert outcome.peak_memory is not None
        assert outcome.peak_memory > 64 * MIB
