"""Fault injection with `local.run(..., faults=...)`."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import ArgumentError, TaskFailed
from standpipe.faults.runner import FaultInjectingRunner
from standpipe.local import FakeRunner
from standpipe.model.attempts import Outcome
from standpipe.model.cancellation import Cancellation
from standpipe.model.resources import Capacity
from standpipe.runners.api import LocalRunner
from tests.runners.bench import Bench, Fixed, Kept

PROCESSES = local.SubprocessRunner(use_venv=False)


@dsl.component
def echo(x: int = 0) -> int:
    print("echo runs")
    return x


@dsl.component
def sleep(seconds: float) -> None:
    import time

    print("sleeping", flush=True)
    time.sleep(seconds)


@dsl.component
def report(status: dsl.PipelineTaskFinalStatus) -> str:
    return f"{status.state}: {status.error_message}"


@dsl.pipeline
def retried(x: int = 5) -> int:
    return echo(x=x).set_retry(2).output


@dsl.pipeline
def handled() -> None:
    with dsl.ExitHandler(report()):
        echo(x=1)


@dsl.pipeline
def looped() -> list[int]:
    with dsl.ParallelFor([1, 2, 3]) as x:
        task = echo(x=x)
    return dsl.Collected(task.output)  # type: ignore[return-value]


@dsl.pipeline
def nested() -> int:
    return retried(x=4).output


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(target: Any, *faults: Any, runner: LocalRunner | None = None, **arguments: Any) -> Any:
        runner = runner or FakeRunner(echo=lambda x: {"Output": x}, report=lambda status: {"Output": ""})
        return local.run(target, arguments, runner=runner, pipeline_root=tmp_path, quiet=True, faults=faults)

    return run


def log_of(root: Path, task: str) -> str:
    (path,) = root.glob(f"*/{task}/log.txt")
    return path.read_text()


@pytest.mark.parametrize("runner", [FakeRunner(echo=lambda x: {"Output": x}), PROCESSES], ids=["fake", "processes"])
def test_a_task_with_two_faults_succeeds_in_its_third_attempt(run: Any, runner: Any, tmp_path: Path) -> None:
    faults = local.Fail("echo"), local.Kill("echo", attempt=2)
    assert run(retried, *faults, runner=runner).output == 5
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert sorted(path.name for path in folder.iterdir()) == ["echo", "echo@1", "echo@2"]


def test_a_fault_can_fail_every_attempt_with_a_message(run: Any) -> None:
    message = r"^Task 'echo' failed in attempt 3 of 3: InjectedFault: the disk is gone"
    with pytest.raises(TaskFailed, match=message):
        run(retried, local.Fail("echo", attempt=None, message="the disk is gone"))


def test_an_exit_handler_receives_the_injected_failure(run: Any) -> None:
    told = []
    runner = FakeRunner(report=lambda status: told.append(status) or {"Output": ""})
    with pytest.raises(TaskFailed, match="InjectedFault: injected by local.Fail"):
        run(handled, local.Fail("echo"), runner=runner)
    (status,) = told
    assert status.state == "FAILED"
    assert "failed: InjectedFault" in status.error_message


def test_a_killed_task_fails_with_the_signal(run: Any, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TaskFailed, match=r"^Task 'sleep' failed: it was killed by signal 9 \(SIGKILL\)"):
        run(sleep, local.Kill("sleep", after=0.4), runner=PROCESSES, seconds=30.0)
    assert 0.4 <= time.monotonic() - started < 20
    assert log_of(tmp_path, "sleep").splitlines()[-1] == (
        "standpipe: injected fault: Kill(task='sleep', attempt=1, after=0.4)"
    )


def test_a_task_that_ends_before_the_kill_succeeds(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(retried, local.Kill("echo", after=60)).output == 5
    assert "Kill(task='echo', attempt=1, after=60) was not injected." in capsys.readouterr().err


def test_a_delay_precedes_the_task(run: Any, tmp_path: Path) -> None:
    started = time.monotonic()
    assert run(retried, local.Delay("echo", seconds=0.3), runner=PROCESSES).output == 5
    assert time.monotonic() - started >= 0.3
    assert log_of(tmp_path, "echo").splitlines() == [
        "standpipe: injected fault: Delay(task='echo', seconds=0.3, attempt=1)",
        "echo runs",
    ]


@pytest.mark.parametrize(
    ("task", "failed"),
    [
        ("echo", ["for-loop-2/0/echo", "for-loop-2/1/echo", "for-loop-2/2/echo"]),
        ("for-loop-2/1/echo", ["for-loop-2/1/echo"]),
    ],
)
def test_a_name_selects_all_tasks_of_that_name_and_a_path_selects_one(run: Any, task: str, failed: list[str]) -> None:
    with pytest.raises(TaskFailed) as caught:
        run(looped, local.Fail(task))
    told = [line.split("'")[1] for line in str(caught.value).splitlines() if "InjectedFault" in line]
    assert sorted(told) == failed


def test_a_path_selects_a_task_of_a_nested_pipeline(run: Any) -> None:
    with pytest.raises(TaskFailed, match="Task 'retried/echo' failed in attempt 3 of 3"):
        run(nested, local.Fail("retried/echo", attempt=None))


def test_faults_that_did_not_happen_are_reported_with_the_tasks_that_ran(
    run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = FakeRunner(echo=lambda x: {"Output": x})
    run(retried, local.Fail("echo"), local.Fail("ecco"), local.Fail("echo", attempt=9), runner=runner)
    assert capsys.readouterr().err.splitlines() == [
        "standpipe: faults: Fail(task='ecco', attempt=1, message='injected by local.Fail') was not injected. "
        "The tasks that ran: 'echo' (2 attempts).",
        "standpipe: faults: Fail(task='echo', attempt=9, message='injected by local.Fail') was not injected. "
        "The tasks that ran: 'echo' (2 attempts).",
    ]


def test_a_long_list_of_tasks_is_cut(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    @dsl.pipeline
    def many() -> None:
        with dsl.ParallelFor(list(range(30))) as x:
            echo(x=x)

    run(many, local.Fail("other"))
    assert capsys.readouterr().err.endswith(", and 10 more.\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: local.Fail(""), "expected a name"),
        (lambda: local.Fail(7), "expected a name"),  # type: ignore[arg-type]
        (lambda: local.Fail("a", attempt=0), "a whole number from 1, or None"),
        (lambda: local.Fail("a", attempt=True), "a whole number from 1, or None"),
        (lambda: local.Fail("a", message=3), "Invalid message of .*expected text"),  # type: ignore[arg-type]
        (lambda: local.Delay("a", -1), "a number of seconds"),
        (lambda: local.Delay("a", math.nan), "a number of seconds"),
        (lambda: local.Kill("a", after=math.inf), "a number of seconds"),
    ],
)
def test_invalid_faults_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("faults", "message"),
    [(local.Fail("a"), "expected a list"), (["a"], "Invalid faults: .*got 'a'"), ("a", "expected a list")],
)
def test_the_option_takes_a_list_of_faults(faults: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        local.run(echo, runner=FakeRunner(), faults=faults)


class Waiting:
    """A runner whose tasks run until they are cancelled."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.urgent: list[bool] = []

    def run(self, request: Any, *, log: Any, cancel: Cancellation) -> Outcome:
        stopped = threading.Event()
        cancel.on_set(stopped.set)
        self.started.set()
        assert stopped.wait(20)
        self.urgent.append(cancel.urgent)
        return Outcome(problem="it was cancelled")

    def fingerprint(self, request: Any) -> str:
        return "waiting"

    def capacity(self) -> Capacity:
        return Capacity(cpu=3.0, memory=4)

    def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("urgent", [False, True])
