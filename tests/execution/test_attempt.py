"""Attempts: requests to the runner, outcomes and reports."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.errors import EnvironmentBuildError, InvalidPackages, RunnerError, StandpipeError, UnsupportedError
from standpipe.execution.attempt import AttemptExecutor
from standpipe.model.attempts import Mount, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, AttemptReport, StartAttempt
from standpipe.model.plan import Command, Component, Container, Plan, TaskConfigPassthrough
from standpipe.model.ports import Log, Runner
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.resources import UNBOUNDED, Capacity
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType, ParameterInput, ParameterType
from standpipe.model.values import ArtifactValue, Value
from tests.plans import RUN, leaf


class Recorder:
    """A runner that starts nothing and keeps its requests."""

    def __init__(self) -> None:
        self.requests: list[TaskRequest] = []

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        self.requests.append(request)
        return Outcome(exit_code=0)

    def fingerprint(self, request: TaskRequest) -> str:
        return "recorder"

    def capacity(self) -> Capacity:
        return UNBOUNDED

    def close(self) -> None:
        """Do nothing."""


class Writer(Recorder):
    """A runner whose tasks write a file as each output and a line in the log, with a given outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        for output in request.executor_input["outputs"]["artifacts"].values():
            Path(output["artifacts"][0]["uri"]).write_text("content")
        log.write(b"one\ntwo\n")
        return self.outcome


def execute(
    plan: Plan, run: RunInfo, tmp_path: Path, runner: Runner, command: StartAttempt, payloads: Path | None = None
) -> AttemptEnded:
    executor = AttemptExecutor(
        plan=plan,
        run=run,
        run_folder=tmp_path / "run",
        workspace=None,
        runner=runner,
        artifacts=LocalArtifactStore([payloads or tmp_path]),
        show_line=lambda task, line: None,
    )
    return executor.execute(command, Cancellation())


def ended(tmp_path: Path, component: Component, runner: Recorder, payloads: Path | None = None) -> AttemptEnded:
    plan = Plan("test", component, {"leaf": component}, {"exec": Container("image", Command())})
    run = RUN._replace(pipeline_root=str(tmp_path))
    return execute(plan, run, tmp_path, runner, StartAttempt(TaskRef((("task", None),)), "leaf", {}), payloads)


@pytest.mark.parametrize("code", [0, 3])
def test_every_attempt_reports_its_duration_and_resources(tmp_path: Path, code: int) -> None:
    outcome = Outcome(exit_code=code, cpu_seconds=1.5, peak_memory=2**20)
    report = ended(tmp_path, leaf({}, {}), Writer(outcome)).report
    assert report is not None
    assert report.seconds > 0
    assert replace(report, seconds=0) == AttemptReport(0, 1.5, 2**20, log_bytes=8, log_lines=2)


def test_an_attempt_that_never_started_has_a_duration(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    end = ended(tmp_path, leaf({}, {}), Recorder())
    assert end.failure is not None
    assert end.report is not None
    assert replace(end.report, seconds=0) == AttemptReport(0)


def test_outputs_get_checksums_even_if_nothing_is_cached(tmp_path: Path) -> None:
    making = leaf({}, {"data": ArtifactOutput(ArtifactType("system.Dataset"))})
    data = ended(tmp_path, making, Writer(Outcome(exit_code=0))).outputs["data"]
    assert isinstance(data, ArtifactValue)
    assert data.checksum is not None
    assert (data.checksum.digest, data.checksum.size) == (f"sha256:{hashlib.sha256(b'content').hexdigest()}", 7)


def test_payloads_outside_of_the_pipeline_root_are_read_for_the_cache_only(tmp_path: Path) -> None:
    making = leaf({}, {"data": ArtifactOutput(ArtifactType("system.Dataset"))})
    data = ended(tmp_path, making, Writer(Outcome(exit_code=0)), payloads=tmp_path / "root").outputs["data"]
    assert isinstance(data, ArtifactValue)
    assert data.checksum is None


def requested(
    tmp_path: Path, component: Component, container: Container, attempt: int = 0, **inputs: Value
) -> TaskRequest:
    """Return the request to the runner for an attempt with these inputs."""
    recorder = Recorder()
    plan = Plan("test", component, {"leaf": component}, {"exec": container})
    command = StartAttempt(TaskRef((("task", None),)), "leaf", inputs, attempt)
    ended = execute(plan, RUN._replace(pipeline_root=str(tmp_path)), tmp_path, recorder, command)
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


def test_a_request_lists_the_files_of_artifacts(tmp_path: Path) -> None:
    kind = ArtifactType("system.Dataset")
    request = requested(
        tmp_path,
        leaf({name: ArtifactInput(kind, is_list=name == "c") for name in "abc"}, {}),
        Container("image", Command()),
        a=ArtifactValue("a", kind, "/data/a"),
        b=ArtifactValue("b", kind, "https://host/b", custom_path="/workspace/b"),
        c=[ArtifactValue("c", kind, uri) for uri in ("/data/a", "gs://bucket/c", f"{tmp_path}/run/c")],
    )
    paths = ("/data/a", "/workspace/b", str(tmp_path / "run/c"))
    assert request.input_mounts == tuple(Mount(Path(path), path, read_only=True) for path in paths)


def test_passed_through_settings_are_in_the_executor_input_only(tmp_path: Path) -> None:
    component = leaf({"config": ParameterInput(ParameterType.TASK_CONFIG, optional=True)}, {})
    container = Container("image", Command(), {"A": "a"})
    passing = replace(component, task_config_passthroughs=(TaskConfigPassthrough("ENV"),))
    request = requested(tmp_path, passing, container, config=None)
    given = request.executor_input["inputs"]["parameterValues"]["config"]
    assert given == {"resources": {}, "env": [{"name": "A", "value": "a"}]}
    assert request.env == {}
    assert requested(tmp_path, component, container, 1, config=None).env == {"A": "a"}


class Defective(Recorder):
    """A runner that fails in a way that nobody has thought of."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        raise self.error


def test_a_defect_of_standpipe_fails_the_task_and_not_the_run(tmp_path: Path) -> None:
    end = ended(tmp_path, leaf(), Defective(AttributeError("userbase")))

    assert end.failure is not None
    assert end.failure.message == "Standpipe itself failed: AttributeError: userbase"
    assert end.failure.detail.startswith("Traceback (most recent call last):")
    assert "please report it" in end.failure.hint
    assert not end.is_final


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (UnsupportedError("not here"), True),
        (InvalidPackages("unknown option"), True),
        (EnvironmentBuildError("no network"), False),
        (RunnerError("no engine"), False),
    ],
)
def test_what_would_fail_again_is_final(tmp_path: Path, error: StandpipeError, is_final: bool) -> None:
    assert ended(tmp_path, leaf(), Defective(error)).is_final is is_final
