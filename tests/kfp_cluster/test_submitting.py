"""`standpipe submit`: runs that are created on a cluster, and followed there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from standpipe.cli.main import main
from tests.kfp_cluster.mock_kfp import MockKfp

FIRST = "00000000-0000-4000-8000-000000000001"


def submit(cluster: MockKfp, *arguments: str, target: str = "training.py") -> int:
    return main(["submit", target, "--host", cluster.host, *arguments])


def test_a_run_has_the_pipeline_and_its_arguments(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        submit(kfp, "-a", "rows=7", "--name", "nightly", "--pipeline-root", "s3://b/p", "--service-account", "sa") == 0
    )
    assert capsys.readouterr().out.splitlines() == [FIRST, f"{kfp.host}/#/runs/details/{FIRST}"]
    (request,) = kfp.posted("/apis/v2beta1/runs")
    assert request.json["display_name"] == "nightly"
    assert request.json["runtime_config"] == {"parameters": {"rows": 7}, "pipeline_root": "s3://b/p"}
    assert request.json["service_account"] == "sa"
    assert set(request.json["pipeline_spec"]["root"]["dag"]["tasks"]) == {"load", "train", "report"}
    assert "experiment_id" not in request.json


def test_an_object_for_programs(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit(kfp, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"run_id": FIRST, "url": f"{kfp.host}/#/runs/details/{FIRST}"}


def test_links_lead_to_the_page_that_a_variable_names(
    kfp: MockKfp, script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://kubeflow.example.com/pipeline/")
    assert submit(kfp) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"https://kubeflow.example.com/pipeline/#/runs/details/{FIRST}"


@pytest.mark.parametrize("name", ["nightly", '50%25 a+b & "c"'])
def test_the_experiment_is_created_once(name: str, kfp: MockKfp, script: Path) -> None:
    assert submit(kfp, "--experiment", name, "--namespace", "team") == 0
    assert submit(kfp, "--experiment", name, "--namespace", "team") == 0
    assert kfp.experiments == [{"display_name": name, "namespace": "team", "experiment_id": "experiment-1"}]
    assert [run["experiment_id"] for run in kfp.runs.values()] == ["experiment-1"] * 2


def test_without_the_cache_no_task_has_it(kfp: MockKfp, script: Path) -> None:
    assert submit(kfp) == 0
    assert submit(kfp, "--no-cache") == 0
    cached, uncached = (
        [task["cachingOptions"] for task in run["pipeline_spec"]["root"]["dag"]["tasks"].values()]
        for run in kfp.runs.values()
    )
    assert cached == [{"enableCache": True}] * 3
    assert uncached == [{}] * 3


def test_settings_of_kubernetes_are_sent_beside_the_pipeline(kfp: MockKfp, script: Path) -> None:
    script.write_text(
        "from kfp import dsl, kubernetes\n\n\n@dsl.component\ndef a(): ...\n\n\n@dsl.pipeline\ndef p():\n"
        "    kubernetes.set_image_pull_policy(a(), 'Always')\n",
        encoding="utf-8",
    )
    assert submit(kfp) == 0
    (run,) = kfp.runs.values()
    assert set(run["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}
    assert "kubernetes" in run["pipeline_spec"]["platform_spec"]["platforms"]


def test_a_component_and_a_compiled_file_are_targets(kfp: MockKfp, script: Path) -> None:
    assert submit(kfp, "-a", "rows=2", target="training.py:load") == 0
    assert main(["compile", "training.py", "training.yaml"]) == 0
    assert submit(kfp, target="training.yaml") == 0
    component, pipeline = (run["pipeline_spec"]["pipelineInfo"]["name"] for run in kfp.runs.values())
    assert (component, pipeline) == ("load", "training")


def test_missing_inputs_are_named_before_anything_is_sent(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(kfp, target="training.py:report") == 2
    assert "standpipe submit training.py:report --arg score=" in capsys.readouterr().err
    assert not kfp.requests


def test_artifacts_cannot_be_arguments(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit(kfp, "-a", "data=x.csv", "-a", "label=x", target="training.py:train") == 2
    assert "a KFP cluster takes parameters only" in capsys.readouterr().err


def test_findings_are_shown_and_strict_refuses(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script.write_text(
        "import os\nfrom kfp import dsl\n\nHOME = os.environ['HOME']\n\n\n@dsl.component\ndef a() -> str:\n"
        "    return HOME\n\n\n@dsl.pipeline\ndef p():\n    a()\n",
        encoding="utf-8",
    )
    assert submit(kfp, "--strict") == 1
    assert "HOME" in capsys.readouterr().err
    assert not kfp.runs
    assert submit(kfp) == 0
    assert "HOME" in capsys.readouterr().err
