"""The payloads of pulled runs: from their object store, from KFP's web page, and at a rerun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from standpipe import local
from standpipe.artifact_stores import clients, obstore_buckets
from standpipe.artifact_stores.buckets import Bucket
from standpipe.artifact_stores.providers import ENVIRONMENT, Access
from standpipe.cli.main import main
from standpipe.errors import StorageError
from tests.artifact_stores.servers import Memory, memory  # noqa: F401 - a fixture
from tests.kfp_cluster.conftest import pull
from tests.kfp_cluster.metadata_messages import properties
from tests.kfp_cluster.mock_kfp import MockKfp

URI = "minio://mlpipeline/v2/artifacts/training/data"
PATH = URI.replace("://", "/")


def fetched(capsys: pytest.CaptureFixture[str]) -> Path:
    """Return where the run that was just pulled has the payload of its only artifact."""
    run = local.get_run(capsys.readouterr().out.split()[-1])
    (artifact,) = run.artifacts
    assert artifact.path
    return Path(artifact.path)


def set_artifact(cluster: MockKfp, uri: str, **own: str) -> None:
    """Change the URI and the properties of the only artifact of the run."""
    cluster.artifacts[0].uri = uri
    cluster.artifacts[0].custom_properties.extend(properties(own))


def test_an_object_store_that_this_machine_can_read_is_asked_first(
    failed: MockKfp,
    memory: Memory,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    memory.write(URI, b"\x1f\x8b whatever")
    assert pull(failed, "--artifacts") == 0
    assert fetched(capsys).read_bytes() == b"\x1f\x8b whatever"
    assert not [each for each in failed.requests if each.path.startswith("/artifacts")]


@pytest.mark.parametrize("scheme", ["s3", "gs", "minio"])
def test_a_folder_comes_from_the_object_store(
    scheme: str,
    failed: MockKfp,
    memory: Memory,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = f"{scheme}://bucket/training/model"
    set_artifact(failed, uri)
    memory.write(f"{uri}/weights.bin", b"1")
    memory.write(f"{uri}/parts/a.txt", b"2")
    memory.write(f"{uri}-of-another-task", b"3")
    assert pull(failed, "--artifacts") == 0
    folder = fetched(capsys)
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == {
        "weights.bin": b"1",
        "parts/a.txt": b"2",
    }


def test_a_folder_comes_through_the_page_as_an_archive(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    failed.payloads[PATH] = {"weights.bin": b"1", "parts/a.txt": b"2" * 3_000_000}
    assert pull(failed, "--artifacts") == 0
    folder = fetched(capsys)
    assert (folder / "weights.bin").read_bytes() == b"1"
    assert (folder / "parts" / "a.txt").stat().st_size == 3_000_000


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a//b", "./a"])
def test_an_archive_cannot_write_elsewhere(
    name: str, failed: MockKfp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed.payloads[PATH] = {name: b"evil"}
    assert pull(failed, "--artifacts") == 0
    assert f"the folder has a file with the name {name!r}" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.name in ("evil", "b") or path.name == "a"]


def test_a_payload_that_breaks_off_is_fetched_again_and_never_half(
    failed: MockKfp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("standpipe.kfp_cluster.http._DELAYS", (0.0, 0.0))
    failed.payloads[PATH] = b"x" * 5_000_000
    failed.cut_after = [1000, 2_000_000]
    assert pull(failed, "--artifacts") == 0
    assert fetched(capsys).stat().st_size == 5_000_000
    failed.cut_after = [10, 10, 10]
    set_artifact(failed, URI + "-2")
    failed.payloads[f"{PATH}-2"] = b"y" * 100
    assert pull(failed, "--artifacts") == 0
    captured = capsys.readouterr()
    assert "the connection ended before the answer did" in captured.err
    assert not [*Path("local_outputs").rglob("*artial*")]
    assert "training/data-2" in repr(local.get_run(captured.out.strip()).task("train").inputs["data"])


def test_the_page_is_told_the_namespace_and_the_store(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    failed.several_users = True
    session = json.dumps({"Provider": "minio", "Params": {"fromEnv": "false", "endpoint": "minio.team:9000"}})
    set_artifact(failed, URI, store_session_info=session)
    failed.payloads[PATH] = b"x\n"
    assert pull(failed, "--artifacts") == 0
    assert fetched(capsys).read_bytes() == b"x\n"
    (request,) = [each for each in failed.requests if each.path.startswith("/artifacts")]
    assert "namespace=team&providerInfo=%7B%22Provider%22" in request.path


def test_a_bucket_of_the_cluster_is_not_looked_for_elsewhere(
    failed: MockKfp,
    memory: Memory,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The bucket `mlpipeline` of Amazon is that of a stranger."""
    for name in obstore_buckets._ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    session = json.dumps({"Provider": "s3", "Params": {"endpoint": "http://seaweedfs.kubeflow:9000"}})
    set_artifact(failed, "s3://mlpipeline/data", store_session_info=session)
    memory.write("s3://mlpipeline/data", b"of a stranger")
    failed.payloads["s3/mlpipeline/data"] = b"of the cluster"
    assert pull(failed, "--artifacts") == 0
    captured = capsys.readouterr()
    assert "KFP's web page decompresses files of s3://" in captured.err
    (artifact,) = local.get_run(captured.out.strip()).artifacts
    assert Path(str(artifact.path)).read_bytes() == b"of the cluster"


