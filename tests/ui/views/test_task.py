"""The side panel of a task: inputs and outputs, attempts, resources, environment, commands."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.history import Run, get_run
from standpipe.local import FakeRunner, SubprocessRunner
from standpipe.ui.source import RunSource
from standpipe.ui.views.task import TaskDetails, read_input_output, view_header, view_task_details

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@dsl.component(packages_to_install=["numpy==2.0"], base_image="python:3.12")
def panel_train(rate: float, model: dsl.Output[dsl.Model]) -> dict:
    return {"rate": rate}  # the line that the panel shows


@dsl.pipeline
def panel_inner(rate: float) -> None:
    task = panel_train(rate=rate).set_env_variable("MODE", "fast").set_retry(2, backoff_duration="0s")
    task.set_cpu_limit("2").set_memory_limit("512Mi")


@dsl.pipeline
def panel_all(rates: list = [0.1, 0.2]) -> None:  # noqa: B006 - KFP copies it
    with dsl.ParallelFor(rates) as rate:
        panel_inner(rate=rate)


@dsl.component
def panel_fail(x: int) -> None:
    print("before")
    raise ValueError(f"x is {x}")


@dsl.pipeline
def panel_failing(x: int = 7) -> None:
    panel_fail(x=x).set_retry(1, backoff_duration="0s")


def train(rate: float, model: Any) -> dict[str, float]:
    Path(model.path).write_text("weights")
    return {"rate": rate}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    runner = FakeRunner(panel_train=lambda rate, model: {"Output": train(rate, model)})
    local.run(panel_all, runner=runner, quiet=True, pipeline_root=tmp_path)
    return get_run(tmp_path, "latest")


def details(run: Run, path: str) -> TaskDetails:
    return view_task_details(run, RunSource(run.folder.parent).plan(run), run.task(path), tab="tasks")


def test_the_header_leads_to_the_tasks_around_it(run: Run) -> None:
    header = view_header(run, run.task("for-loop-1/1/panel-inner/panel-train"), None, NOW, tab="tasks")

    assert [name for name, _ in header.steps] == ["for-loop-1", "1", "panel-inner"]
    assert header.steps[1][1] == f"/runs/{run.id}?tab=tasks&task=for-loop-1%2F1"
    assert (header.name, header.state, header.can_rerun) == ("panel-train", "SUCCEEDED", True)
    assert view_header(run, run.task("for-loop-1/1"), None, NOW, tab="tasks").name == "Iteration 1"
    assert view_header(run, run.task("for-loop-1/1"), None, NOW, tab="tasks").kind == "iteration"


def test_inputs_and_outputs_are_values_and_artifacts_with_links(run: Run) -> None:
    shown = read_input_output(run, run.task("for-loop-1/1/panel-inner/panel-train"))
    outputs = {each.name: each for each in shown.outputs}
    (model,) = outputs["model"].artifacts

    assert [(each.name, each.text) for each in shown.inputs] == [("rate", "0.2")]
    assert outputs["Output"].text == '{"rate": 0.2}'
    assert (model.name, model.type, model.size, model.state) == ("model", "Model", 7, "")
    assert model.href.startswith(f"/runs/{run.id}/artifact?uri=")
    assert outputs["model"].type == "Model"


def test_an_iteration_shows_its_item_and_a_removed_artifact_says_so(run: Run) -> None:
    task = run.task("for-loop-1/1/panel-inner/panel-train")
    task.artifacts[0].path.unlink()  # type: ignore[union-attr]  # it is on this machine
    item = read_input_output(run, run.task("for-loop-1/1")).item

    assert item is not None
    assert item.text == "0.2"
    model = next(each for each in read_input_output(run, task).outputs if each.name == "model")
    assert model.artifacts[0].state == "removed"


def test_details_say_what_the_plan_says(run: Run) -> None:
    shown = details(run, "for-loop-1/1/panel-inner/panel-train")
    environment = {each.label: each.text for each in shown.environment}

    assert environment["Image"] == "python:3.12"
    assert environment["Packages"] == "numpy==2.0"
    assert environment["Limits"] == "CPU 2, memory 512Mi"
    assert environment["Retries"] == "at most 2"
    assert shown.variables == (("MODE", "fast"),)
    assert shown.source is not None
    assert "the line that the panel shows" in shown.source.text
    assert shown.source.file == __file__
    assert {each.label: each.text for each in shown.facts}["Called at"].startswith(f"{__file__}:")


def test_commands_do_it_again(run: Run) -> None:
    commands = [each.text for each in details(run, "for-loop-1/1/panel-inner/panel-train").commands]
    root = run.folder.parent

    assert commands[0] == f"standpipe rerun --root {root} {run.id} for-loop-1/1/panel-inner/panel-train"
    assert commands[1].startswith("standpipe rerun --debug ")
    assert not details(run, "for-loop-1").commands


def test_a_failed_task_has_its_attempts_and_the_traceback(tmp_path: Path) -> None:
    runner = SubprocessRunner(use_venv=False)
    local.run(panel_failing, runner=runner, quiet=True, raise_on_error=False, pipeline_root=tmp_path)
    run = get_run(tmp_path, "latest")
    shown = details(run, "panel-fail")

    assert [(each.number, each.state, each.ending) for each in shown.attempts] == [
        (1, "FAILED", "exit code 1"),
        (2, "FAILED", "exit code 1"),
    ]
    assert shown.failure is not None
    assert shown.failure.message == "ValueError: x is 7"
    assert 'raise ValueError(f"x is {x}")' in shown.failure.traceback
    assert [each.label for each in shown.usage] == ["CPU", "Memory"]
    assert shown.attempts[1].log_lines


def test_use_is_measured_against_limits(tmp_path: Path) -> None:
    @dsl.component
    def panel_limited(x: int) -> None:
        del x

    @dsl.pipeline
    def panel_limits() -> None:
        panel_limited(x=1).set_memory_limit("1G").set_cpu_limit("4")

    local.run(panel_limits, runner=SubprocessRunner(use_venv=False), quiet=True, pipeline_root=tmp_path)
    cpu, memory = details(get_run(tmp_path, "latest"), "panel-limited").usage

    assert (cpu.limit, memory.limit) == ("limit 4 cores", "limit 1G")
    assert memory.share is not None
    assert 0 < memory.share < 20


def test_a_task_without_a_plan_shows_what_the_history_has(run: Run) -> None:
    task = run.task("for-loop-1/1/panel-inner/panel-train")
    shown = view_task_details(run, None, task, tab="tasks")

    assert shown.attempts
    assert not shown.environment
    assert shown.source is None
