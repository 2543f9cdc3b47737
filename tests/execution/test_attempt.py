"""What a runner is asked for, and what is told of an attempt that failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.plans import RUN, leaf

from standpipe.execution.attempt import Attempts, failure_of, shortened
from standpipe.execution.logs import TaskLog
from standpipe.model.events import StartAttempt
from standpipe.model.plan import Command, Component, Container, Plan, TaskConfigPassthrough
from standpipe.model.ports import Cancel, Log, Outcome, TaskRequest
from standpipe.model.refs import TaskRef
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType, ParameterInput, ParameterType
from standpipe.model.values import ArtifactValue, Value


@pytest.fixture
def log(tmp_path: Path) -> TaskLog:
    with TaskLog(tmp_path, lambda line: None) as log:
        log.write(b"first\nlast words")
    return log


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Outcome(exit_code=3), "it exited with code 3"),
        (Outcome(signal=9), "it was killed by signal 9 (SIGKILL)"),
        (Outcome(signal=99), "it was killed by signal 99"),
        (Outcome(signal=9, out_of_memory=True), "it ran out of memory"),
        (Outcome(problem="no engine"), "no engine"),
    ],
)
def test_the_end_of_the_log_stands_where_no_traceback_does(log: TaskLog, outcome: Outcome, message: str) -> None:
    failure = failure_of(outcome, log)
    assert failure.message == message
    assert failure.detail == "It printed at last:\nfirst\nlast words"
    assert failure.hint == f"Its log is {log.path}."


def test_an_exception_is_told_in_one_line_and_with_its_traceback(log: TaskLog) -> None:
    detail = "Traceback (most recent call last):\n  File …\nValueError: several\nlines"
    failure = failure_of(Outcome(exit_code=1, detail=detail, cause="ValueError: several"), log)
    assert (failure.message, failure.detail) == ("ValueError: several", detail)


def test_nobody_has_to_read_megabytes(log: TaskLog) -> None:
    failure = failure_of(Outcome(exit_code=1, detail="x" * 5_000_000, cause="y" * 5_000_000), log)
    assert len(failure.message) < 3_000
    assert len(failure.detail) < 60_000
    assert shortened("a" * 50 + "b" * 50, 20) == "aaaaaaaaaa [… 80 characters …] bbbbbbbbbb"
    assert shortened("short", 20) == "short"


class Recorder:
    """A runner that starts nothing, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[TaskRequest] = []

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancel) -> Outcome:
        self.requests.append(request)
        return Outcome(exit_code=0)

    def close(self) -> None:
        """Has nothing to close."""


def requested(
    tmp_path: Path, component: Component, container: Container, attempt: int = 0, **inputs: Value
) -> TaskRequest:
    """What the runner is asked for by an attempt at a task with these inputs."""
    recorder = Recorder()
    plan = Plan("test", component, {"leaf": component}, {"exec": container})
    attempts = Attempts(plan, RUN, tmp_path / "run", None, recorder, lambda task, line: None)
    ended = attempts(StartAttempt(TaskRef((("task", None),)), "leaf", inputs, attempt), Cancel())
    assert ended.failure is None
    return recorder.requests[0]


def test_each_attempt_has_a_folder_and_outputs_of_its_own(tmp_path: Path) -> None:
    making = leaf({}, {"data": ArtifactOutput(ArtifactType("system.Dataset"))})
    first, third = (requested(tmp_path, making, Container("image", Command()), attempt) for attempt in (0, 2))
    assert (first.attempt, third.attempt) == (0, 2)
    assert (first.folder, third.folder) == (tmp_path / "run/task", tmp_path / "run/task@2")
    for request in (first, third):
        (data,) = request.executor_input["outputs"]["artifacts"]["data"]["artifacts"]
        assert Path(data["uri"]).parent == request.folder


def test_the_files_of_artifacts_are_told_wherever_they_are_on_this_machine(tmp_path: Path) -> None:
    kind = ArtifactType("system.Dataset")
    request = requested(
        tmp_path,
        leaf({name: ArtifactInput(kind, is_list=name == "c") for name in "abc"}, {}),
        Container("image", Command()),
        a=ArtifactValue("a", kind, "/data/a"),
        b=ArtifactValue("b", kind, "https://host/b", custom_path="/workspace/b"),
        c=[ArtifactValue("c", kind, uri) for uri in ("/data/a", "gs://bucket/c", "/root-of-all/run/c")],
    )
    assert request.reads == (Path("/data/a"), Path("/workspace/b"))


def test_what_is_passed_through_to_the_code_is_in_its_input_and_not_in_its_environment(tmp_path: Path) -> None:
    component = leaf({"config": ParameterInput(ParameterType.TASK_CONFIG, optional=True)}, {})
    container = Container("image", Command(), {"A": "a"})
    passing = replace(component, task_config_passthroughs=(TaskConfigPassthrough("ENV"),))
    request = requested(tmp_path, passing, container, config=None)
    given = request.executor_input["inputs"]["parameterValues"]["config"]
    assert given == {"resources": {}, "env": [{"name": "A", "value": "a"}]}
    assert request.env == {}
    assert requested(tmp_path, component, container, 1, config=None).env == {"A": "a"}
