"""Runs in a real MLflow server, and with its own client in tasks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.errors import TaskFailed
from standpipe.trackers.mlflow import tracker
from tests.trackers import mlflow_server

pytestmark = pytest.mark.slow

CLIENT = ["mlflow-skinny==3.17.2"]  # the version of the server that the Makefile installs


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    python = os.environ.get("STANDPIPE_TRACKERS_PYTHON")
    if not python:
        pytest.skip("STANDPIPE_TRACKERS_PYTHON is not set: `make test-slow` installs MLflow")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [os.path.abspath(python), "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/health", process)
        assert post(url, "runs/search", {"experiment_ids": ["0"]})[0] == 200  # the first answer takes seconds
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server has ended"
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server does not answer")


def post(server: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the status of an answer, and the answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server}/api/2.0/mlflow/{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def runs_of(server: str, run: str) -> dict[str, dict[str, Any]]:
    """Return what MLflow has of a run, by the names of the runs there."""
    _, answer = post(server, "runs/search", {"experiment_ids": ["0"], "filter": f"tags.`standpipe.run` = '{run}'"})
    found = {}
    for each in answer["runs"]:
        info, data = each["info"], each["data"]
        kinds = {kind: {e["key"]: e["value"] for e in data.get(kind, ())} for kind in ("params", "metrics", "tags")}
        found[info["run_name"]] = {"id": info["run_id"], "status": info["status"], **kinds}
    assert len(found) == len(answer["runs"])
    return found


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than runs of users do, as a machine that runs tests is busy."""
    for name in ("_END_PATIENCE", "_ANSWER_PATIENCE"):
        monkeypatch.setattr(tracker, name, 60)


@dsl.component(packages_to_install=CLIENT)
def train(rate: float, metrics: dsl.Output[dsl.Metrics]) -> float:
    import mlflow  # type: ignore[import-not-found]

    for step in range(3):
        mlflow.log_metric("loss", rate / (step + 1), step=step)
    mlflow.log_param("optimizer", "adam")
    metrics.log_metric("accuracy", 1 - rate)
    return rate


@dsl.component
def choose(rates: list, fail: bool) -> float:
    import os

    if fail and "FIXED" not in os.environ:
        raise ValueError("boom")
    return min(rates)


@dsl.pipeline
def search(fail: bool) -> float:
    with dsl.ParallelFor([0.1, 0.2]) as rate:
        trained = train(rate=rate)
    return choose(rates=dsl.Collected(trained.outputs["Output"]), fail=fail).output


@dsl.pipeline
def whole(fail: bool = False) -> float:
    return search(fail=fail).output


def test_loops_metrics_and_nested_pipelines_and_what_tasks_log(server: str, tmp_path: Path) -> None:
    local.init(local.SubprocessRunner(), tmp_path, mlflow=server)
    whole()

    (run,) = local.runs()
    runs = runs_of(server, run.id)
    assert runs.keys() == {run.id, "search", "for-loop-2", "0/train", "1/train", "choose"}
    assert {each["status"] for each in runs.values()} == {"FINISHED"}
    trained = runs["1/train"]
    assert trained["params"] == {"rate": "0.2", "output.Output": "0.2", "optimizer": "adam"}
    assert trained["metrics"] == {"accuracy": 0.8, "loss": pytest.approx(0.2 / 3)}
    assert trained["tags"]["mlflow.parentRunId"] == runs["for-loop-2"]["id"]
    assert runs["for-loop-2"]["tags"]["mlflow.parentRunId"] == runs["search"]["id"]


def test_a_failure_and_its_resumption(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local.init(local.SubprocessRunner(), tmp_path, mlflow=server)
    with pytest.raises(TaskFailed):
        whole(fail=True)
    (run,) = local.runs()
    failed = runs_of(server, run.id)
    monkeypatch.setenv("FIXED", "1")
    local.resume(run, pipeline=whole)
    finished = runs_of(server, run.id)

    assert {name for name, each in failed.items() if each["status"] == "FAILED"} == {run.id, "search", "choose"}
    assert "boom" in failed["choose"]["tags"]["standpipe.error"]
    assert {name: each["id"] for name, each in failed.items()} == {name: each["id"] for name, each in finished.items()}
    assert {each["status"] for each in finished.values()} == {"FINISHED"}
    assert finished[run.id]["params"]["output.Output"] == "0.1"


def test_the_client_in_a_task_does_without_a_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    local.init(local.SubprocessRunner(), tmp_path, mlflow=url)

    assert whole().output == 0.1


def test_names_and_sizes_are_those_that_the_server_takes(server: str, tmp_path: Path) -> None:
    @dsl.component
    def many(metrics: dsl.Output[dsl.Metrics], text: str, more: dict) -> None:
        metrics.metadata.update({f"/löss ({number})//../x": number for number in range(1100)})
        metrics.log_metric("x" * 300, 1e308)

    local.init(local.InProcessRunner(), tmp_path, mlflow=server)
    many(text="\N{SNOWMAN}" * 10_000, more={"a": [1, None, "\0\n\N{SNOWMAN}"]})

    run = runs_of(server, local.runs()[0].id)["many"]
    assert run["status"] == "FINISHED"
    assert len(run["metrics"]) == 1101
    assert len(run["params"]["text"]) > 5990


REJECTED: list[tuple[str, dict[str, Any]]] = [
    ("runs/create", {"experiment_id": "999", "run_name": "a", "start_time": 1, "tags": []}),
    ("runs/update", {"run_id": "0" * 32, "status": "FINISHED"}),
    ("runs/log-batch", {"run_id": "RUN", "params": [{"key": "a/../b", "value": "1"}]}),
    ("runs/log-batch", {"run_id": "RUN", "params": [{"key": "a(b)", "value": "1"}]}),
    ("runs/log-batch", {"run_id": "RUN", "params": [{"key": "known", "value": "2"}]}),
    ("runs/log-batch", {"run_id": "RUN", "params": [{"key": f"k{n}", "value": "1"} for n in range(101)]}),
    ("runs/log-batch", {"run_id": "RUN", "params": [{"key": "k" * 251, "value": "1"}]}),
    (
        "runs/log-batch",
        {"run_id": "RUN", "metrics": [{"key": f"k{n}", "value": 1, "timestamp": 1, "step": 0} for n in range(1001)]},
    ),
]


@pytest.mark.parametrize(("path", "body"), REJECTED, ids=range(len(REJECTED)))
def test_the_server_of_the_fast_tests_rejects_what_the_real_one_rejects(
    server: str, path: str, body: dict[str, Any]
) -> None:
    with mlflow_server.serve() as fake:
        for url in (server, fake.url):
            new = {"experiment_id": "0", "run_name": "a", "start_time": 1, "tags": []}
            run = post(url, "runs/create", new)[1]["run"]["info"]["run_id"]
            known = {"run_id": run, "params": [{"key": "known", "value": "1"}]}
            assert post(url, "runs/log-batch", known) == (200, {})
            status, answer = post(url, path, {**body, "run_id": run} if body.get("run_id") == "RUN" else body)
            assert status in (400, 404), (url, answer)
