"""Runs whose attempts move their payloads themselves, on a runner that does so on this machine, without Ray."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.artifact_stores import clients
from standpipe.artifact_stores.buckets import Bucket
from standpipe.artifact_stores.providers import ENVIRONMENT, Access
from standpipe.dsl import Dataset, Input, Output
from standpipe.errors import StandpipeError, StorageError, TaskFailed
from standpipe.model.attempts import Mount, Outcome, PodSettings, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log, RemoteRunner, Runner
from standpipe.model.resources import Capacity
from standpipe.model.values import ArtifactValue
from standpipe.runners.api import LocalRunner
from standpipe.runners.fake import FakeRunner
from standpipe.runners.partly_fake import PartlyFakeRunner
from standpipe.runners.ray.transfers import Result, run_with_transfers
from tests.artifact_stores.servers import Memory, memory
from tests.runners.transport.requests import DATASET, build

__all__ = ["memory"]


class FarTaskRunner:
    """Runs attempts as a node does, whose disk is that of this machine."""

    is_remote = True

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.requests: list[TaskRequest] = []
        self.results: list[Result] = []

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        def run(request: TaskRequest) -> Outcome:
            return self._runner.run(request, log=log, cancel=cancel)

        self.requests.append(request)
        self.results.append(run_with_transfers(request, "10.0.0.7", run, cancel))
        return self.results[-1].outcome

    def fingerprint(self, request: TaskRequest) -> str:
        return self._runner.fingerprint(request)

    def capacity(self) -> Capacity:
        return self._runner.capacity()

    def close(self) -> None:
        """Leave the other runner open."""


class FarRunner(LocalRunner):
    def open(self) -> Runner:
        return FarTaskRunner(local.SubprocessRunner(use_venv=False).task_runner)

    def workspace_path(self, workspace: Path) -> str:
        return str(workspace)


@pytest.fixture
def runner() -> FarRunner:
    return FarRunner()


@pytest.fixture
def options(tmp_path: Path, memory: Memory, runner: FarRunner) -> Iterator[dict[str, Any]]:
    yield {"runner": runner, "pipeline_root": "s3://data/runs", "state_root": tmp_path / "state", "quiet": True}
    runner.task_runner.close()


@dsl.component
def write(data: Output[Dataset]) -> None:
    with open(data.path, "w") as file:
        file.write("content")


@dsl.component
def read(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return file.read()


@dsl.pipeline
def passing() -> str:
    return read(data=write().outputs["data"]).output


def test_a_disk_that_the_program_shares_gets_no_files_a_second_time(
    options: dict[str, Any], runner: FarRunner, memory: Memory, tmp_path: Path
) -> None:
    assert local.run(passing, **options).output == "content"
    task_runner = runner.task_runner
    assert isinstance(task_runner, FarTaskRunner)
    assert [len(result.outcome.stored) for result in task_runner.results] == [1, 0]
    assert [result.files for result in task_runner.results] == [b"", b""]
    (run,) = local.runs(tmp_path / "state")
    assert memory.keys("s3://data") == [f"runs/{run.id}/write/data"]
    assert (run.folder / "read").is_dir(), "the node removes only a folder that it has made"


def test_the_machine_of_an_attempt_keeps_as_many_bytes_as_the_option_says(
    options: dict[str, Any], runner: FarRunner
) -> None:
    local.run(passing, payload_cache_size="1Gi", **options)
    task_runner = runner.task_runner
    assert isinstance(task_runner, FarTaskRunner)
    assert [each.transfers.cache_size for each in task_runner.requests if each.transfers] == [1024**3, 1024**3]


def test_faults_are_injected_into_attempts_that_move_payloads(options: dict[str, Any], runner: FarRunner) -> None:
    faults = [local.Delay("read", seconds=0.01)]
    assert local.run(passing, faults=faults, **options).output == "content"
    task_runner = runner.task_runner
    assert isinstance(task_runner, FarTaskRunner)
    assert len(task_runner.results[0].outcome.stored) == 1


def test_fakes_read_and_write_payloads_beside_such_attempts(options: dict[str, Any], runner: FarRunner) -> None:
    def read_there(data: Any) -> str:
        return Path(data.path).read_text().upper()

    options["runner"] = PartlyFakeRunner(FakeRunner({"read": read_there}), runner)
    assert local.run(passing, **options).output == "CONTENT"

    def write_there(data: Any) -> None:
        Path(data.path).write_text("of a fake")

    options["runner"] = PartlyFakeRunner(FakeRunner({"write": write_there}), runner)
    assert local.run(passing, **options).output == "of a fake"


def test_fakes_beside_such_attempts_use_the_credentials_of_the_run(
    options: dict[str, Any], runner: FarRunner, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[str, str] | None] = []

    def connect(bucket: str, access: Access = ENVIRONMENT) -> Bucket:
        used.append(access.keys)
        return memory.connect(bucket, access)

    def read_there(data: Any) -> str:
        return Path(data.path).read_text()

    memory.write("s3://data/before", b"content")
    monkeypatch.setattr(clients, "connect", connect)
    providers = "s3: {default: {credentials: {secretRef: {secretName: s, accessKeyKey: id, secretKeyKey: key}}}}"
    objects = {
        "configmaps": {"kfp-launcher": {"providers": providers}},
        "secrets": {"s": {"id": "AKIA", "key": "of-the-secret"}},
    }
    options["runner"] = PartlyFakeRunner(FakeRunner({"read": read_there}), runner)

    arguments = {"data": Dataset(uri="s3://data/before")}
    assert local.run(read, arguments, kubernetes=objects, **options).output == "content"
    assert set(used) == {("AKIA", "of-the-secret")}


@pytest.mark.parametrize("is_remote", [False, True])
def test_a_runner_around_another_one_moves_payloads_if_that_does(runner: FarRunner, is_remote: bool) -> None:
    real = runner if is_remote else local.SubprocessRunner(use_venv=False)
    wrapper = PartlyFakeRunner(FakeRunner({}), real).task_runner
    assert isinstance(wrapper, RemoteRunner)
    assert wrapper.is_remote is is_remote


def request_of(root: Path, **fields: Any) -> TaskRequest:
    return replace(build(root), **fields)


def test_a_scratch_volume_exists_during_the_task(tmp_path: Path, memory: Memory) -> None:
    scratch = tmp_path / "of-the-program" / "scratch"
    pod = PodSettings(mounts=(Mount(scratch, "/scratch", temporary=True),))
    seen: list[bool] = []

    def run(request: TaskRequest) -> Outcome:
        seen.append(scratch.is_dir())
        return Outcome(exit_code=0)

    run_with_transfers(request_of(tmp_path / "state", pod=pod), "10.0.0.7", run, Cancellation())
    assert seen == [True]
    assert not scratch.exists()


def test_volumes_with_content_of_the_program_are_refused(tmp_path: Path, memory: Memory) -> None:
    claim, secret = tmp_path / "state" / "pvcs" / "claim", tmp_path / "secret"
    mounts = (Mount(claim, "/data"), Mount(secret, "/secret", read_only=True, temporary=True))

    with pytest.raises(
        StandpipeError, match=r"/pvcs/claim, .*/secret\. The node 10\.0\.0\.7 does not see them\. Set state_root"
    ):
        run_with_transfers(
            request_of(tmp_path / "state", pod=PodSettings(mounts=mounts)), "10.0.0.7", never, Cancellation()
        )


def never(request: TaskRequest) -> Outcome:
    raise AssertionError("it must not be run")


def test_a_store_that_fails_ends_the_attempt_and_names_the_node(
    options: dict[str, Any], memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise StorageError("Cannot use s3://data/runs: it is closed.")

    monkeypatch.setattr("standpipe.artifact_stores.uploads.upload", fail)
    with pytest.raises(TaskFailed, match=r"Cannot use s3://data/runs: it is closed\. This was on the node 10\.0"):
        local.run(passing, **options)


def test_an_input_that_is_gone_is_an_error_before_the_task_runs(tmp_path: Path, memory: Memory) -> None:
    memory.write("s3://other/data", b"content")
    request = build(tmp_path / "state", ArtifactValue("data", DATASET, "s3://other/data"))
    memory.delete("s3://other/data")
    with pytest.raises(StorageError, match=r"nothing is at s3://other/data\. This was on the node 10\.0\.0\.7\."):
        run_with_transfers(request, "10.0.0.7", never, Cancellation())
