"""`local.FakeRunner`: pipelines whose tasks are functions of a test."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from unittest.mock import Mock

import pytest

from standpipe import dsl, local
from standpipe.errors import ArgumentError, TaskFailed
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


@dsl.component
def count() -> int:
    return 0


@dsl.component
def notify(text: str = "") -> None:
    pass


class Summary(NamedTuple):
    rows: int
    columns: list


@dsl.component
def summarize() -> Summary:
    return Summary(0, [])


@dsl.component
def clean_up(status: dsl.PipelineTaskFinalStatus, note: str | None = None) -> None:
    pass


@dsl.component(task_config_passthroughs=[dsl.TaskConfigField.ENV])
def configured(config: dsl.TaskConfig) -> None:
    pass


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
        (3, "The fake function returned 3 for the output artifact 'data': expected its payload"),
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


# --- names of functions


@dsl.pipeline
def looped_notes(texts: list[str]) -> None:
    with dsl.ParallelFor(["a", "b"]) as text:
        notify(text=text)
    with dsl.ParallelFor(texts) as text:
        notify(text=text)
    with dsl.If(count().output > 0):
        report(text="never")
    dsl.importer(artifact_uri="/", artifact_class=dsl.Dataset)


def nothing(**inputs: Any) -> None:
    """Stand in for a task without outputs."""


@pytest.mark.parametrize("name", ["for-loop-1/1/notify", "for-loop-2/2/notify", "notfy", "importer", "for-loop-2"])
def test_a_function_without_a_task_is_reported(run: Any, capsys: pytest.CaptureFixture[str], name: str) -> None:
    runner = FakeRunner({name: nothing, "notify": nothing}, count=lambda: 0)
    run(looped_notes, runner, texts=[])
    assert capsys.readouterr().err == (
        f"standpipe: local.FakeRunner: pipeline 'looped-notes' has no task for the function of {name!r}. Its tasks: "
        "'for-loop-2/N/notify', 'for-loop-3/N/notify-2', 'condition-4/report', 'count'.\n"
    )


@pytest.mark.parametrize(
    "name",
    ["for-loop-2/1/notify", "FOR_LOOP_3/0/notify_2", "for-loop-3/7/notify-2", "condition-4/report", "report", "notify"],
)
def test_a_function_of_a_task_that_is_skipped_is_not_reported(
    run: Any, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run(looped_notes, FakeRunner({name: nothing}, count=lambda: 0), texts=[])
    assert capsys.readouterr().err == ""


def test_a_function_of_an_earlier_pipeline_is_not_reported(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    runner = FakeRunner(notify=nothing, count=lambda: 1, cuont=nothing)
    told = []
    for target in (notify, count, notify):
        run(target, runner)
        told.append(capsys.readouterr().err.partition("the function of ")[2].partition(". Its")[0])
    assert told == ["'count', 'cuont'", "'cuont'", "'cuont'"]


def test_a_rerun_of_one_task_reports_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"pipeline_root": tmp_path, "quiet": True}
    local.run(looped_notes, {"texts": []}, runner=FakeRunner(count=lambda: 0), **options)
    local.init(FakeRunner(count=lambda: 0, notify=nothing), **options)
    assert local.rerun_task("latest", "count").output == 0
    assert capsys.readouterr().err == ""


def test_a_resumed_run_reports_functions_without_a_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"pipeline_root": tmp_path, "quiet": True}
    with pytest.raises(TaskFailed):
        local.run(count, {}, runner=FakeRunner(), **options)
    local.resume("latest", pipeline=count, runner=FakeRunner(count=lambda: 3, cuont=nothing), **options)
    assert "pipeline 'count' has no task for the function of 'cuont'. Its tasks: 'count'." in capsys.readouterr().err


def test_functions_that_no_run_called_are_known(run: Any) -> None:
    runner = FakeRunner({"train_model": lambda: {"Output": 1.0}, "Train_Model_2": nothing}, count=lambda: 1)
    assert runner.uncalled == ("train_model", "Train_Model_2", "count")
    run(count, runner)
    with pytest.raises(TaskFailed):
        run(training, runner)
    assert not runner.uncalled


# --- arguments


def test_the_component_decides_whether_an_input_is_a_list(run: Any) -> None:
    runner = FakeRunner(best_of=lambda models: " ".join(model.uri for model in models))
    for uris in (["gs://a"], ["gs://a", "gs://b"]):
        assert run(best_of, runner, models=[dsl.Model(uri=uri) for uri in uris]).output == " ".join(uris)


def test_an_exit_task_gets_a_final_status(run: Any) -> None:
    @dsl.pipeline
    def handled() -> None:
        with dsl.ExitHandler(clean_up()):
            count()

    statuses = []
    runner = FakeRunner(count=lambda: sys.exit(3), clean_up=lambda status, note: statuses.append((status, note)))
    with pytest.raises(TaskFailed):
        run(handled, runner)
    ((status, note),) = statuses
    assert isinstance(status, dsl.PipelineTaskFinalStatus)
    assert (status.state, status.pipeline_task_name, status.error_code) == ("FAILED", "exit-handler-1", 2)
    assert status.error_message == "its task 'exit-handler-1/count' failed: it exited with code 3"
    assert note is None, "an optional input that nobody passed"


def test_a_task_gets_its_own_configuration(run: Any) -> None:
    @dsl.pipeline
    def configuring() -> None:
        configured().set_env_variable("MODE", "fast")

    configs: list[dsl.TaskConfig] = []
    run(configuring, FakeRunner(configured=lambda config: configs.append(config)))
    assert [config.env for config in configs] == [[{"name": "MODE", "value": "fast"}]]


def test_a_parameter_that_the_task_does_not_have_fails_it(run: Any) -> None:
    message = (
        "Task 'load' failed: The fake function has the parameter 'row': expected inputs and output artifacts of "
        r"\['data', 'rows'\]\.\n"
    )
    with pytest.raises(TaskFailed, match=message):
        run(load, FakeRunner(load=lambda row: None), rows=1)


# --- results


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        ({}, {}),
        ({"Output": {}}, {}),
        ({"Output": {"Output": 1}}, {"Output": 1}),
        ({"Output": 1, "more": 2}, {"Output": 1, "more": 2}),
    ],
)
def test_a_dict_for_an_output_that_is_a_dict(run: Any, returned: Any, value: Any) -> None:
    assert run(describe, FakeRunner(describe=lambda: returned)).output == value


def test_several_outputs_come_as_a_dict_or_a_named_tuple(run: Any) -> None:
    for returned in ({"columns": ["a"], "rows": 3}, Summary(columns=["a"], rows=3)):
        assert run(summarize, FakeRunner(summarize=lambda it=returned: it)).outputs == {"rows": 3, "columns": ["a"]}


@pytest.mark.parametrize(
    ("target", "returned", "message"),
    [
        (count, None, "it did not write its output 'Output': return a value for it"),
        (count, {}, "it did not write its output 'Output': return a value for it"),
        (count, "x", r"its output 'Output' does not fit: expected int, got 'x' \(str\)"),
        (count, {"Outptu": 1}, r"The fake function returned 'Outptu': expected outputs of \['Output'\]\."),
        (count, {1: 2}, r"The fake function returned 1: expected outputs of \['Output'\]\."),
        (describe, {"Output": 3}, r"its output 'Output' does not fit: expected dict, got 3"),
        (summarize, {"rows": 1}, "it did not write its output 'columns': return a value for it"),
        (notify, 3, r"The fake function returned 'Output': expected outputs of \[\]\."),
        (count, object(), "The fake function returned an invalid value: the output 'Output' is of type object: exp"),
        (count, b"x", "The fake function returned an invalid value: the output 'Output' is of type bytes: expected"),
        (count, float("nan"), "The fake function returned an invalid value: the output 'Output' is nan: expected"),
        (summarize, Summary(1, [b""]), r"The fake function returned an invalid value: the output 'columns'\[0\] is of"),
    ],
)
def test_what_is_no_output_fails_the_task_in_one_sentence(run: Any, target: Any, returned: Any, message: str) -> None:
    with pytest.raises(TaskFailed, match=f"^Task '{target.name}' failed: {message}") as caught:
        run(target, FakeRunner({target.name: lambda: returned}))
    assert "Traceback" not in str(caught.value)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    ("returned", "value"), [({0: 0.9, None: [{True: 1}]}, {"0": 0.9, "null": [{"true": 1}]}), ({1.5: {}}, {"1.5": {}})]
)
def test_keys_are_text_as_in_a_task(run: Any, returned: object, value: object) -> None:
    assert run(describe, FakeRunner(describe=lambda: returned)).output == value


def test_a_coroutine_is_no_output(run: Any) -> None:
    async def wait() -> int:
        return 3

    with pytest.raises(TaskFailed, match="the output 'Output' is of type coroutine"):
        run(count, FakeRunner(count=lambda: wait()))


def test_metadata_that_is_not_json_fails_the_task(run: Any) -> None:
    def write(data: dsl.Dataset) -> None:
        data.metadata["rows"] = {1}

    with pytest.raises(TaskFailed, match=r"the metadata of the output artifact 'data'\['rows'\] is of type set"):
        run(load, FakeRunner(load=write), rows=1)


@pytest.mark.parametrize(
    ("code", "message"),
    [(True, "1\n"), (-1, "255\n"), (3, "3\n"), ("the disk is full", "1\n\nThe end of its log:\nthe disk is full\n")],
)
def test_an_exit_is_that_of_python(run: Any, code: Any, message: str) -> None:
    def leave() -> NoReturn:
        sys.exit(code)

    with pytest.raises(TaskFailed, match=f"^Task 'count' failed: it exited with code {message}"):
        run(count, FakeRunner(count=leave))


# --- invalid arguments


async def wait_for_it() -> None:
    """Return nothing, later."""


def generate() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        (["one"], r"Invalid functions of FakeRunner: expected a dict such as {'train-2': function}, got \['one'\]"),
        ({1: nothing}, "Invalid name 1 of a function of FakeRunner: expected the name of a component or task"),
        ({"": nothing}, "Invalid name '' of a function"),
        ({"one": 3}, "Invalid function of FakeRunner for 'one': expected a function that .*, got 3"),
        ({"one": None}, "Invalid function of FakeRunner for 'one': expected a function that .*, got None"),
        ({"one": int}, "Invalid function of FakeRunner for 'one': expected a function that .*, got <class 'int'>"),
        ({"one": len}, "for 'one': expected a function that takes all parameters by name, got <built-in function len>"),
        ({"one": wait_for_it}, "for 'one': expected .*, got the asynchronous function or generator <function wait_for"),
        ({"one": generate}, "for 'one': expected .*, got the asynchronous function or generator <function generate"),
        ({"one_2": nothing, "One-2": nothing}, "FakeRunner has two functions for the same name: 'one_2' and 'One-2'"),
    ],
)
def test_functions_are_checked_at_once(functions: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        FakeRunner(functions)


def test_a_function_by_keyword_and_the_capacity_are_checked_at_once() -> None:
    with pytest.raises(ArgumentError, match="FakeRunner has two functions for the same name: 'one' and 'one'"):
        FakeRunner({"one": nothing}, one=nothing)
    with pytest.raises(ArgumentError, match=r"Invalid capacity=3 of FakeRunner: expected a .*\.Capacity\."):
        FakeRunner(capacity=3)  # type: ignore[arg-type]


def test_callable_objects_are_functions(run: Any) -> None:
    class Counter:
        def __call__(self) -> int:
            return 5

    for function in (Counter(), functools.partial(lambda value: value, value=5), Mock(return_value=5)):
        assert run(count, FakeRunner(count=function)).output == 5
