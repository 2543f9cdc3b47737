"""Runs that go on, and tasks that are run again, as users ask for it."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.dsl import Dataset, Input, Output
from standpipe.errors import ArgumentError, NoSuchRun, NoSuchTask, StorageError, TaskFailed
from standpipe.store.locks import RunIsActive
from tests.fakes import FakeRunner


@dsl.component
def one(x: int = 0) -> int:
    return x + 1


@dsl.component
def two(x: int) -> int:
    return x + 2


@dsl.component
def three(x: int) -> int:
    return x + 3


@dsl.pipeline
def chain(x: int = 1) -> int:
    first = one(x=x)
    second = two(x=first.output)
    return three(x=second.output).output


class Counted:
    """Fake tasks of `chain` that count how often they run; those named fail."""

    def __init__(self, *failing: str) -> None:
        self.ran: list[str] = []
        self.failing = set(failing)

    @property
    def runner(self) -> FakeRunner:
        return FakeRunner(one=self._add("one", 1), two=self._add("two", 2), three=self._add("three", 3))

    def _add(self, name: str, number: int) -> Callable[..., dict[str, int]]:
        def behave(x: int) -> dict[str, int]:
            self.ran.append(name)
            if name in self.failing:
                raise ValueError("boom")
            return {"Output": x + number}

        return behave


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[Counted]:
    counted = Counted()
    local.init(runner=counted.runner, pipeline_root=tmp_path, quiet=True)
    yield counted
    local._session = None


def failed(tasks: Counted, *failing: str, target: Any = chain) -> str:
    """Runs the chain, in which those tasks fail; returns the run's id."""
    tasks.failing = set(failing)
    with pytest.raises(TaskFailed) as error:
        target()
    tasks.failing = set()
    tasks.ran.clear()
    found = re.search(r"local\.resume\('([^']*)'\)", str(error.value))
    assert found
    return found[1]


def test_a_failed_run_goes_on_and_gives_what_the_first_call_would_have(
    tasks: Counted, capsys: pytest.CaptureFixture[str]
) -> None:
    run = failed(tasks, "two")
    assert local.resume(run).output == 7
    assert tasks.ran == ["two", "three"]
    assert f"Run {run} goes on." in capsys.readouterr().err
    assert local.resume("latest").outputs == {"Output": 7}
    assert tasks.ran == ["two", "three"]


def test_it_may_fail_again_and_go_on_again(tasks: Counted) -> None:
    run = failed(tasks, "two")
    tasks.failing = {"three"}
    with pytest.raises(TaskFailed, match="Task 'three' failed"):
        local.resume(run)
    tasks.failing = set()
    assert local.resume(run).output == 7
    assert tasks.ran == ["two", "three", "three"]


def test_each_attempt_has_a_folder_of_its_own(tasks: Counted, tmp_path: Path) -> None:
    run = failed(tasks, "two")
    local.resume(run)
    local.resume(run, from_task="two")
    assert {path.name for path in (tmp_path / run).iterdir()} == {"one", "two", "two@1", "two@2", "three", "three@1"}


def test_from_task_does_it_again_with_what_depends_on_it(tasks: Counted, capsys: pytest.CaptureFixture[str]) -> None:
    assert chain().output == 7
    tasks.ran.clear()
    assert local.resume("latest", from_task="two").output == 7
    assert tasks.ran == ["two", "three"]
    assert "    two: you asked for it\n    three: 'two' comes before it" in capsys.readouterr().err


def test_a_changed_component_is_done_again(tasks: Counted, capsys: pytest.CaptureFixture[str]) -> None:
    def first() -> Any:
        @dsl.component
        def one(x: int = 0) -> int:
            return x + 1

        @dsl.pipeline
        def story(x: int = 1) -> int:
            return two(x=one(x=x).output).output

        return story

    def formatted() -> Any:
        @dsl.component
        def one(x: int = 0) -> int:
            # only a comment
            return  x  +  1  # fmt: skip

        @dsl.pipeline
        def story(x: int = 1) -> int:
            return two(x=one(x=x).output).output

        return story

    def changed() -> Any:
        @dsl.component
        def one(x: int = 0) -> int:
            return x + 100

        @dsl.pipeline
        def story(x: int = 1) -> int:
            return two(x=one(x=x).output).output

        return story

    run = failed(tasks, "two", target=first())
    now = formatted()
    local.resume(run)
    assert tasks.ran == ["two"]
    tasks.ran.clear()
    now = changed()  # noqa: F841 - it is found by its name as long as the program has it
    local.resume(run)
    assert tasks.ran == ["one", "two"]
    assert "one: its code is another one now" in capsys.readouterr().err


def test_a_program_that_does_not_define_the_pipeline_goes_on_with_what_is_stored(tasks: Counted) -> None:
    def defined() -> str:
        @dsl.pipeline
        def passing(x: int = 1) -> int:
            return two(x=one(x=x).output).output

        return failed(tasks, "two", target=passing)

    assert local.resume(defined()).output == 4
    assert tasks.ran == ["two"]


