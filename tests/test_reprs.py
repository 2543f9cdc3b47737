"""What a prompt of Python shows of the objects that users have: one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from standpipe import components, dsl, local
from standpipe.local import FakeRunner


@dsl.component
def count(text: str, words: list[str] | None = None, limit: int = 3) -> int:
    return len(text)


@dsl.component
def train(data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]) -> None:
    raise ValueError("no\nconvergence")


@dsl.component
def load(data: dsl.Output[dsl.Dataset], rate: float = 0.5) -> None: ...


@dsl.component
def merge(parts: dsl.Input[list[dsl.Artifact]]) -> None: ...


@dsl.component
def idle() -> None: ...


@dsl.pipeline
def learn(rows: int = 3) -> None:
    data = load().output
    train(data=data)


LOADED = """
inputs: [{name: x, type: String}]
name: old
implementation: {container: {image: alpine, command: [echo, {inputValue: x}]}}
"""


@pytest.mark.parametrize(
    ("component", "text"),
    [
        (count, "<PythonComponent 'count' (text: str, words: list = None, limit: int = 3) -> (Output: int)>"),
        (train, "<PythonComponent 'train' (data: Dataset) -> (model: Model)>"),
        (merge, "<PythonComponent 'merge' (parts: list[Artifact])>"),
        (load, "<PythonComponent 'load' (rate: float = 0.5) -> (data: Dataset)>"),
        (idle, "<PythonComponent 'idle' ()>"),
        (learn, "<GraphComponent 'learn' (rows: int = 3)>"),
        (components.load_component_from_text(LOADED), "<YamlExecutorComponent 'old' (x: str)>"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value.name,
)
def test_a_component_has_its_inputs_and_outputs(component: dsl.BaseComponent, text: str) -> None:
    assert repr(component) == text


def test_a_finished_task_has_its_outputs_or_its_error(tmp_path: Path) -> None:
    def run(component: dsl.BaseComponent, **arguments: object) -> str:
        runner = FakeRunner({"count": lambda: 4, "train": fail, "load": lambda: None, "idle": lambda: None})
        options: dict[str, Any] = {
            "runner": runner,
            "pipeline_root": str(tmp_path),
            "raise_on_error": False,
            "quiet": True,
        }
        return repr(local.run(component, arguments, **options))

    def fail() -> None:
        raise ValueError("no\nconvergence")

    assert run(count, text="four") == "<PipelineTask 'count': succeeded, Output = 4>"
    assert run(idle) == "<PipelineTask 'idle': succeeded>"
    assert run(learn) == "<PipelineTask 'learn': failed: Task 'train' failed: ValueError: no>"

    failed = local.get_run("latest", tmp_path)
    loaded, trained = failed.tasks
    assert repr(failed) == f"<Run {failed.id}: FAILED>"
    assert (repr(loaded), repr(trained)) == ("<Task load: SUCCEEDED>", "<Task train: FAILED, ValueError: no>")
    assert repr(failed.artifacts[0]) == f"<Artifact data: system.Dataset, of task load, {failed.folder}/load/data>"
    assert repr(trained.attempts[0]).startswith(f"<Attempt {trained.attempts[0].number}: FAILED in ")
    assert repr(trained.attempts[0]).endswith(" s: ValueError: no>")


def test_a_task_that_was_skipped_or_cached_says_why(tmp_path: Path) -> None:
    @dsl.pipeline
    def choose(rows: int = 3) -> None:
        count(text="four")
        with dsl.If(rows > 5):
            idle()

    runner = local.SubprocessRunner(use_venv=False)
    options: dict[str, Any] = {"runner": runner, "pipeline_root": str(tmp_path), "enable_caching": True}
    for _ in range(2):
        local.run(choose, **options)

    run = local.get_run("latest", tmp_path)
    assert repr(run.task("count")).startswith("<Task count: SUCCEEDED, cached from choose-")
    assert repr(run.task("condition-1")).startswith("<Task condition-1: SKIPPED, its condition is false: ")
