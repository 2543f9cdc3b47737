"""The fixture `standpipe`: components, pipelines, fakes, and what tests assert about runs."""

from __future__ import annotations

import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, kubernetes, local
from standpipe.errors import ArgumentError, AuthoringTypeError, NoSuchTask, TaskFailed
from standpipe.testing import NetworkBlocked, PipelineTester


@dsl.component
def add(a: int, b: int) -> int:
    print("adding", a, b)
    return a + b


@dsl.component
def train(rate: float, model: dsl.Output[dsl.Model]) -> float:
    with open(model.path, "w") as file:
        file.write(f"weights of {rate}")
    model.metadata["rate"] = rate
    print("training at", rate)
    if rate > 5:
        raise ValueError("too fast")
    return rate


@dsl.component
def publish(model: dsl.Input[dsl.Model]) -> str:
    with open(model.path) as file:
        return file.read()


@dsl.component
def save(data: dsl.Output[dsl.Dataset]) -> None:
    pass


@dsl.component
def returns_text() -> int:
    return "many"  # type: ignore[return-value]


@dsl.component
def note(text: str) -> None:
    print(text)


@dsl.container_component
def convert(text: str, result: dsl.OutputPath(str)) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    return dsl.ContainerSpec(image="converter", command=["convert", text, result])


@dsl.pipeline
def release(model: dsl.Input[dsl.Model]) -> str:
    return publish(model=model).output


@dsl.pipeline
def training(rate: float = 0.1) -> float:
    trained = train(rate=rate)
    with dsl.If(trained.outputs["Output"] > 0.5):
        publish(model=trained.outputs["model"])
        release(model=trained.outputs["model"])
    return trained.outputs["Output"]


@dsl.pipeline
def notes(fakes: str = "a") -> None:
    first = note(text=fakes)
    with dsl.ParallelFor(["b", "c"]) as text:
        note(text=text).after(first)


@dsl.pipeline
def mixed(text: str) -> str:
    converted = convert(text=text)
    note(text=converted.outputs["result"])
    kubernetes.add_init_container(converted, "wait", "busybox", command=["true"])
    return converted.outputs["result"]


# --- one component ----------------------------------------------------------------------------------------------------


def test_a_component_runs_in_a_line(standpipe: PipelineTester) -> None:
    assert standpipe.call(add, a=1, b=2) == 3
    assert standpipe.call(add, {"a": 2}, b=2) == 4
    assert standpipe.call(note, text="x") is None


def test_types_of_inputs_and_outputs_are_checked(standpipe: PipelineTester) -> None:
    with pytest.raises(AuthoringTypeError, match="'a'"):
        standpipe.call(add, a="one", b=2)
    with pytest.raises(TaskFailed, match="type str for its output 'Output': expected int"):
        standpipe.call(returns_text)


def test_output_artifacts_are_readable(standpipe: PipelineTester) -> None:
    outputs = standpipe.call(train, rate=0.5)
    assert outputs["Output"] == 0.5
    assert Path(outputs["model"].path).read_text() == "weights of 0.5"
    assert outputs["model"].metadata == {"rate": 0.5}


def test_an_artifact_is_made_for_a_component(standpipe: PipelineTester) -> None:
    model = standpipe.artifact(dsl.Model, "weights", metadata={"rate": 2})
    assert model.metadata == {"rate": 2}
    assert standpipe.call(publish, model=model) == "weights"
    assert standpipe.call(publish, model=standpipe.artifact(dsl.Model, b"bytes", name="m")) == "bytes"


def test_calls_in_the_test_and_in_its_code_have_the_options_of_the_fixture(standpipe: PipelineTester) -> None:
    assert add(a=1, b=1).output == 2
    local.run(add, {"a": 1, "b": 1})
    assert len(standpipe.runs) == 2
    assert {run.folder.parent for run in standpipe.runs} == {standpipe.root}


# --- pipelines --------------------------------------------------------------------------------------------------------


