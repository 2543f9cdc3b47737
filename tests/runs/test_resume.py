"""Resuming runs and rerunning tasks through the public functions."""

from __future__ import annotations

import logging
import re
import shlex
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.dsl import Dataset, Input, Output
from standpipe.dsl.registry import defined_components
from standpipe.errors import ArgumentError, NoSuchRun, NoSuchTask, StorageError, TaskFailed
from standpipe.local import FakeRunner
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log
from standpipe.store.locks import RunIsActive


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
    """Fake tasks of `chain` that record their executions; the tasks in `failing` fail."""

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


@pytest.fixture(autouse=True)
def _info_records(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture
def tasks(tmp_path: Path) -> Counted:
    counted = Counted()
    local.init(runner=counted.runner, pipeline_root=tmp_path, quiet=True)
    return counted


def failed(tasks: Counted, *failing: str, target: Any = chain) -> str:
    """Run the target with failing tasks, and return the id of the run."""
    tasks.failing = set(failing)
    with pytest.raises(TaskFailed) as error:
        target()
    tasks.failing = set()
    tasks.ran.clear()
    found = re.search(r"All files of the run are in \S+/([^/\s]+)\.\n", str(error.value))
    assert found
    return found[1]


def test_resume_reruns_failed_tasks_and_returns_the_outputs(tasks: Counted, caplog: pytest.LogCaptureFixture) -> None:
    run = failed(tasks, "two")
    assert local.resume(run).output == 7
    assert tasks.ran == ["two", "three"]
    assert f"Resuming run {run}." in caplog.text
    assert local.resume("latest").outputs == {"Output": 7}
    assert tasks.ran == ["two", "three"]


def test_a_resumed_run_that_fails_can_be_resumed(tasks: Counted) -> None:
    run = failed(tasks, "two")
    tasks.failing = {"three"}
    with pytest.raises(TaskFailed, match="Task 'three' failed"):
        local.resume(run)
    tasks.failing = set()
    assert local.resume(run).output == 7
    assert tasks.ran == ["two", "three", "three"]


def test_each_attempt_has_its_own_folder(tasks: Counted, tmp_path: Path) -> None:
    run = failed(tasks, "two")
    local.resume(run)
    local.resume(run, from_task="two")
    assert {path.name for path in (tmp_path / run).iterdir()} == {"one", "two", "two@1", "two@2", "three", "three@1"}


def test_from_task_reruns_the_task_and_those_that_depend_on_it(
    tasks: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    assert chain().output == 7
    tasks.ran.clear()
    assert local.resume("latest", from_task="two").output == 7
    assert tasks.ran == ["two", "three"]
    assert "    two: requested with from_task\n    three: its upstream task 'two' has to run" in caplog.text


def test_resume_reruns_tasks_of_a_changed_component(tasks: Counted, caplog: pytest.LogCaptureFixture) -> None:
    def first() -> Any:
        @dsl.component
        def one(x: int = 0) -> int:
            return x + 1

        @dsl.pipeline
        def doubled(x: int = 1) -> int:
            return two(x=one(x=x).output).output

        return doubled

    def formatted() -> Any:
        @dsl.component
        def one(x: int = 0) -> int:
            # only a comment
            return  x  +  1  # fmt: skip

        @dsl.pipeline
        def doubled(x: int = 1) -> int:
            return two(x=one(x=x).output).output

        return doubled

    def changed() -> Any:
        @dsl.component
        def one(x: int = 0) -> int:
            return x + 100

        @dsl.pipeline
        def doubled(x: int = 1) -> int:
            return two(x=one(x=x).output).output

        return doubled

    run = failed(tasks, "two", target=first())
    formatted()
    local.resume(run)
    assert tasks.ran == ["two"]
    tasks.ran.clear()
    changed()
    local.resume(run)
    assert tasks.ran == ["one", "two"]
    assert "one: its code has changed" in caplog.text


def test_resume_uses_the_stored_pipeline_if_none_is_defined(tasks: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    def defined() -> str:
        @dsl.pipeline
        def passing(x: int = 1) -> int:
            return two(x=one(x=x).output).output

        return failed(tasks, "two", target=passing)

    run = defined()
    monkeypatch.setattr(defined_components, "_components", {})
    assert local.resume(run).output == 4
    assert tasks.ran == ["two"]


def test_resume_takes_another_pipeline(tasks: Counted) -> None:
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
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_text("BBB"), "has changed"),
        (lambda path: None, ""),
    ],
)
def test_resume_reruns_tasks_whose_artifacts_are_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object], why: str
) -> None:
    ran: list[str] = []
    broken = [True]

    class Writing(FakeRunner):
        def open(self) -> Any:
            opened: Any = super().open()
            run = opened.run

            def with_file(request: Any, **more: Any) -> Any:
                ran.append(request.task.name)
                if request.task.name == "write":
                    (artifact,) = request.executor_input["outputs"]["artifacts"]["data"]["artifacts"]
                    Path(artifact["uri"]).write_text("AAA")
                return run(request, **more)

            opened.run = with_file
            return opened

    def input_paths() -> dict[str, int]:
        if broken[0]:
            raise ValueError("boom")
        return {"Output": 1}

    local.init(runner=Writing(read=input_paths), pipeline_root=tmp_path, quiet=True)
    with pytest.raises(TaskFailed):
        files()
    broken[0] = False
    (payload,) = tmp_path.glob("files-*/write/data")
    damage(payload)
    ran.clear()
    assert local.resume("latest").output == 1
    assert ran == (["write", "read"] if why else ["read"])
    assert why in caplog.text


