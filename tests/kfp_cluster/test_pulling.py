"""`standpipe pull`: runs of a cluster in the run store, and what can be done with them there."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe import local
from standpipe.cli.main import main
from tests.kfp_cluster.conftest import RUN, compile_spec, pull
from tests.kfp_cluster.mock_kfp import MockKfp, run_of


def test_a_pulled_run_has_its_tasks_with_their_values(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(failed) == 0
    run = local.get_run(capsys.readouterr().out.strip())
    assert (run.status.value, run.inputs) == ("FAILED", {"rows": 5})
    assert [(task.name, task.status.value) for task in run.tasks] == [
        ("load", "SUCCEEDED"),
        ("train", "FAILED"),
        ("report", "SKIPPED"),
    ]
    load, train = run.task("load"), run.task("train")
    assert load.outputs["Output"] == "loaded"
    assert (train.inputs["label"], train.inputs["rate"]) == ("loaded", 0.25)
    assert "minio://mlpipeline/v2/artifacts/training/data" in repr(train.inputs["data"])
    assert "kubectl logs -n team training-def" in str(train)


def test_a_task_that_failed_on_the_cluster_is_rerun_here_with_its_inputs(
    failed: MockKfp, capsys: pytest.CaptureFixture[str]
) -> None:
    failed.payloads["minio/mlpipeline/v2/artifacts/training/data"] = b"x\nx\nx\nx\nx\n"
    assert pull(failed, "--artifacts") == 0
    run = capsys.readouterr().out.strip()
    assert main(["rerun", run, "train", "--runner", "in-process"]) == 10
    assert "cannot train on 5 rows" in capsys.readouterr().err
    assert main(["rerun", run, "train", "--runner", "in-process", "-a", "label=fixed"]) == 0
    assert '"Output": 1.25' in capsys.readouterr().out


def test_without_artifacts_a_path_of_this_machine_replaces_the_input(
    failed: MockKfp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.txt").write_text("x\nx\n", encoding="utf-8")
    assert pull(failed) == 0
    run = capsys.readouterr().out.strip()
    arguments = ["-a", "label=fixed", "-a", "data=data.txt", "--runner", "in-process"]
    assert main(["rerun", run, "train", *arguments]) == 0
    assert '"Output": 0.5' in capsys.readouterr().out


def test_a_payload_that_is_not_served_keeps_its_uri(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(failed, "--artifacts") == 0
    captured = capsys.readouterr()
    assert "minio://mlpipeline/v2/artifacts/training/data was not fetched" in captured.err
    train = local.get_run(captured.out.strip()).task("train")
    assert "minio://mlpipeline/v2/artifacts/training/data" in repr(train.inputs["data"])


def test_without_ml_metadata_inputs_follow_from_the_plan_or_are_asked_for(
    failed: MockKfp, capsys: pytest.CaptureFixture[str]
) -> None:
    failed.has_metadata = False
    assert pull(failed) == 0
    captured = capsys.readouterr()
    assert "ML Metadata is not served" in captured.err
    assert "train: label, data." in captured.err
    run = local.get_run(captured.out.strip())
    assert [task.status.value for task in run.tasks] == ["SUCCEEDED", "FAILED", "SKIPPED"]
    assert run.task("load").inputs["rows"] == 5
    assert main(["rerun", run.id, "train", "--runner", "in-process"]) == 2
    assert "does not tell it: pass it with --arg NAME=VALUE" in capsys.readouterr().err
    assert main(["rerun", run.id, "load", "--runner", "in-process"]) == 0


def test_a_pulled_run_cannot_be_resumed(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(failed) == 0
    run = capsys.readouterr().out.strip()
    assert main(["resume", run]) == 2
    error = capsys.readouterr().err
    assert f"it was pulled from {failed.host}. Retry run {RUN} there" in error


def test_the_cluster_does_not_know_the_run(kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(kfp) == 2
    assert f"has no run {RUN!r}" in capsys.readouterr().err


def test_the_pipeline_may_be_an_uploaded_version(
    failed: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del failed.runs[RUN]["pipeline_spec"]
    failed.runs[RUN]["pipeline_version_reference"] = {"pipeline_id": "p", "pipeline_version_id": "v"}
    failed.versions["p/v"] = {"pipeline_id": "p", "display_name": "v", "pipeline_spec": compile_spec(script)}
    assert pull(failed) == 0
    assert local.get_run(capsys.readouterr().out.strip()).pipeline == "training"


def test_history_keeps_the_times_of_the_cluster(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull(failed) == 0
    run = local.get_run(capsys.readouterr().out.strip())
    assert run.duration == 100.0
    assert main(["show", run.id]) == 0
    assert capsys.readouterr().out.endswith(f"pulled from {failed.host}: run {RUN}\n")
    assert main(["show", run.id, "--all"]) == 0
    assert capsys.readouterr().out.endswith(f"pulled from {failed.host}: run {RUN}\n")
    assert main(["diff", run.id, run.id]) == 0


def test_the_log_of_a_failed_task_is_fetched_while_its_pod_exists(
    failed: MockKfp, capsys: pytest.CaptureFixture[str]
) -> None:
    failed.logs["training-def"] = "starting\nTraceback ...\nValueError: cannot train on 5 rows\nI main.go:49] exit\n"
    assert pull(failed) == 0
    run = local.get_run(capsys.readouterr().out.strip())
    assert "ValueError: cannot train on 5 rows" in run.failures[0]
    assert run.log("train").startswith("starting\n")
    assert "kubectl" not in str(run)


def test_an_input_that_is_not_on_this_machine_is_named_before_the_rerun(
    failed: MockKfp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(failed) == 0
    assert main(["rerun", capsys.readouterr().out.strip(), "train", "--runner", "in-process"]) == 10
    error = capsys.readouterr().err
    assert "Input 'data' is downloaded from minio://mlpipeline/v2/artifacts/training/data. If that fails" in error
    assert "--arg data=PATH" in error
    assert "standpipe resume" not in error


LOOP = """
from kfp import dsl


