"""The public functions of `local`, with fake tasks."""

from __future__ import annotations

import json
import os
import runpy
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import standpipe
from standpipe import dsl, local
from standpipe.errors import (
    ArgumentError,
    AuthoringError,
    AuthoringTypeError,
    NotInitialized,
    StandpipeError,
    StorageError,
    TaskFailed,
)
from standpipe.local import FakeRunner
from standpipe.model.attempts import Outcome

ROOT = Path(__file__).resolve().parents[1]


@dsl.component
def add(a: int, b: int = 1) -> int:
    return a + b


class Shape(dsl.Artifact):
    schema_title = "google.Shape"
    schema_version = "0.0.2"


@dsl.component
def fail(a: int = 0) -> int:
    raise ValueError("boom")


@dsl.component
def consume(data: dsl.Input[dsl.Dataset], many: dsl.Input[list[dsl.Model]]) -> str:
    return data.path


@dsl.pipeline
def math(x: int, y: int = 2) -> int:
    return add(a=add(a=x, b=y).output, b=y).output


def plus(a: int, b: int = 1) -> dict[str, int]:
    return {"Output": a + b}


def boom(a: int = 0) -> Any:
    raise ValueError("boom")


RUNNER = FakeRunner(add=plus, add_2=plus, fail=boom)


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_call_before_init_is_an_error_with_a_hint() -> None:
    with pytest.raises(NotInitialized, match=r"local\.init\(runner=local\.SubprocessRunner\(\)\)"):
        add(a=1)
    with pytest.raises(NotInitialized, match=r"local\.init"):
        local.run(add, {"a": 1})


def test_components_and_pipelines_are_called_like_functions() -> None:
    local.init(RUNNER)
    task = add(a=1, b=2)
    assert task.output == 3
    assert task.outputs == {"Output": 3}
    assert task.succeeded
    assert math(x=1).output == 5


def test_run_takes_all_options_as_arguments(tmp_path: Path) -> None:
    task = local.run(math, {"x": 3, "y": 4}, runner=RUNNER, pipeline_root=tmp_path / "here", quiet=True)
    assert task.output == 11
    (folder,) = (tmp_path / "here").glob("math-*")
    assert sorted(path.name for path in folder.iterdir()) == ["add", "add-2"]
    assert not (tmp_path / "local_outputs").exists()