@dsl.component
def link(target: str, data: Output[Dataset]):  # type: ignore[no-untyped-def]
    import os

    os.makedirs(data.path)
    os.symlink(target, f"{data.path}/link")


@dsl.component
def read_link(data: Input[Dataset], stop: str) -> str:
    import os

    if os.path.exists(stop):
        raise ValueError("boom")
    with open(f"{data.path}/link") as file:
        return file.read()


@dsl.pipeline
def resumed_with_links(target: str, stop: str) -> str:
    return read_link(data=link(target=target).outputs["data"], stop=stop).output


@pytest.mark.parametrize("inside", [True, False])
def test_resume_knows_what_links_lead_to(tmp_path: Path, caplog: pytest.LogCaptureFixture, inside: bool) -> None:
    root, stop = tmp_path / "root", tmp_path / "stop"
    root.mkdir()
    stop.touch()
    target = (root if inside else tmp_path) / "target"
    target.write_text("one")
    options: dict[str, Any] = {"runner": local.SubprocessRunner(), "pipeline_root": root, "quiet": True}
    with pytest.raises(TaskFailed):
        local.run(resumed_with_links, {"target": str(target), "stop": str(stop)}, **options)
    with pytest.raises(TaskFailed):
        local.resume("latest", **options)
    seen = "    link: " in caplog.text
    assert seen is not inside, "what is inside is known to be unchanged"
    target.write_text("two")
    stop.unlink()
    assert local.resume("latest", **options).output == "two"
    assert ("has changed" if inside else "leads out of the pipeline root") in caplog.text


def test_a_running_run_cannot_be_resumed_and_can_be_cancelled_by_another_thread(tasks: Counted, tmp_path: Path) -> None:
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
        with pytest.raises(RunIsActive, match="is still active"):
            local.resume("latest")
        ask_to_stop(folder)
        time.sleep(0.5)  # until the driver has polled
    finally:
        release.set()
        thread.join()
    assert "was cancelled: cancellation was requested" in str(done[0].error)
    assert not is_active(folder)
    assert {path.name for path in folder.iterdir()} == {"one"}
    assert local.resume("latest").output == 6


def test_unknown_runs_and_tasks_are_errors(tasks: Counted, tmp_path: Path) -> None:
    with pytest.raises(NoSuchRun, match="holds no runs"):
        local.resume("chain-1")
    run = failed(tasks, "two")
    with pytest.raises(NoSuchRun, match=f"The closest are {run}"):
        local.resume(f"{run}9")
    with pytest.raises(NoSuchTask, match=r"The run has no task 'train'. It has: one, three, two."):
        local.resume(run, from_task="train")
    with pytest.raises(ArgumentError, match="Invalid run 5: expected its id"):
        local.resume(5, pipeline_root=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="it never started"):
        local.rerun_task(run, "three")
    (tmp_path / run).rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="Cannot resume run .*: its folder .* is missing"):
        local.resume(run)


