"""Tasks in containers log to a server of MLflow on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import dsl, local
from standpipe.model.attempts import InitContainer, PodSettings
from tests.trackers.mlflow_server import FakeMlflow, serve

from .docker_engine import IMAGE, Bench

pytestmark = pytest.mark.slow


@dsl.component(base_image=IMAGE)
def report() -> str:
    import json
    import os
    import urllib.request

    uri = os.environ["MLFLOW_TRACKING_URI"]
    metric = {"key": "loss", "value": 0.5, "timestamp": 1, "step": 0}
    body = {"run_id": os.environ["MLFLOW_RUN_ID"], "metrics": [metric]}
    urllib.request.urlopen(f"{uri}/api/2.0/mlflow/runs/log-batch", json.dumps(body).encode(), timeout=20).close()
    return uri


def check(server: FakeMlflow, root: Path, runner: local.LocalRunner, host: str) -> None:
    port = server.url.rpartition(":")[2]
    local.init(runner, root, mlflow=f"http://localhost:{port}", quiet=True)

    assert report().output == f"http://{host}:{port}"
    run = server.by_name["report"]
    assert (run["metrics"], run["status"]) == ({"loss": 0.5}, "FINISHED")


def test_a_container_reaches_the_server_by_the_name_of_the_machine(bench: Bench, tmp_path: Path) -> None:
    with serve("0.0.0.0") as server:
        check(server, tmp_path, local.DockerRunner(), "host.docker.internal")


def test_a_container_with_the_network_of_the_machine_reaches_it_as_it_is(bench: Bench, tmp_path: Path) -> None:
    with serve() as server:
        check(server, tmp_path, local.DockerRunner(network_mode="host"), "localhost")


def test_a_task_with_a_sidecar_reaches_it(bench: Bench) -> None:
    sidecar = InitContainer("side", IMAGE, ("sleep", "1000"), is_sidecar=True)
    path = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    script = f'python3 -c \'import os, urllib.request as u; u.urlopen(os.environ["URI"] + "{path}", timeout=20)\''
    with serve("0.0.0.0") as server:
        uri = f"http://localhost:{server.url.rpartition(':')[2]}"
        pod = PodSettings(init_containers=(sidecar,))
        outcome = bench.shell(script, pod=pod, tracking={"URI": uri})

    assert outcome.succeeded
    assert server.calls == ["experiments/get-by-name"]