def test_two_threads_run_in_two_pipeline_roots(tmp_path: Path) -> None:
    together = threading.Barrier(2)

    def meet(a: int, b: int) -> dict[str, int]:
        together.wait(timeout=10)
        return plus(a, b)

    runner = FakeRunner(add=meet, add_2=plus)
    outputs: dict[str, int] = {}

    def go(root: str, x: int) -> None:
        outputs[root] = local.run(math, {"x": x}, runner=runner, pipeline_root=tmp_path / root, quiet=True).output

    threads = [threading.Thread(target=go, args=(root, x)) for root, x in (("one", 10), ("two", 20))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {"one": 14, "two": 24}
    assert len(list((tmp_path / "one").glob("math-*"))) == len(list((tmp_path / "two").glob("math-*"))) == 1


def test_a_failure_raises_with_the_task_name_and_the_traceback() -> None:
    local.init(RUNNER)
    with pytest.raises(TaskFailed) as caught:
        fail()
    assert isinstance(caught.value, RuntimeError), "the KFP SDK raises it"
    assert "Task 'fail' failed: ValueError: boom" in str(caught.value)
    assert "standpipe show" in str(caught.value), "it has the path of the log"


def test_without_raise_on_error_the_task_has_the_error() -> None:
    local.init(RUNNER, raise_on_error=False)
    task = fail()
    assert not task.succeeded
    assert task.outputs == {}
    assert "boom" in str(task.error)
    with pytest.raises(TaskFailed, match="'fail' failed, so it has no output") as caught:
        _ = task.output
    assert isinstance(caught.value, AttributeError), "the KFP SDK raises it"
    assert getattr(task, "output", None) is None


@pytest.mark.parametrize("quiet", [True, False])
def test_a_failure_that_is_not_raised_is_never_silent(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    local.run(fail, {}, runner=RUNNER, raise_on_error=False, quiet=quiet)

    told = capsys.readouterr().err
    assert "standpipe: Task 'fail' failed: ValueError: boom\n" in told
    assert ("The run finished with status FAILED" in told) is not quiet


@pytest.mark.parametrize("runner", ["foo", None, local.SubprocessRunner])
def test_an_invalid_runner_is_an_error_of_the_sdks_class(runner: Any) -> None:
    with pytest.raises(ValueError, match=r"Invalid runner=.*expected local\.SubprocessRunner") as caught:
        local.init(runner)
    assert isinstance(caught.value, ArgumentError)


def test_independent_tasks_finish_after_a_failure(tmp_path: Path) -> None:
    done: list[int] = []

    def note(a: int, b: int) -> dict[str, int]:
        done.append(a)
        return plus(a, b)

    @dsl.pipeline
    def mixed() -> None:
        add(a=fail().output)
        add(a=add(a=5).output)

    with pytest.raises(TaskFailed, match="Task 'fail'"):
        local.run(mixed, runner=FakeRunner(fail=boom, add=note, add_2=note, add_3=note), quiet=True)
    assert done == [5, 6]


def test_arguments_are_checked_before_anything_runs(tmp_path: Path) -> None:
    local.init(RUNNER, pipeline_root=tmp_path / "root")
    for arguments, says in (
        ({}, "missing 1 required input: x"),
        ({"x": 1, "z": 2}, "has no input 'z'"),
        ({"x": "one"}, "expected int, got .one."),
    ):
        with pytest.raises(AuthoringTypeError, match=says):
            math(**arguments)
    assert not (tmp_path / "root").exists()


def test_artifacts_are_arguments_of_a_call(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}
    runner = FakeRunner(consume=lambda **given: {"Output": "x"})
    original = runner.task_runner.run

    def spy(request: Any, **options: Any) -> Outcome:
        seen.update(request.executor_input["inputs"]["artifacts"])
        seen["reads"] = [mount.path for mount in request.input_mounts]
        return original(request, **options)

    runner.task_runner.run = spy  # type: ignore[method-assign]
    data = dsl.Dataset(name="d", uri=str(tmp_path / "data"), metadata={"rows": 3})
    models = [dsl.Model(uri="gs://b/m"), dsl.Model(uri=str(tmp_path / "root" / "m"))]
    local.run(consume, {"data": data, "many": models}, runner=runner, pipeline_root=tmp_path / "root", quiet=True)
    (told,) = seen["data"]["artifacts"]
    assert (told["uri"], told["metadata"]) == (str(tmp_path / "data"), {"rows": 3})
    assert [artifact["uri"] for artifact in seen["many"]["artifacts"]] == ["gs://b/m", str(tmp_path / "root" / "m")]
    assert seen["reads"] == [str(tmp_path / "data"), str(tmp_path / "root" / "m")]
    with pytest.raises(AuthoringTypeError, match=r"expected Dataset, got an artifact of type Model"):
        local.run(consume, {"data": models[0], "many": models}, runner=runner, quiet=True)
    with pytest.raises(
        AuthoringTypeError, match=r"got 'data\.csv' of type str\. Pass an output of an earlier call, or an"
    ):
        local.run(consume, {"data": "data.csv", "many": models}, runner=runner, quiet=True)


def test_an_artifact_of_a_custom_type_is_returned_as_that_type(tmp_path: Path) -> None:
    @dsl.component
    def draw(shape: dsl.Output[Shape]) -> None:
        shape.metadata["sides"] = 3

    @dsl.component
    def sides(shape: dsl.Input[Shape]) -> int:
        return shape.metadata["sides"]

    runner = FakeRunner(sides=lambda: {"Output": 3})
    shape = local.run(draw, {}, runner=runner, pipeline_root=tmp_path, quiet=True).outputs["shape"]
    assert (shape.schema_title, isinstance(shape, dsl.Artifact)) == ("google.Shape", True)
    assert local.run(sides, {"shape": shape}, runner=runner, pipeline_root=tmp_path, quiet=True).output == 3


def test_a_compiled_file_runs_like_its_source(tmp_path: Path) -> None:
    for target, arguments, output in ((math, {"x": 1}, 5), (add, {"a": 1, "b": 5}, 6)):
        path = tmp_path / f"{target.name}.yaml"
        standpipe.compiler.Compiler().compile(target, path)
        assert local.run(path, arguments, runner=RUNNER, quiet=True).output == output
        loaded = standpipe.components.load_component_from_file(path)
        assert local.run(loaded, arguments, runner=RUNNER, quiet=True).output == output
        assert standpipe.components.load_component_from_text(path.read_text()).name == target.name
        assert standpipe.components.load_component_from_url(path.as_uri()).plan == target.plan


def test_a_loaded_component_is_a_task_of_a_pipeline() -> None:
    standpipe.compiler.Compiler().compile(add, "add.yaml")
    loaded = standpipe.components.load_component_from_file("add.yaml")

    @dsl.pipeline
    def twice(x: int) -> int:
        return loaded(a=loaded(a=x).output, b=10).output

    assert local.run(twice, {"x": 1}, runner=RUNNER, quiet=True).output == 12


def test_the_workspace_root_is_not_removed(tmp_path: Path) -> None:
    @dsl.component
    def say(text: str) -> str:
        return text

    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig("1Gi")))
    def shared() -> str:
        return say(text=dsl.WORKSPACE_PATH_PLACEHOLDER).output

    runner = FakeRunner(say=lambda text: {"Output": text})
    own = tmp_path / "own"
    assert local.run(shared, runner=runner, workspace_root=own, quiet=True).output == str(own)
    assert own.is_dir()
    path = Path(local.run(shared, runner=runner, quiet=True).output)
    assert path.is_dir()
    assert path.is_relative_to(tmp_path / "local_outputs")