def test_cancellation_reaches_a_task_with_a_kill(tmp_path: Path, urgent: bool) -> None:
    runner, cancel = Waiting(), Cancellation()
    faulty = FaultInjectingRunner(runner, [local.Kill("train", after=60)], warn=print)
    threading.Timer(0.05, lambda: runner.started.wait(20) and cancel.set(urgent=urgent)).start()
    request = Bench(tmp_path, Fixed(tmp_path)).request("")
    assert faulty.run(request, log=Kept(), cancel=cancel) == Outcome(problem="it was cancelled")
    assert runner.urgent == [urgent]


def test_cancellation_ends_a_delay(tmp_path: Path) -> None:
    runner, cancel = Waiting(), Cancellation()
    faulty = FaultInjectingRunner(runner, [local.Delay("train", 60)], warn=print)
    threading.Timer(0.05, cancel.set).start()
    outcome = faulty.run(Bench(tmp_path, Fixed(tmp_path)).request(""), log=Kept(), cancel=cancel)
    assert outcome == Outcome(problem="it was cancelled before it started")
    assert not runner.started.is_set()


def test_tasks_with_faults_are_not_cached(tmp_path: Path) -> None:
    request = Bench(tmp_path, Fixed(tmp_path)).request("")
    assert FaultInjectingRunner(Waiting(), [local.Fail("train", attempt=7)], warn=print).fingerprint(request) == ""
    assert FaultInjectingRunner(Waiting(), [local.Fail("other")], warn=print).fingerprint(request) == "waiting"


def test_faults_leave_the_capacity_of_the_runner() -> None:
    assert FaultInjectingRunner(Waiting(), [local.Fail("train")]).capacity() == Capacity(cpu=3.0, memory=4)