def test_rerun_task_uses_the_inputs_of_the_run(tasks: Counted, tmp_path: Path) -> None:
    run = failed(tasks, "two")
    again = local.rerun_task(run, "two")
    assert again.output == 4
    assert tasks.ran == ["two"]
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        found = db.execute("SELECT pipeline, rerun_of FROM runs ORDER BY rowid").fetchall()
    assert found == [("chain", ""), ("two", f"{run}/two")]


def test_resume_uses_the_arguments_of_the_run(tasks: Counted) -> None:
    tasks.failing = {"three"}
    with pytest.raises(TaskFailed):
        chain(x=10)
    tasks.failing = set()
    assert local.resume("latest").output == 16


def test_a_run_without_a_stored_pipeline_cannot_be_resumed(tasks: Counted, tmp_path: Path) -> None:
    run = failed(tasks, "two")
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        db.execute("UPDATE runs SET plan = ''")
        db.commit()
    with pytest.raises(StorageError, match="recorded by an older Standpipe"):
        local.resume(run)


def test_resume_removes_tasks_that_the_pipeline_no_longer_has(tasks: Counted) -> None:
    @dsl.pipeline
    def inner(x: int) -> int:
        return two(x=one(x=x).output).output

    @dsl.pipeline
    def larger() -> int:
        first = one(x=1)
        inner(x=first.output)
        return first.output

    @dsl.pipeline
    def smaller() -> int:
        return one(x=1).output

    run = failed(tasks, "two", target=larger)
    assert local.resume(run, pipeline=smaller).output == 2
    assert tasks.ran == []
    assert [repr(task) for task in local.get_run(run).all_tasks()] == ["<Task one: SUCCEEDED>"]


@dsl.component
def into(workspace: str) -> int: ...


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig("1Gi")))
def with_workspace() -> int:
    return into(workspace=dsl.WORKSPACE_PATH_PLACEHOLDER).output