def test_a_run_has_its_order_its_skips_and_its_values(standpipe: PipelineTester) -> None:
    run = standpipe.run(training, rate=0.2)
    assert run.order == ["train"]
    assert run.skipped == ["publish", "publish"]
    assert run.output == 0.2
    assert run.task("train").inputs["rate"] == 0.2
    assert run.status.value == "SUCCEEDED"

    run = standpipe.run(training, rate=0.7)
    assert run.order == ["train", "publish", "publish"]
    assert run.skipped == []
    with pytest.raises(NoSuchTask, match="The closest are train"):
        run.task("trian")


def test_the_order_has_each_iteration(standpipe: PipelineTester) -> None:
    run = standpipe.run(notes)
    assert run.order == ["note", "note-2", "note-2"]
    with pytest.raises(ArgumentError, match="does not have exactly one output"):
        _ = run.output


def test_skips_in_a_loop_are_those_of_each_iteration(standpipe: PipelineTester) -> None:
    @dsl.pipeline
    def large_numbers() -> None:
        with dsl.ParallelFor([1, 5, 9]) as number, dsl.If(number > 3):
            add(a=number, b=1)

    run = standpipe.run(large_numbers)
    assert run.order == ["add", "add"]
    assert run.skipped == ["add"]


def test_runs_in_threads_are_told_apart(standpipe: PipelineTester) -> None:
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda rate: standpipe.run(training, rate=rate), (0.1, 0.2, 0.3)))
    assert [run.output for run in runs] == [0.1, 0.2, 0.3]


def test_a_pipeline_has_a_display_name_and_a_task_that_runs_another_one(standpipe: PipelineTester) -> None:
    @dsl.component
    def outer() -> int:
        from tests.testing.test_tester import add

        return int(add(a=1, b=2).output)

    @dsl.pipeline(display_name="Outer and inner")
    def nested() -> int:
        return outer().output

    assert standpipe.run(nested).output == 3
    assert [run.pipeline for run in standpipe.runs] == ["add", "Outer and inner"]


def test_an_input_that_is_called_as_an_argument_is_passed_in_the_dict(standpipe: PipelineTester) -> None:
    assert standpipe.run(notes, {"fakes": "z"}).task("note").inputs["text"] == "z"
    with pytest.raises(ArgumentError, match="expected a dict of inputs"):
        standpipe.run(notes, "z")  # type: ignore[arg-type]


def test_a_failed_run_raises_or_is_returned(standpipe: PipelineTester) -> None:
    with pytest.raises(TaskFailed, match="too fast"):
        standpipe.run(training, rate=9)
    run = standpipe.run(training, rate=9, options={"raise_on_error": False})
    assert run.status.value == "FAILED"
    (failure,) = run.failures
    assert failure.endswith("Task 'train' failed: ValueError: too fast")


def test_nothing_is_cached_and_options_are_those_of_a_run(standpipe: PipelineTester) -> None:
    calls: list[float] = []
    for _ in range(2):
        standpipe.run(training, rate=0.1, fakes={"train": lambda rate: calls.append(rate) or 0.1})
    assert calls == [0.1, 0.1]
    with pytest.raises(ArgumentError, match="did you mean 'faults'"):
        standpipe.run(training, options={"fault": []})
    with pytest.raises(ArgumentError, match="Invalid runner=3"):
        standpipe.run(training, options={"runner": 3}, fakes={"train": 1.0})


# --- fakes ------------------------------------------------------------------------------------------------------------


def test_fakes_are_values_and_functions_and_other_tasks_run(standpipe: PipelineTester) -> None:
    run = standpipe.run(training, fakes={"train": {"Output": 0.9, "model": "fake weights"}})
    assert run.task("condition-1/publish").outputs["Output"] == "fake weights"  # a real task read it
    assert run.unused_fakes == ()

    models: list[str] = []
    run = standpipe.run(training, fakes={"train": 0.9, "publish": lambda model: models.append(model.uri) or "done"})
    assert len(models) == 2
    assert run.task("condition-1/publish").outputs["Output"] == "done"


