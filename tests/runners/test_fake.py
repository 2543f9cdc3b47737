"""`local.FakeRunner`: pipelines whose tasks are functions of a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.local import FakeRunner
from standpipe.model.resources import Capacity


@dsl.component
def load(rows: int, data: dsl.Output[dsl.Dataset]) -> None:
    pass


@dsl.component
def train_model(rate: float, data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]) -> float:
    return 0.0


@dsl.component
def best_of(models: dsl.Input[list[dsl.Model]]) -> str:
    return ""


@dsl.component
def describe() -> dict:
    return {}


@dsl.container_component
def report(text: str) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="reports", command=["report", text])


@dsl.pipeline
def training(rate: float = 0.5) -> float:
    data = load(rows=3)
    first = train_model(rate=rate, data=data.outputs["data"])
    second = train_model(rate=0.1, data=data.outputs["data"]).after(first)
    return second.outputs["Output"]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(target: Any, runner: FakeRunner, **arguments: Any) -> Any:
        return local.run(target, arguments, runner=runner, pipeline_root=tmp_path, quiet=True)

    return run


def test_functions_stand_in_for_tasks_and_for_components(run: Any) -> None:
    rates: list[float] = []

    def train(rate: float) -> dict[str, Any]:
        rates.append(rate)
        return {"Output": rate, "model": "weights"}

    runner = FakeRunner({"train_model": train}, load=lambda rows: {"data": "x" * rows})
    assert run(training, runner).output == 0.1
    assert rates == [0.5, 0.1], "the component's function stands for both tasks"


def test_the_most_exact_name_wins(run: Any) -> None:
    runner = FakeRunner(
        {"train_model": lambda: {"Output": 1.0}, "train-model-2": lambda: {"Output": 2.0}},
        load=lambda: {"data": b"\xff"},
    )
    assert run(training, runner).output == 2.0


def test_a_task_in_a_loop_has_a_path(run: Any) -> None:
    @dsl.pipeline
    def looped() -> list[float]:
        data = load(rows=1)
        with dsl.ParallelFor([0.1, 0.2]) as rate:
            trained = train_model(rate=rate, data=data.outputs["data"])
        return dsl.Collected(trained.outputs["Output"])  # type: ignore[return-value]

    runner = FakeRunner(
        {"for-loop-2/1/train-model": lambda: {"Output": 9.0}, "train-model": lambda rate: {"Output": rate}}
    )
    assert run(looped, runner).output == [0.1, 9.0]


def test_artifacts_are_passed_and_written_by_path_or_as_a_payload(run: Any) -> None:
    def train(data: dsl.Dataset, model: dsl.Model) -> float:
        text = Path(data.path).read_text()
        Path(model.path).write_text(text.upper())
        model.metadata["rows"] = len(text)
        return 0.9

    runner = FakeRunner(train_model=train, load=lambda rows: {"data": "abc"})
    data = run(load, runner, rows=3).outputs["data"]
    task = run(train_model, runner, rate=0.5, data=data)
    assert task.outputs["Output"] == 0.9
    assert Path(task.outputs["model"].path).read_text() == "ABC"
    assert task.outputs["model"].metadata == {"rows": 3}


def test_a_list_of_one_artifact_is_a_list_where_the_function_says_so(run: Any) -> None:
    def best(models: list[dsl.Model]) -> str:
        return str(len(models))

    assert run(best_of, FakeRunner(best_of=best), models=[dsl.Model(uri="gs://a/b")]).output == "1"


def test_an_artifact_can_be_returned(run: Any, tmp_path: Path) -> None:
    made = dsl.Dataset(uri=str(tmp_path / "elsewhere"), metadata={"a": 1})
    data = run(load, FakeRunner(load=lambda: {"data": made}), rows=1).outputs["data"]
    assert (data.uri, data.metadata) == (made.uri, {"a": 1})


def test_a_dict_is_the_single_output_unless_its_keys_are_outputs(run: Any) -> None:
    assert run(describe, FakeRunner(describe=lambda: {"a": 1})).output == {"a": 1}
    assert run(describe, FakeRunner(describe=lambda: {"Output": {"a": 1}})).output == {"a": 1}


def test_container_components_have_names_too(run: Any) -> None:
    @dsl.pipeline
    def reporting() -> None:
        report(text="a")
        report(text="b")

    function = Mock(return_value=None)
    run(reporting, FakeRunner(report=function))
    assert sorted(call.kwargs["text"] for call in function.call_args_list) == ["a", "b"]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"dota": "x"}, r"The fake function returned 'dota': expected outputs of \['data'\]"),
        ({"data": 3}, "The fake function returned 3 for the output artifact 'data': expected its payload"),
        (3, r"The fake function returned 'Output': expected outputs of \['data'\]"),
    ],
)
def test_what_is_no_output_fails_the_task(run: Any, returned: Any, message: str) -> None:
    with pytest.raises(TaskFailed, match=message):
        run(load, FakeRunner(load=lambda: returned), rows=1)


def test_tasks_wait_for_nothing_unless_a_capacity_is_passed(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    @dsl.pipeline
    def large() -> None:
        load(rows=1).set_cpu_request("100000").set_cpu_limit("100000")

    run(large, FakeRunner())
    assert capsys.readouterr().err == ""
    run(large, FakeRunner(capacity=Capacity(cpu=2.0, memory=1024)))
    assert "requests 100000 cores" in capsys.readouterr().err