def test_resume_in_a_moved_pipeline_root_uses_the_moved_workspace(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(workspace: str) -> dict[str, int]:
        seen.append(workspace)
        return {"Output": 1 // Path(workspace, "made").exists()}

    def run(root: Path) -> Any:
        return {"runner": FakeRunner(into=look), "pipeline_root": root, "quiet": True, "raise_on_error": False}

    local.run(with_workspace, **run(tmp_path / "before"))
    Path(seen[0], "made").touch()
    (tmp_path / "before").rename(tmp_path / "after")
    assert local.resume("latest", **run(tmp_path / "after")).output == 1
    assert not (tmp_path / "before").exists()


def test_resume_keeps_the_workspace_root_of_the_run(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(workspace: str) -> dict[str, int]:
        seen.append(workspace)
        return {"Output": 1 // (len(seen) - 1)}

    options: Any = {"runner": FakeRunner(into=look), "pipeline_root": tmp_path / "root", "quiet": True}
    local.run(with_workspace, **options, workspace_root=tmp_path / "own", raise_on_error=False)
    local.resume("latest", **options)
    assert seen == [str(tmp_path / "own")] * 2


def test_resume_with_a_pipeline_with_a_workspace_creates_it(tasks: Counted, tmp_path: Path) -> None:
    @dsl.pipeline
    def without() -> int:
        return two(x=one(x=1).output).output

    seen: list[str] = []
    run = failed(tasks, "two", target=without)
    options: Any = {"runner": FakeRunner(into=lambda workspace: seen.append(workspace) or {"Output": 1})}
    local.resume(run, pipeline=with_workspace, **options)
    assert seen == [str(tmp_path / run / ".workspace")]
    assert Path(*seen).is_dir()


@pytest.mark.parametrize("wrong", [5, b"chain", Path("one"), [None], object()])
def test_values_that_are_not_tasks_are_refused_before_any_task_runs(tasks: Counted, tmp_path: Path, wrong: Any) -> None:
    run = failed(tasks, "two")
    with pytest.raises(ArgumentError, match="Invalid from_task=.*: expected the name or path of a task"):
        local.resume(run, from_task=wrong)
    with pytest.raises(ArgumentError, match="(is no|Invalid) task"):
        local.rerun_task(run, wrong)
    with pytest.raises(ArgumentError, match="Invalid run id"):
        local.get_run(wrong)
    with pytest.raises(ArgumentError, match="Invalid task .*: expected the name or the path of a task"):
        local.get_run(run).task(wrong)
    with pytest.raises(ArgumentError, match="Invalid attempt .*: expected a number"):
        local.get_run(run).log("one", "1" if isinstance(wrong, int) else wrong)  # type: ignore[arg-type]
    assert tasks.ran == []
    assert [each.id for each in local.runs()] == [run]


def test_suggested_commands_have_the_options_of_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cluster.yaml").touch()
    given: Any = {"kubernetes": "cluster.yaml", "secret_env": ["MY TOKEN"], "workspace_root": "w"}
    given["resource_policy"] = "ignore"
    with pytest.raises(TaskFailed) as error:
        local.run(chain, runner=FakeRunner(), pipeline_root="r", quiet=True, enable_caching=True, **given)
    (suggested,) = re.findall(r"^ +standpipe resume (.*)$", str(error.value), re.MULTILINE)
    *options, run = shlex.split(suggested)
    root, workspace, cluster = (str(tmp_path / name) for name in ("r", "w", "cluster.yaml"))
    flags = ["--resource-policy", "ignore", "--secret-env", "MY TOKEN"]
    assert options[:2] == ["--module", __name__]
    del options[:2]
    assert options == ["--workspace-root", workspace, "--cache", "--kubernetes", cluster, *flags, "--root", root]
    assert (tmp_path / "r" / run).is_dir()


def test_the_report_has_the_task_and_the_status_in_the_words_of_kfp_local(tasks: Counted) -> None:
    @dsl.pipeline
    def tidied() -> None:
        with dsl.ExitHandler(two(x=1)):
            one(x=1)

    tasks.failing = {"two"}
    with pytest.raises(RuntimeError, match=r"(?s)^Task 'two' failed: .*The run finished with status FAILED\."):
        tidied()


def test_the_report_of_a_run_cancelled_before_its_deadline_does_not_name_the_deadline(tmp_path: Path) -> None:
    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(active_deadline_seconds=1000))
    def patient() -> int:
        return one(x=1).output

    def stop(x: int) -> dict[str, int]:
        assert local.get_run("latest", tmp_path).cancel()
        time.sleep(0.5)  # until the driver has polled
        raise ValueError("too late")

    done = local.run(patient, runner=FakeRunner(one=stop), pipeline_root=tmp_path, quiet=True, raise_on_error=False)
    assert "was cancelled: cancellation was requested" in str(done.error)


def test_a_second_cancel_request_stops_exit_tasks(tmp_path: Path) -> None:
    @dsl.pipeline
    def tidied() -> None:
        with dsl.ExitHandler(two(x=1)):
            one(x=1)

    def sleep(request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        stopped = threading.Event()
        cancel.on_set(stopped.set)
        began[request.task.name].set()
        return Outcome(signal=9) if stopped.wait(20) else Outcome(exit_code=0)

    class Sleeping(FakeRunner):
        def open(self) -> Any:
            opened: Any = super().open()
            opened.run = sleep
            return opened

    began = {"one": threading.Event(), "two": threading.Event()}
    options: Any = {"runner": Sleeping(), "pipeline_root": tmp_path, "quiet": True, "raise_on_error": False}
    thread = threading.Thread(target=lambda: local.run(tidied, **options))
    thread.start()
    for name in began:
        assert began[name].wait(10)
        assert local.get_run("latest", tmp_path).cancel()
    thread.join(10)
    run = local.get_run("latest", tmp_path)
    assert [(task.name, task.status.name) for task in run.tasks] == [
        ("exit-handler-1", "CANCELLED"),
        ("two", "CANCELLED"),
    ]


def test_a_quiet_resume_logs_its_tasks_and_writes_nothing(
    tasks: Counted, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = failed(tasks, "two")
    capsys.readouterr()
    local.resume(run, quiet=True)
    assert f"Resuming run {run}." in caplog.text
    assert capsys.readouterr().err == ""


def test_a_resume_names_the_tasks_that_the_pipeline_no_longer_has(
    tasks: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    run = failed(tasks, "two")

    @dsl.pipeline(name="chain")
    def shorter(x: int = 1) -> int:
        return one(x=x).output

    local.resume(run, pipeline=shorter)
    assert "The pipeline no longer has these tasks, so they are removed from the run: two, three." in caplog.text
