"""Retries of tasks, from `set_retry` to the folders of attempts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.local import FakeRunner
from standpipe.model.attempts import Outcome
from standpipe.runners.api import LocalRunner


@dsl.component
def flaky(x: int = 0) -> int:
    return x


@dsl.component
def total(values: list[int]) -> int:
    return sum(values)


@dsl.component
def report(status: dsl.PipelineTaskFinalStatus) -> None:
    """Takes the final status."""


def failing(times: int, *outcomes: Outcome) -> Callable[..., dict[str, Any]]:
    """Return a behaviour that fails several times for each value of `x`, and then returns it."""
    seen: list[int] = []

    def behave(x: int) -> Any:
        seen.append(x)
        if seen.count(x) <= times:
            return outcomes[seen.count(x) - 1] if outcomes else Outcome(exit_code=3)
        return {"Output": x}

    return behave


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def run(target: Any, runner: LocalRunner, **arguments: Any) -> Any:
        return local.run(target, arguments, runner=runner, pipeline_root=tmp_path, quiet=True)

    return run


@dsl.pipeline
def once(x: int = 5) -> int:
    return flaky(x=x).set_retry(2).output


def test_every_failed_attempt_is_retried_in_its_own_folder(run: Any, tmp_path: Path) -> None:
    behave = failing(
        2, Outcome(signal=9, out_of_memory=True), Outcome(exit_code=0)
    )  # the second attempt does not write its output
    assert run(once, FakeRunner(flaky=behave)).output == 5
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert sorted(path.name for path in folder.iterdir()) == ["flaky", "flaky@1", "flaky@2"]
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        told = [(kind, json.loads(body)) for kind, body in db.execute("SELECT kind, body FROM facts ORDER BY seq")]
    assert [kind for kind, _ in told] == [
        *("RunStarted", "TaskReady"),
        *("AttemptStarted", "AttemptFailed") * 2,
        *("AttemptStarted", "TaskSucceeded", "RunEnded"),
    ]
    memory, output = (body["failure"]["message"] for kind, body in told if kind == "AttemptFailed")
    assert memory == "it ran out of memory"
    assert output.startswith("it did not write its output 'Output'")


def test_the_error_names_the_attempt(run: Any) -> None:
    with pytest.raises(TaskFailed, match=r"^Task 'flaky' failed in attempt 3 of 3: it exited with code 3"):
        run(once, FakeRunner(flaky=failing(3)))


def test_iterations_of_a_loop_in_a_condition_are_retried_independently(run: Any) -> None:
    @dsl.pipeline
    def looped(n: int) -> None:
        with dsl.If(n == 1):
            with dsl.ParallelFor([1, 2, 3]) as i:
                task = flaky(x=i).set_retry(2)
            total(values=dsl.Collected(task.output))

    gathered = []
    runner = FakeRunner(flaky=failing(2), total=lambda values: gathered.append(values) or {"Output": 0})
    run(looped, runner, n=1)
    assert gathered == [[1, 2, 3]]


def test_retries_of_a_pipeline_apply_to_its_tasks(run: Any) -> None:
    @dsl.pipeline
    def inner(x: int) -> int:
        return flaky(x=x).output

    @dsl.pipeline
    def outer() -> int:
        return inner(x=4).set_retry(2).output

    assert run(outer, FakeRunner(flaky=failing(2))).output == 4


def test_an_exit_task_receives_the_failure_of_the_last_attempt(run: Any) -> None:
    @dsl.pipeline
    def handled() -> None:
        with dsl.ExitHandler(report()):
            flaky(x=1).set_retry(1)

    told = []
    with pytest.raises(TaskFailed, match="in attempt 2 of 2"):
        run(handled, FakeRunner(flaky=failing(2), report=lambda status: told.append(status) or {}))
    assert [status.error_message for status in told] == [
        "its task 'exit-handler-1/flaky' failed in attempt 2 of 2: it exited with code 3"
    ]


def test_an_importer_is_retried(run: Any) -> None:
    @dsl.pipeline
    def imports() -> None:
        dsl.importer("http://[nowhere", dsl.Dataset).set_retry(1)

    with pytest.raises(TaskFailed, match="in attempt 2 of 2"):
        run(imports, FakeRunner())


@dsl.component
def third_time_lucky(data: dsl.Output[dsl.Dataset]) -> str:
    import os

    assert not os.path.exists(data.path), "the folder is new"
    with open(data.path, "w") as file:
        file.write(os.environ["KFP_RETRY_INDEX"])
    if os.environ["KFP_RETRY_INDEX"] == "0":
        os._exit(7)
    assert os.environ["KFP_RETRY_INDEX"] == "2"
    return os.environ["KFP_RETRY_INDEX"]


@dsl.component
def read(data: dsl.Input[dsl.Dataset], index: str) -> str:
    with open(data.path) as file:
        return file.read() + index


def test_a_process_has_the_index_of_its_attempt(run: Any) -> None:
    @dsl.pipeline
    def lucky() -> str:
        task = third_time_lucky().set_retry(2)
        return read(data=task.outputs["data"], index=task.outputs["Output"]).output

    assert run(lucky, local.SubprocessRunner(use_venv=False)).output == "22"