def test_what_the_page_would_change_is_not_fetched_through_it(
    failed: MockKfp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def connect(bucket: str, access: Access) -> None:
        raise StorageError(f"Cannot use {bucket}: no credentials.")

    monkeypatch.setattr(clients, "connect", connect)
    set_artifact(failed, "gs://bucket/data")
    failed.payloads["gcs/bucket/data"] = b"stripped text\n"
    assert pull(failed, "--artifacts") == 0
    error = capsys.readouterr().err
    assert "gs://bucket/data was not fetched: Cannot use gs://bucket: no credentials; KFP's page does not pass" in error


def test_a_rerun_downloads_what_was_not_pulled(
    failed: MockKfp,
    memory: Memory,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    memory.write(URI, b"x\nx\nx\n")
    assert pull(failed) == 0
    run = capsys.readouterr().out.strip()
    assert main(["rerun", run, "train", "--runner", "in-process", "-a", "label=fixed"]) == 0
    captured = capsys.readouterr()
    assert '"Output": 0.75' in captured.out
    assert f"Input 'data' is downloaded from {URI}" in captured.err


def test_the_answer_of_a_login_is_not_an_artifact(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    def log_out(run: dict[str, object]) -> None:
        failed.login_after = len(failed.requests) + 4

    failed.progress = log_out
    failed.payloads[PATH] = b"x\n"
    assert pull(failed, "--artifacts") == 0
    captured = capsys.readouterr()
    assert "a page for people, such as that of a login" in captured.err
    assert URI in repr(local.get_run(captured.out.strip()).task("train").inputs["data"])


def test_credentials_of_the_cluster_are_used_for_its_bucket(
    failed: MockKfp,
    tmp_path: Path,
    memory: Memory,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With its `kfp-launcher`, the bucket is on the server of the cluster, also if the environment names none."""
    accesses: list[Access] = []

    def connect(bucket: str, access: Access = ENVIRONMENT) -> Bucket:
        accesses.append(access)
        return memory.connect(bucket)

    monkeypatch.setattr(clients, "connect", connect)
    objects = tmp_path / "k8s.yaml"
    objects.write_text(KUBERNETES, encoding="utf-8")
    session = json.dumps({"Provider": "s3", "Params": {"endpoint": "http://seaweedfs.kubeflow:9000"}})
    set_artifact(failed, "s3://mlpipeline/data", store_session_info=session)
    memory.write("s3://mlpipeline/data", b"x\n")
    assert pull(failed, "--artifacts", "--kubernetes", str(objects)) == 0
    captured = capsys.readouterr()
    assert [access.endpoint for access in accesses] == ["http://localhost:9000"]
    assert "s3cr3t" not in captured.out + captured.err
    (artifact,) = local.get_run(captured.out.strip()).artifacts
    assert Path(str(artifact.path)).read_bytes() == b"x\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()] == [objects]


KUBERNETES = """
configmaps:
  kfp-launcher:
    providers: |
      s3:
        default:
          endpoint: http://localhost:9000
          region: eu-west-1
          credentials:
            secretRef: {secretName: team-a, accessKeyKey: id, secretKeyKey: key}
secrets:
  team-a: {id: AKIAEXAMPLE, key: s3cr3t-of-the-cluster}
"""


def test_the_inputs_of_one_task_are_fetched_alone(failed: MockKfp, capsys: pytest.CaptureFixture[str]) -> None:
    other = failed.add_artifact("minio://mlpipeline/other", "system.Dataset", {}, 2, "other")
    assert other == 2
    failed.payloads.update({PATH: b"x\n", "minio/mlpipeline/other": b"y\n"})
    assert pull(failed, "--inputs-of", "train") == 0
    run = capsys.readouterr().out.strip()
    fetched_paths = [each.path for each in failed.requests if each.path.startswith("/artifacts")]
    assert len(fetched_paths) == 1
    assert main(["rerun", run, "train", "--runner", "in-process", "-a", "label=fixed"]) == 0
    assert '"Output": 0.25' in capsys.readouterr().out
    assert pull(failed, "--inputs-of", "trian") == 2
    assert "Invalid --inputs-of 'trian': the cluster does not tell of such a task" in capsys.readouterr().err
    assert local.get_run(run).status.value == "FAILED"
