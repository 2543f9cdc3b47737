"""Placeholders about the run and the task: which text is a constant of the author, and what replaces it."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import compiler, dsl, local
from standpipe.errors import TaskFailed

JOB = dsl.PIPELINE_JOB_NAME_PLACEHOLDER
TASK = dsl.PIPELINE_TASK_NAME_PLACEHOLDER


@dsl.component
def echo(s: str) -> str:
    return s


@dsl.component
def echo_list(items: list) -> list:
    return items


@dsl.component
def name_task(s: str = dsl.PIPELINE_TASK_NAME_PLACEHOLDER) -> str:
    return s


@dsl.component
def name_job(s: str = f"in {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}") -> str:
    return s


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path) -> None:
    local.init(runner=local.SubprocessRunner(), pipeline_root=tmp_path, quiet=True)


def latest() -> str:
    return local.get_run("latest").id


def test_arguments_of_a_call_are_constants() -> None:
    assert echo(s=JOB).output == latest()
    assert echo(s=f"{TASK} in {JOB}").output == f"echo in {latest()}"
    assert echo_list(items=[JOB, {"k": TASK}]).output == [latest(), {"k": "echo-list"}]
    assert local.run(echo, {"s": JOB}).output == latest()
    assert echo(s="{{$.inputs.parameters['s']}} {{$.unknown}}").output == "{{$.inputs.parameters['s']}} {{$.unknown}}"


def test_defaults_are_constants() -> None:
    assert name_task().output == "name-task"
    assert name_job().output == f"in {latest()}"

    @dsl.pipeline
    def inner(s: str = JOB) -> str:
        return echo(s=s).output

    @dsl.pipeline
    def outer(s: str = JOB) -> str:
        first = name_task()
        second = name_task().set_display_name("other")
        nested = inner()
        return echo(s=f"{s} {first.output} {second.output} {nested.output}").output

    assert outer().output == f"{latest()} name-task name-task-2 {latest()}"
    assert outer(s=JOB).output.startswith(latest())


def test_defaults_in_a_compiled_file_are_constants(tmp_path: Path) -> None:
    @dsl.pipeline
    def pipeline(s: str = JOB) -> str:
        return echo(s=f"{s} {name_task().output}").output

    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))

    assert "defaultValue: '{{$.pipeline_job_name}}'" in (tmp_path / "pipeline.yaml").read_text()
    assert local.run(tmp_path / "pipeline.yaml").output == f"{latest()} name-task"


def test_constant_items_of_a_loop_are_constants() -> None:
    @dsl.pipeline
    def pipeline() -> list[str]:
        with dsl.ParallelFor([JOB, "x"]) as item:
            task = echo(s=item)
        return dsl.Collected(task.output)  # type: ignore[return-value]

    assert pipeline().output == [latest(), "x"]


def test_text_that_arrives_at_run_time_is_data() -> None:
    @dsl.component
    def make() -> str:
        return "{{$.pipeline_" + "job_name}}"

    @dsl.component
    def make_list() -> list[str]:
        return ["{{$.pipeline_" + "job_name}}"]

    @dsl.pipeline
    def pipeline() -> list[str]:
        text = make()
        with dsl.ParallelFor(make_list().output) as item:
            task = echo(s=f"{item} {echo(s=text.output).output}")
        return dsl.Collected(task.output)  # type: ignore[return-value]

    assert pipeline().output == [f"{JOB} {JOB}"]
    # the input of the rerun task is data, too, although it is an argument of the rerun
    assert local.rerun_task("latest", "for-loop-1/0/echo").output == JOB


def test_the_job_name_is_the_runs_own() -> None:
    first = echo(s=JOB).output
    second = echo(s=JOB).output

    assert first != second
    assert first.startswith("echo-")
    assert echo(s=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER).output == latest()


def test_a_resumed_run_keeps_its_name_and_a_rerun_has_its_own(tmp_path: Path) -> None:
    @dsl.component
    def fail_once(marker: str, s: str) -> str:
        import os

        if not os.path.exists(marker):
            open(marker, "w").close()
            raise ValueError("the first time")
        return s

    @dsl.pipeline
    def pipeline(marker: str) -> str:
        return fail_once(marker=marker, s=JOB).output

    with pytest.raises(TaskFailed):
        pipeline(marker=str(tmp_path / "marker"))
    name = latest()

    assert local.resume(name).output == name
    assert local.rerun_task(name, "fail-once").output == name  # it has the inputs that the task had
    (rerun,) = (each for each in local.runs() if each.rerun_of)
    assert rerun.id != name


def test_a_task_that_is_passed_the_job_name_is_not_cached(tmp_path: Path) -> None:
    local.init(runner=local.SubprocessRunner(), pipeline_root=tmp_path, quiet=True, enable_caching=True)

    @dsl.pipeline
    def pipeline(s: str = JOB) -> str:
        echo(s="the same")
        return echo(s=s).output

    assert pipeline().output != pipeline().output
    cached = {task.name: bool(task.cached_from) for task in local.get_run("latest").tasks}
    assert cached == {"echo": True, "echo-2": False}