def test_a_fake_raises_an_exception(standpipe: PipelineTester) -> None:
    with pytest.raises(TaskFailed, match="ConnectionError: registry is down"):
        standpipe.run(training, rate=0.7, fakes={"publish": ConnectionError("registry is down")})


def test_the_value_of_the_only_output_needs_no_name(standpipe: PipelineTester) -> None:
    @dsl.pipeline
    def saving() -> None:
        save()

    run = standpipe.run(saving, fakes={"save": "a,b\n1,2\n"})
    artifact: Any = run.task("save").outputs["data"]
    assert artifact.path.read_text() == "a,b\n1,2\n"


def test_a_fake_runs_in_the_thread_of_the_test(standpipe: PipelineTester) -> None:
    threads: list[threading.Thread] = []
    standpipe.run(training, fakes={"train": lambda: threads.append(threading.current_thread()) or 0.1})
    assert threads == [threading.current_thread()]


def test_a_fake_without_a_task_is_an_error_with_a_suggestion(standpipe: PipelineTester) -> None:
    expected = r"has no task for the fake 'trian'. Did you mean 'train'\? Its tasks: 'condition-1/publish', "
    with pytest.raises(ArgumentError, match=expected):
        standpipe.run(training, fakes={"trian": 1.0})
    with pytest.raises(ArgumentError, match="expected a dict"):
        standpipe.run(training, fakes=["train"])  # type: ignore[arg-type]
    assert standpipe.runs == []


def test_a_fake_that_is_not_called_is_reported(standpipe: PipelineTester, caplog: pytest.LogCaptureFixture) -> None:
    assert standpipe.run(training, rate=0.1, fakes={"publish": "done"}).unused_fakes == ("publish",)
    assert "not called: the fakes 'publish'" in caplog.messages


def test_what_the_runner_cannot_run_is_not_in_the_way_of_its_fake(standpipe: PipelineTester) -> None:
    run = standpipe.run(mixed, text="x", fakes={"convert": lambda text: text.upper()})
    assert run.output == "X"
    with pytest.raises(Exception, match="init containers"):
        standpipe.run(mixed, text="x", fakes={"note": None})


def test_a_fake_of_one_iteration_leaves_the_others(standpipe: PipelineTester, caplog: pytest.LogCaptureFixture) -> None:
    standpipe.run(notes, fakes={"for-loop-2/1/note-2": None})
    assert [record.getMessage() for record in caplog.records] == ["note: a", "for-loop-2/0/note-2: b"]


# --- logs and the network ---------------------------------------------------------------------------------------------


def test_what_tasks_print_is_in_the_log_of_the_test(
    standpipe: PipelineTester, caplog: pytest.LogCaptureFixture
) -> None:
    standpipe.call(add, a=1, b=2)
    assert caplog.record_tuples == [("standpipe.tasks", logging.INFO, "add: adding 1 2")]


@pytest.mark.usefixtures("standpipe")
@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("2001:db8::1", 80, 0, 0)])
def test_the_network_is_blocked(address: tuple[Any, ...]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as one, pytest.raises(NetworkBlocked, match="network=True"):
        one.connect(address)
    with socket.socket(family, socket.SOCK_DGRAM) as one, pytest.raises(NetworkBlocked):
        one.sendto(b"", address)
    with pytest.raises(NetworkBlocked, match=r"connects to host\.example"):
        socket.create_connection(("host.example", 80))


@pytest.mark.usefixtures("standpipe")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_not_blocked(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    assert socket.getaddrinfo(host, 80)


def test_the_network_is_not_blocked_after_the_test() -> None:
    assert "connect" not in vars(socket.socket)
    assert socket.getaddrinfo.__module__ == "socket"


def test_a_component_that_uses_the_network_fails(standpipe: PipelineTester) -> None:
    @dsl.component
    def fetch() -> None:
        import urllib.request

        urllib.request.urlopen("http://host.example")

    with pytest.raises(TaskFailed, match="NetworkBlocked: The network is blocked in this test"):
        standpipe.call(fetch)
