"""Output artifacts that a task declares and never writes: the notice, the mark, and the hint for their consumer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.history import Run, render
from standpipe.history.documents import document
from standpipe.runners.api import LocalRunner


@dsl.component
def with_ending(model: dsl.Output[dsl.Model]) -> None:
    with open(model.path + ".csv", "w") as file:
        file.write("1")


@dsl.component
def with_ending_and_metadata(model: dsl.Output[dsl.Model]) -> None:
    model.metadata["framework"] = "none"
    with open(model.path + ".pkl", "w") as file:
        file.write("1")


@dsl.component
def beside(model: dsl.Output[dsl.Model], data: dsl.Output[dsl.Dataset]) -> None:
    import os

    open(data.path, "w").close()
    open(os.path.join(os.path.dirname(model.path), "weights.bin"), "w").close()


@dsl.component
def with_similar_names(
    m: dsl.Output[dsl.Metrics], model: dsl.Output[dsl.Metrics], model_card: dsl.Output[dsl.HTML]
) -> None:
    """Writes a file for `model_card` only; `m` and `model` are complete."""
    with open(model_card.path + "-v2.html", "w") as file:
        file.write("1")


@dsl.component
def nowhere(page: dsl.Output[dsl.HTML]) -> None:
    """Writes nothing."""


@dsl.component
def moved(model: dsl.Output[dsl.Model]) -> None:
    model.path = "/nowhere/model"


@dsl.component
def only_metadata(
    metrics: dsl.Output[dsl.Metrics],
    curve: dsl.Output[dsl.ClassificationMetrics],
    slices: dsl.Output[dsl.SlicedClassificationMetrics],
    model: dsl.Output[dsl.Model],
    remote: dsl.Output[dsl.Dataset],
    named: dsl.Output[dsl.Artifact],
) -> None:
    metrics.log_metric("accuracy", 0.9)
    model.metadata["framework"] = "none"
    remote.uri = "gs://bucket/data"
    named.uri = "projects/1/models/2"


@dsl.component
def written(model: dsl.Output[dsl.Model], folder: dsl.Output[dsl.Dataset], log: dsl.Output[dsl.Artifact]) -> None:
    import os

    for artifact in (model, log):
        open(artifact.path, "w").close()
    os.mkdir(folder.path)
    model.path += ".txt"
    open(model.path, "w").close()


@dsl.component
def read(model: dsl.Input[dsl.Model]) -> str:
    with open(model.path) as file:
        return file.read()


@dsl.pipeline
def read_missing() -> None:
    read(model=with_ending().outputs["model"])


@dsl.pipeline
def repeated() -> None:
    with dsl.ParallelFor([1, 2, 3]):
        with_ending()


@pytest.fixture(scope="module")
def runner() -> Iterator[LocalRunner]:
    runner = local.SubprocessRunner(use_venv=False)
    yield runner
    runner.task_runner.close()


@pytest.fixture
def run(runner: LocalRunner, tmp_path: Path) -> Callable[..., Run]:
    def run(target: Any, **options: Any) -> Run:
        local.run(target, **{"runner": runner, "pipeline_root": tmp_path, "quiet": True, **options})
        return local.get_run("latest", tmp_path)

    return run


def test_the_notice_names_the_output_and_what_is_beside_it(
    run: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(with_ending).folder / "with-ending"
    assert capsys.readouterr().err == (
        "standpipe: Task 'with-ending' succeeded without its output artifact 'model': nothing is at "
        f"{folder}/model; beside it is 'model.csv'. Write it to exactly that path, which is `model.path` in Python: "
        "tasks that read it fail.\n"
    )


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        (with_ending_and_metadata, "'model': nothing is at {}/model; beside it is 'model.pkl'."),
        (beside, "'model': nothing is at {}/model; beside it is 'weights.bin'."),
        (nowhere, "'page': nothing is at {}/page. Write"),
        (moved, "'model': nothing is at /nowhere/model. Write"),
    ],
)
def test_each_way_to_miss_the_path_is_noticed(
    run: Callable[..., Run], capsys: pytest.CaptureFixture[str], component: Any, expected: str
) -> None:
    task = run(component).tasks[0]
    assert expected.format(task.folder) in capsys.readouterr().err


@pytest.mark.parametrize("component", [only_metadata, written])
def test_artifacts_that_are_complete_give_no_notice(
    run: Callable[..., Run], capsys: pytest.CaptureFixture[str], component: Any
) -> None:
    run(component)
    assert capsys.readouterr().err == ""


def test_a_file_belongs_to_the_output_with_the_longest_name(
    run: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run(with_similar_names)
    assert re.findall(r"artifact '(\w+)': nothing is at", capsys.readouterr().err) == ["model_card"]


def test_the_tasks_of_a_component_give_one_notice(run: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    run(repeated)
    assert capsys.readouterr().err.count("succeeded without its output artifact 'model'") == 1


def test_a_cached_task_gives_the_notice_too(run: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    run(with_ending, enable_caching=True)
    first = capsys.readouterr().err
    assert run(with_ending, enable_caching=True).tasks[0].cached_from
    assert capsys.readouterr().err == first
    assert "beside it is 'model.csv'" in first


def test_the_history_marks_what_was_never_written(run: Callable[..., Run]) -> None:
    task = run(with_ending).tasks[0]
    assert "model (Model, never written)" in str(task)
    (shown,) = json.loads(json.dumps(document(run(with_ending))))["artifacts"]
    assert shown["exists"] is False

    complete = str(run(only_metadata).tasks[0])
    assert "metrics (Metrics, no file, only metadata)" in complete
    assert "model (Model, no file, only metadata)" in complete
    assert "gs://bucket/data (Dataset)" in complete
    assert "never written" not in complete

    (model,) = [artifact for artifact in run(written).artifacts if artifact.name == "model"]
    assert (model.exists, "removed" in render.format_value(model)) == (True, False)
    assert model.path
    model.path.unlink()
    assert render.format_value(model).endswith("model.txt (Model, 0 bytes, removed)")


def test_the_failure_of_the_consumer_names_the_missing_input(
    runner: LocalRunner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TaskFailed) as caught:
        local.run(read_missing, runner=runner, pipeline_root=tmp_path, quiet=True)
    path = local.get_run("latest", tmp_path).folder / "with-ending" / "model"
    assert (
        f"Its input 'model' has no file, because the task that produced it wrote none: nothing is at {path}; beside "
        "it is 'model.csv'."
    ) in str(caught.value)
    assert "Task 'with-ending' succeeded without" in capsys.readouterr().err


def test_the_failure_of_the_consumer_of_an_argument_blames_no_task(runner: LocalRunner, tmp_path: Path) -> None:
    @dsl.component
    def read(data: dsl.Input[dsl.Dataset]) -> None:
        open(data.path).close()

    path, root = tmp_path / "none.csv", tmp_path / "root"
    with pytest.raises(TaskFailed, match="Its input 'data' has no file") as caught:
        local.run(read, {"data": dsl.Dataset(uri=str(path))}, runner=runner, pipeline_root=root, quiet=True)
    assert f"Its input 'data' has no file: nothing is at {path}." in str(caught.value)


def test_an_argument_without_a_uri_is_not_the_current_folder(runner: LocalRunner, tmp_path: Path) -> None:
    @dsl.component
    def read(data: dsl.Input[dsl.Dataset]) -> str:
        return f"{data.uri}|{data.path}|{data.metadata['rows']}"

    data = dsl.Dataset(metadata={"rows": 3})
    assert local.run(read, {"data": data}, runner=runner, pipeline_root=tmp_path, quiet=True).output == "||3"


def test_a_fake_runner_only_notices_similar_names(run: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    run(with_ending, runner=local.FakeRunner())
    assert capsys.readouterr().err == ""

    def with_another_name(model: dsl.Model) -> None:
        Path(model.path + ".csv").touch()

    run(with_ending, runner=local.FakeRunner(with_ending=with_another_name))
    assert "beside it is 'model.csv'" in capsys.readouterr().err
