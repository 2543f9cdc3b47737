"""A task of a KFP cluster on this machine, with its input in a real S3 server (moto): a file, and a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from standpipe import local
from standpipe.cli.main import main
from tests.artifact_stores.servers import S3Server, free_port, s3_server
from tests.kfp_cluster.conftest import failed, kfp, pull, script  # noqa: F401 - fixtures
from tests.kfp_cluster.mock_kfp import MockKfp
from tests.terminals import type_on_terminal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server(free_port()) as (running, _):
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Return the server, which the environment names."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t-k3y-of-the-test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return server


def test_the_debugger_has_an_input_of_the_object_store(
    failed: MockKfp,  # noqa: F811
    s3: S3Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed.artifacts[0].uri = "minio://data/training/data"
    s3.call("PUT", "/data/training/data", b"x\n" * 7)
    assert pull(failed) == 0
    run = capsys.readouterr().out.strip()
    command = [sys.executable, "-m", "standpipe", "rerun", run, "train", "--debug", "--no-venv"]
    count = "p f'{len(open(data.path).readlines())} lines'\n"
    shown = type_on_terminal(command, [("(Pdb) ", count), ("'7 lines'", ""), ("(Pdb) ", "q\n")])
    assert "Input 'data' is downloaded from minio://data/training/data" in shown
    assert "s3cr3t" not in shown


def test_a_folder_is_pulled_and_wrong_credentials_lead_to_the_page(
    failed: MockKfp,  # noqa: F811
    s3: S3Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed.artifacts[0].uri = "s3://data/training/model"
    s3.call("PUT", "/data/training/model/a", b"1")
    s3.call("PUT", "/data/training/model/b/c", b"2")
    failed.payloads["s3/data/training/model"] = {"of-the-page": b"3"}
    s3.fault = lambda method, path, body: 403
    try:
        assert pull(failed, "--artifacts") == 0
        assert files_of(capsys) == ["of-the-page"]
    finally:
        s3.fault = lambda method, path, body: 0
    assert main(["delete", "latest"]) == 0
    capsys.readouterr()
    assert pull(failed, "--artifacts") == 0
    assert files_of(capsys) == ["a", "b/c"]


def files_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    (artifact,) = local.get_run(capsys.readouterr().out.split()[-1]).artifacts
    folder = Path(str(artifact.path))
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
