"""Artifacts of importers: metadata, local paths and copies in the workspace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.artifact_stores.routing import ArtifactStores
from standpipe.errors import StandpipeError
from standpipe.execution.importing import import_artifact
from standpipe.execution.rendering import Renderer
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import FromInput, Importer
from standpipe.model.templates import parse_value
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue

DATASET = ArtifactType("system.Dataset")


def run(
    importer: Importer, workspace: Path | None = None, cancel: Cancellation | None = None, **inputs: Any
) -> ArtifactValue:
    names = {name.replace("_", "-"): value for name, value in inputs.items()}
    store = ArtifactStores(LocalArtifactStore([]), workspace or Path("/no/such/folder"))
    renderer = Renderer({"inputs": {"parameterValues": names, "artifacts": {}}}, lambda name: f"<{name}>")
    return import_artifact(importer, names, renderer, store, workspace, cancel or Cancellation())


def test_remote_uris_are_not_changed() -> None:
    buckets = ("gs://bucket/a/data", "s3://bucket/a/data", "oci://registry/a/data")
    for uri in (*buckets, "https://host/a/data", "kfp-artifacts://team/pipeline/run/node/data", "x://data"):
        assert run(Importer(FromInput("uri"), DATASET), uri=uri) == ArtifactValue("", DATASET, uri)


def test_the_input_takes_precedence_over_the_constant_uri() -> None:
    importer = Importer("gs://{{channel:task=;name=n;type=String;}}/x", DATASET)
    assert run(importer, uri="gs://bucket/x").uri == "gs://bucket/x"
    assert run(Importer("gs://bucket/constant", DATASET)).uri == "gs://bucket/constant"


def test_metadata_keeps_the_types_of_values_that_stand_alone() -> None:
    metadata = parse_value(
        {
            "n": "{{$.inputs.parameters['metadata']}}",
            "text": "{{$.inputs.parameters['metadata']}} of {{$.inputs.parameters['metadata-2']}}",
            "deep": [{"l": "{{$.inputs.parameters['metadata-2']}}", "i": 3, "f": 3.0, "b": True, "none": None}],
            "k{{$.inputs.parameters['metadata']}}": "{{$.pipeline_job_name}}",
        }
    )
    artifact = run(Importer("gs://b/x", DATASET, metadata), metadata=3, metadata_2=["{{$.pipeline_root}}"])
    assert artifact.metadata == {
        "n": 3,
        "text": '3 of ["{{$.pipeline_root}}"]',
        "deep": [{"l": ["{{$.pipeline_root}}"], "i": 3, "f": 3.0, "b": True, "none": None}],
        "k3": "<pipeline_job_name>",
    }
    assert [type(value) for value in artifact.metadata["deep"][0].values()] == [list, int, float, bool, type(None)]


def test_files_and_folders_of_this_machine_get_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "my data #1.csv"
    file.write_text("a")
    for uri in (str(file), file.name, f"./{file.name}", file.as_uri(), f"{tmp_path}/./{file.name}"):
        assert run(Importer(FromInput("uri"), DATASET), uri=uri) == ArtifactValue("", DATASET, str(file))
    assert run(Importer(FromInput("uri"), DATASET), uri=f"{tmp_path}/").uri == str(tmp_path)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "the URI in its input 'uri' is empty"),
        (None, "the URI in its input 'uri' is empty"),
    ],
)
def test_a_uri_without_a_file_is_an_error(uri: str | None, message: str) -> None:
    with pytest.raises(StandpipeError, match=message):
        run(Importer(FromInput("uri"), DATASET), uri=uri)


@pytest.mark.parametrize("uri", ["/no/such/file", "file:///no/such/file", "no/such/file", "registry:5000/model@v1"])
def test_a_uri_of_nothing_is_passed_on_with_a_notice(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Importer(FromInput("uri"), DATASET), uri=uri).uri == uri
    assert f"An importer got {uri!r}, and there is nothing at /" in capsys.readouterr().err


def test_nothing_cannot_be_copied_to_the_workspace(tmp_path: Path) -> None:
    with pytest.raises(StandpipeError, match="there is nothing at /no/such/file: pass a file or folder"):
        run(Importer("/no/such/file", DATASET, download_to_workspace=True), tmp_path)


def test_a_file_is_copied_to_the_path_that_the_backend_uses(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("first")
    importer = Importer(str(tmp_path / "data.csv"), DATASET, download_to_workspace=True)
    workspace = tmp_path / "workspace"
    artifact = run(importer, workspace)
    copy = workspace / ".artifacts" / str(tmp_path).lstrip("/") / "data.csv"
    assert (artifact.uri, artifact.custom_path) == (str(tmp_path / "data.csv"), str(copy))
    copy.write_text("a task changes its copy")
    assert (tmp_path / "data.csv").read_text() == "first"
    (tmp_path / "data.csv").write_text("second")
    run(importer, workspace)
    assert [path.name for path in copy.parent.iterdir()] == ["data.csv"]
    assert copy.read_text() == "second"


def test_a_folder_is_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "weights").write_text("w")
    artifact = run(Importer(str(tmp_path / "model"), DATASET, download_to_workspace=True), tmp_path / "workspace")
    assert Path(artifact.custom_path, "deep", "weights").read_text() == "w"


def test_a_folder_around_the_workspace_cannot_be_downloaded(tmp_path: Path) -> None:
    importer = Importer(str(tmp_path), DATASET, download_to_workspace=True)
    with pytest.raises(StandpipeError, match=r"this run has none.*dsl\.WorkspaceConfig.*workspace_root"):
        run(importer)
    with pytest.raises(StandpipeError, match="which is inside of it"):
        run(importer, tmp_path / "workspace")


def test_a_download_needs_a_client() -> None:
    with pytest.raises(StandpipeError, match="a client for nothing://"):
        run(Importer("nothing://name/data", DATASET, download_to_workspace=True), Path("/workspace"))


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("x")
    (tmp_path / "workspace").write_text("a file is in the way")
    with pytest.raises(StandpipeError, match=r"it cannot copy .*data\.csv to .*workspace"):
        run(Importer(str(tmp_path / "data.csv"), DATASET, download_to_workspace=True), tmp_path / "workspace")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "data.csv").write_text("a,b")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "served"))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as it is called there
        """Do nothing."""


def test_the_web_is_downloaded_from(tmp_path: Path, server: str) -> None:
    artifact = run(Importer(f"{server}/data.csv", DATASET, download_to_workspace=True), tmp_path / "workspace")
    assert artifact.uri == f"{server}/data.csv"
    assert Path(artifact.custom_path).read_text() == "a,b"
    assert Path(artifact.custom_path).stat().st_mode & 0o777 == 0o644


def test_a_download_stays_in_the_workspace(tmp_path: Path, server: str) -> None:
    with pytest.raises(StandpipeError, match=r"a path with `\.\.` in it would lead out of the workspace"):
        run(Importer(f"{server}/../../../data.csv", DATASET, download_to_workspace=True), tmp_path / "workspace")
    assert not (tmp_path / "workspace").exists()


def test_a_failed_download_names_the_reason_and_leaves_nothing(tmp_path: Path, server: str) -> None:
    stopped = Cancellation()
    stopped.set()
    with pytest.raises(StandpipeError, match="it cannot download .*none.csv.*nothing is at"):
        run(Importer(f"{server}/none.csv", DATASET, download_to_workspace=True), tmp_path / "workspace")
    with pytest.raises(StandpipeError, match="cancelled"):
        run(Importer(f"{server}/data.csv", DATASET, download_to_workspace=True), tmp_path / "workspace", stopped)
    assert [path for path in (tmp_path / "workspace").rglob("*") if path.is_file()] == []


def test_a_password_is_neither_looked_up_nor_the_name_of_a_folder(tmp_path: Path, server: str) -> None:
    uri = server.replace("://", "://me:t0k3n@")
    with pytest.raises(StandpipeError, match=r"cannot download 'http://\*\*\*@.*sends no user and no password"):
        run(Importer(FromInput("uri"), DATASET, download_to_workspace=True), tmp_path / "ws", uri=f"{uri}/data.csv")
    assert not (tmp_path / "ws").exists()