def test_the_facts_of_a_run_are_stored(tmp_path: Path) -> None:
    local.run(math, {"x": 1}, runner=RUNNER, pipeline_root=tmp_path, quiet=True)
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        rows = db.execute("SELECT kind, body FROM facts ORDER BY seq").fetchall()
        (run,) = db.execute("SELECT id FROM runs").fetchone()
    assert [kind for kind, _ in rows] == [
        "RunStarted",
        *("TaskReady", "AttemptStarted", "TaskSucceeded") * 2,
        "RunEnded",
    ]
    assert json.loads(rows[0][1]) == {"inputs": {"x": 1, "y": 2}}
    assert json.loads(rows[-1][1]) == {"state": "SUCCEEDED", "outputs": {"Output": 5}}
    assert (tmp_path / run).is_dir()


def test_progress_is_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TaskFailed):
        local.run(fail, runner=RUNNER)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Running fail in ")
    assert lines[1] == "fail: started"
    assert lines[2].startswith("fail: failed in ")
    assert lines[3].startswith("Failed in ")


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    local.run(math, {"x": 1}, runner=RUNNER, quiet=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"runner": "docker"}, "Invalid runner='docker': expected local"),
        ({"runner": RUNNER, "max_parallel": 0}, "at least 1"),
        (
            {"runner": RUNNER, "pipeline_root": "hdfs://bucket"},
            "pipeline_root='hdfs://bucket': .*Expected a folder on",
        ),
        (
            {"runner": RUNNER, "cache_root": "gs://bucket"},
            "cache_root='gs://bucket': expected a folder on",
        ),
        ({"runner": RUNNER, "paralel": 3}, "Unknown option 'paralel'"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        local.run(math, {"x": 1}, **options)


def test_invalid_targets_are_refused() -> None:
    with pytest.raises(ArgumentError, match="Cannot run .*: expected a component"):
        local.run(plus, {"a": 1}, runner=RUNNER)  # type: ignore[arg-type]
    with pytest.raises(StandpipeError, match=r"nowhere\.yaml"):
        local.run("nowhere.yaml", runner=RUNNER)


@pytest.mark.parametrize("option", ["pipeline_root", "workspace_root", "cache_root"])
def test_a_folder_of_an_unknown_user_is_an_error(option: str, tmp_path: Path) -> None:
    options = {"pipeline_root": tmp_path, "enable_caching": True, option: "~nobody-here/x"}
    with pytest.raises(ArgumentError, match=f"Invalid {option}='~nobody-here/x': the home folder of"):
        local.run(math, {"x": 1}, runner=RUNNER, **options)
    assert [*tmp_path.glob("math-*")] == []


def test_a_pipeline_root_that_is_not_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=r"file.*pipeline_root|is a file"):
            local.run(math, {"x": 1}, runner=RUNNER, pipeline_root=root)


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    local.run(math, {"x": 1}, runner=RUNNER, pipeline_root="~/outputs", quiet=True)
    assert list((tmp_path / "home" / "outputs").glob("math-*"))