def test_another_pipeline_can_be_named(tasks: Counted) -> None:
    run = failed(tasks, "three")

    @dsl.pipeline
    def longer(x: int = 1) -> int:
        first = one(x=x)
        return three(x=first.output).output

    assert local.resume(run, pipeline=longer).output == 5
    assert tasks.ran == ["three"]


@dsl.component
def write(data: Output[Dataset]) -> None: ...


@dsl.component
def read(data: Input[Dataset]) -> int: ...


@dsl.pipeline
def files() -> int:
    return read(data=write().outputs["data"]).output


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.unlink(), "is gone"),
        (lambda path: path.write_text("BBB"), "is no longer what it was"),
        (lambda path: None, ""),
    ],
)
def test_what_a_task_made_must_still_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], object], why: str
) -> None:
    ran: list[str] = []
    broken = [True]

    class Writing(FakeRunner):
        def _open(self) -> Any:
            opened = super()._open()
            run = opened.run

            def with_file(request: Any, **more: Any) -> Any:
                ran.append(request.task.name)
                if request.task.name == "write":
                    (artifact,) = request.executor_input["outputs"]["artifacts"]["data"]["artifacts"]
                    Path(artifact["uri"]).write_text("AAA")
                return run(request, **more)

            opened.run = with_file
            return opened

    def reads() -> dict[str, int]:
        if broken[0]:
            raise ValueError("boom")
        return {"Output": 1}

    local.init(runner=Writing(read=reads), pipeline_root=tmp_path, quiet=True)
    try:
        with pytest.raises(TaskFailed):
            files()
        broken.clear()
        broken.append(False)
        (payload,) = tmp_path.glob("files-*/write/data")
        damage(payload)
        ran.clear()
        assert local.resume("latest").output == 1
    finally:
        local._session = None
    assert ran == (["write", "read"] if why else ["read"])
    assert why in capsys.readouterr().err


def test_a_run_that_goes_on_cannot_be_resumed_and_can_be_stopped_from_elsewhere(tasks: Counted, tmp_path: Path) -> None:
    from standpipe.store.locks import ask_to_stop, is_active

    began, release = threading.Event(), threading.Event()

    def wait(x: int) -> dict[str, int]:
        began.set()
        release.wait(20)
        return {"Output": x}

    def run() -> None:
        done.append(local.run(chain, runner=FakeRunner(one=wait), raise_on_error=False))

    done: list[Any] = []
    thread = threading.Thread(target=run)
    thread.start()
    began.wait(20)
    (folder,) = tmp_path.glob("chain-*")
    try:
        assert is_active(folder)
        with pytest.raises(RunIsActive, match="is still going on"):
            local.resume("latest")
        ask_to_stop(folder)
        time.sleep(0.5)  # until the driver has looked
    finally:
        release.set()
        thread.join()
    assert "was stopped: somebody asked it to" in str(done[0].error)
    assert not is_active(folder)
    assert {path.name for path in folder.iterdir()} == {"one"}
    assert local.resume("latest").output == 6


def test_runs_and_tasks_that_do_not_exist(tasks: Counted, tmp_path: Path) -> None:
    with pytest.raises(NoSuchRun, match="holds no runs"):
        local.resume("chain-1")
    run = failed(tasks, "two")
    with pytest.raises(NoSuchRun, match=f"The closest are {run}"):
        local.resume(f"{run}9")
    with pytest.raises(NoSuchTask, match=r"The run has no task 'train'. It has: one, three, two."):
        local.resume(run, from_task="train")
    with pytest.raises(ArgumentError, match="no run: pass its id"):
        local.resume(5, pipeline_root=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="it never began"):
        local.rerun_task(run, "three")
    (tmp_path / run).rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="The folder of run .* is not there any more"):
        local.resume(run)


def test_a_task_is_run_again_with_the_inputs_that_it_had(tasks: Counted, tmp_path: Path) -> None:
    run = failed(tasks, "two")
    again = local.rerun_task(run, "two")
    assert again.output == 4
    assert tasks.ran == ["two"]
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        found = db.execute("SELECT pipeline, repeats FROM runs ORDER BY rowid").fetchall()
    assert found == [("chain", ""), ("two", f"{run}/two")]


def test_arguments_of_a_run_are_kept(tasks: Counted) -> None:
    tasks.failing = {"three"}
    with pytest.raises(TaskFailed):
        chain(x=10)
    tasks.failing = set()
    assert local.resume("latest").output == 16


def test_a_run_of_a_version_that_kept_no_pipeline(tasks: Counted, tmp_path: Path) -> None:
    run = failed(tasks, "two")
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        db.execute("UPDATE runs SET plan = ''")
        db.commit()
    with pytest.raises(StorageError, match="recorded by an older Standpipe"):
        local.resume(run)
