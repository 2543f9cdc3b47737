from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe import ir
from standpipe.cli import targets
from standpipe.cli.main import main
from standpipe.dsl.base_component import BaseComponent
from tests.kfp_cluster.mock_kfp import MockKfp, run_of, serve, task_detail

RUN = "7ae5c3a8-0c5b-4d0e-9f5c-1b7f9a3a0001"

PIPELINE = """
from kfp import dsl
from kfp.dsl import Dataset, Input, Output


@dsl.component
def load(rows: int, data: Output[Dataset]) -> str:
    with open(data.path, "w") as file:
        file.write("x\\n" * rows)
    return "loaded"


@dsl.component
def train(data: Input[Dataset], label: str, rate: float = 0.5) -> float:
    with open(data.path) as file:
        count = len(file.readlines())
    if label == "loaded":
        raise ValueError(f"cannot train on {count} rows")
    return count * rate


@dsl.component
def report(score: float): ...


@dsl.pipeline
def training(rows: int = 3):
    loaded = load(rows=rows)
    trained = train(data=loaded.outputs["data"], label=loaded.outputs["Output"])
    report(score=trained.output)
"""


@pytest.fixture
def kfp() -> Iterator[MockKfp]:
    with serve(MockKfp()) as cluster:
        yield cluster


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script with a pipeline of three tasks, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "KF_PIPELINES_ENDPOINT",
        "KF_PIPELINES_UI_ENDPOINT",
        "STANDPIPE_KFP_TOKEN",
        "STANDPIPE_KFP_COOKIES",
        "KF_PIPELINES_SA_TOKEN_PATH",
    ):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "training.py"
    path.write_text(PIPELINE, encoding="utf-8")
    return path


def compile_spec(script: Path, name: str = "training") -> dict[str, Any]:
    component: BaseComponent = targets.load(f"{script}:{name}", expected="a script").component
    return ir.emit(component.compiled_plan)


@pytest.fixture
def failed(kfp: MockKfp, script: Path) -> MockKfp:
    """A run of which `train` failed, with its executions, and its pipeline in the run itself."""
    root = kfp.add_execution(inputs={"rows": 5.0})
    load = kfp.add_execution(
        "load", root, inputs={"rows": 5.0}, outputs={"Output": "loaded"}, pod_name="training-abc", namespace="team"
    )
    data = kfp.add_artifact("minio://mlpipeline/v2/artifacts/training/data", "system.Dataset", {"n": 5.0}, load, "data")
    train = kfp.add_execution(
        "train",
        root,
        "FAILED",
        inputs={"label": "loaded", "rate": 0.25},
        pod_name="training-def",
        namespace="team",
    )
    kfp.add_event(data, train, "data")
    kfp.runs[RUN] = run_of(
        RUN,
        state="FAILED",
        pipeline_spec=compile_spec(script),
        runtime_config={"parameters": {"rows": 5}},
        run_details={
            "task_details": [
                task_detail("root", "FAILED"),
                task_detail("root-driver", "SUCCEEDED"),
                task_detail("load-driver", "SUCCEEDED"),
                task_detail("load", "SUCCEEDED"),
                task_detail("train-driver", "SUCCEEDED"),
                task_detail("train", "FAILED"),
            ]
        },
    )
    return kfp


def pull(cluster: MockKfp, *arguments: str) -> int:
    return main(["pull", RUN, "--host", cluster.host, *arguments])