@dsl.component
def double(n: int) -> int:
    return n * 2


@dsl.pipeline
def looping(flag: str = "no"):
    with dsl.ParallelFor([1, 2, 3]) as n:
        double(n=n)
    with dsl.If(flag == "yes"):
        double(n=7)
"""


def test_iterations_have_their_items_and_a_false_condition_skips(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.write_text(LOOP, encoding="utf-8")
    root = kfp.add_execution(inputs={"flag": "no"})
    loop = kfp.add_execution("for-loop-2", root, iteration_count=3)
    for number in range(3):
        item = {"pipelinechannel--loop-item-param-1": number + 1.0}
        iteration = kfp.add_execution("for-loop-2", loop, inputs=item, iteration_index=number)
        state = "CACHED" if number == 2 else "COMPLETE"
        kfp.add_execution(
            "double", iteration, state, inputs={"n": number + 1.0}, outputs={"Output": 2.0 * (number + 1)}
        )
    kfp.add_execution("condition-3", root, "CANCELED")
    kfp.runs[RUN] = run_of(RUN, state="SUCCEEDED", pipeline_spec=compile_spec(script, "looping"))
    assert pull(kfp) == 0
    run = local.get_run(capsys.readouterr().out.strip())
    doubled = [run.task(f"for-loop-2/{number}/double") for number in range(3)]
    assert [task.outputs["Output"] for task in doubled] == [2, 4, 6]
    assert doubled[2].cached_from
    assert run.task("condition-3").status.value == "SKIPPED"
    assert main(["rerun", run.id, "for-loop-2/1/double", "--runner", "in-process"]) == 0
    assert '"Output": 4' in capsys.readouterr().out


def test_a_cancelled_run_has_a_cancelled_task(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    failed.runs[RUN]["state"] = "CANCELED"
    failed.executions[2].last_known_state = 2  # its pod was killed: nobody closed the execution
    assert pull(failed) == 0
    run = local.get_run(capsys.readouterr().out.strip())
    assert (run.status.value, run.task("train").status.value) == ("CANCELLED", "CANCELLED")


def test_ml_metadata_that_is_away_for_a_moment_is_asked_again(
    failed: MockKfp, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standpipe.kfp_cluster.http._DELAYS", (0.0, 0.0))
    failed.progress = lambda run: failed.statuses.append(503)
    assert pull(failed) == 0
    assert local.get_run(capsys.readouterr().out.strip()).task("load").outputs["Output"] == "loaded"


IMPORTER = """
from kfp import dsl
from kfp.dsl import Dataset, Input


@dsl.component
def count(data: Input[Dataset]) -> int:
    return 1


@dsl.pipeline
def importing():
    imported = dsl.importer(artifact_uri="s3://bucket/data", artifact_class=Dataset).set_display_name("the data")
    count(data=imported.output)
"""


def test_an_importer_is_recorded_by_its_display_name(
    kfp: MockKfp, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.write_text(IMPORTER, encoding="utf-8")
    root = kfp.add_execution()
    importer = kfp.add_execution("the data", root)  # `importer_launcher.go` has the name of the task's info
    data = kfp.add_artifact("s3://bucket/data", "system.Dataset", {}, importer, "artifact")
    kfp.add_event(data, kfp.add_execution("count", root, outputs={"Output": 1.0}), "data")
    kfp.runs[RUN] = run_of(RUN, state="SUCCEEDED", pipeline_spec=compile_spec(script, "importing"))
    assert pull(kfp) == 0
    run = local.get_run(capsys.readouterr().out.strip())
    assert {task.name: task.status.value for task in run.tasks} == {"importer": "SUCCEEDED", "count": "SUCCEEDED"}
    assert [(artifact.name, artifact.uri) for artifact in run.artifacts] == [("artifact", "s3://bucket/data")]