def test_ctrl_c_cancels_the_run_and_reaches_the_caller(tmp_path: Path) -> None:
    def interrupt(a: int, b: int) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)  # until the main thread handles the signal
        return Outcome(signal=signal.SIGINT)

    runner = FakeRunner(add=interrupt, add_2=plus)
    with pytest.raises(KeyboardInterrupt):
        local.run(math, {"x": 1}, runner=runner, pipeline_root=tmp_path, quiet=True)
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        ((body,),) = db.execute("SELECT body FROM facts WHERE kind = 'RunEnded'").fetchall()
    assert json.loads(body)["state"] == "CANCELLED"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_that_is_interrupted_before_it_is_recorded_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(text: str) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.stdout, "write", interrupt)  # of the first line, before the run has started
    with pytest.raises(KeyboardInterrupt):
        local.run(math, {"x": 1}, runner=RUNNER, pipeline_root=tmp_path)
    assert local.runs(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminating_signal_cancels_the_run_first(tmp_path: Path, number: signal.Signals) -> None:
    program = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from standpipe.local import FakeRunner
from tests.test_local import add
from standpipe import local
from standpipe.model.attempts import Outcome

def terminate(a, b):
    os.kill(os.getpid(), {int(number)})
    time.sleep(0.5)
    return Outcome(signal=15)

local.run(add, {{"a": 1}}, runner=FakeRunner(add=terminate), pipeline_root={str(tmp_path)!r})
print("went on")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == -number, ended.stderr
    assert "Cancelled in" in ended.stdout
    assert "went on" not in ended.stdout
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as db:
        ((body,),) = db.execute("SELECT body FROM facts WHERE kind = 'RunEnded'").fetchall()
    assert json.loads(body)["state"] == "CANCELLED"


def test_signals_with_a_handler_of_the_program_are_left_alone(tmp_path: Path) -> None:
    seen: list[int] = []

    def terminate(a: int, b: int) -> dict[str, int]:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        return plus(a, b)

    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        task = local.run(add, {"a": 1}, runner=FakeRunner(add=terminate), pipeline_root=tmp_path, quiet=True)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert task.output == 2
    assert seen == [signal.SIGTERM]


def test_long_names_are_supported(tmp_path: Path) -> None:
    name = "long_" * 100 + "name"
    (tmp_path / "file.py").write_text(
        f"from standpipe import dsl\n@dsl.component\ndef {name}(a: int) -> int: return a\n"
    )
    component = runpy.run_path(str(tmp_path / "file.py"))[name]
    runner = FakeRunner({name: lambda a: {"Output": a}})
    assert local.run(component, {"a": 1}, runner=runner, pipeline_root=tmp_path, quiet=True).output == 1


def test_setters_of_a_finished_task_are_errors() -> None:
    task = local.run(add, {"a": 1}, runner=RUNNER, quiet=True)
    with pytest.raises(AuthoringError, match="has already run"):
        task.after(task)
    with pytest.warns(UserWarning, match="has no effect"):
        task.set_cpu_limit("1")


def test_a_task_can_start_a_run() -> None:
    def nested(a: int, b: int) -> dict[str, int]:
        return {"Output": local.run(math, {"x": a}, runner=RUNNER, quiet=True).output}

    assert local.run(add, {"a": 1}, runner=FakeRunner(add=nested), quiet=True).output == 5
