"""Artifacts in object stores, against a real S3 server (moto) on this machine, and what can go wrong on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from standpipe import dsl, local
from standpipe.artifact_stores import obstore_buckets
from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.cli.main import main
from standpipe.dsl import Dataset, Input, Output
from standpipe.errors import StorageError, TaskFailed
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import ArtifactStore
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue
from tests.artifact_stores.contract import ArtifactStoreContract, put, write
from tests.artifact_stores.servers import (
    AZURITE_ACCOUNT,
    AZURITE_KEY,
    GcsServer,
    S3Server,
    azure_server,
    free_port,
    gcs_server,
    provide_minio_secret,
    s3_server,
    servers_python,
)
from tests.processes import CHECKOUT

from .docker_engine import IMAGE

pytestmark = pytest.mark.slow

DATASET = ArtifactType("system.Dataset")
LIMIT = 10**10
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with s3_server(free_port()) as (server, _):
        yield server


@pytest.fixture
def s3(running: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """Return an S3 server without faults, which the environment names."""
    use(running, monkeypatch)
    running.requests.clear()
    yield running
    running.fault = lambda method, path, body: 0


def use(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name a server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t-k3y-of-the-test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def new_store(root: Path) -> RemoteArtifactStore:
    return RemoteArtifactStore(root, f"s3://data/{root.parent.name}", LIMIT)


class TestRemoteArtifactStore(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, s3: S3Server) -> ArtifactStore:
        return new_store(tmp_path / "root")


@pytest.fixture(scope="module")
def azurite() -> Iterator[str]:
    with azure_server() as url:
        yield url


@pytest.fixture
def azure(azurite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name a server of Azure blobs."""
    monkeypatch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", azurite)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", AZURITE_ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", AZURITE_KEY)


class TestAzure(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, azure: None) -> ArtifactStore:
        return RemoteArtifactStore(tmp_path / "root", f"az://data/{tmp_path.name}", LIMIT)


@pytest.fixture(scope="module")
def google() -> Iterator[GcsServer]:
    with gcs_server() as server:
        yield server


@pytest.fixture
def gcs(google: GcsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GcsServer:
    """Return a server of Google Cloud Storage that takes requests without a token, which the environment names."""
    account = {"gcs_base_url": google.url, "disable_oauth": True, "client_email": "", "private_key": ""}
    (tmp_path / "account.json").write_text(json.dumps({**account, "private_key_id": ""}))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
    google.requests.clear()
    return google


class TestGcs(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, gcs: GcsServer) -> ArtifactStore:
        return RemoteArtifactStore(tmp_path / "root", f"gs://data/{tmp_path.name}", LIMIT)


@pytest.fixture
def store(tmp_path: Path, s3: S3Server) -> RemoteArtifactStore:
    return new_store(tmp_path / "root")


@pytest.fixture
def location(store: RemoteArtifactStore, tmp_path: Path) -> str:
    folder = tmp_path / "root" / "run-1" / "task"
    folder.mkdir(parents=True)
    return store.locate(folder, "data")


@pytest.fixture
def options(tmp_path: Path, s3: S3Server) -> dict[str, Any]:
    return {
        "runner": local.SubprocessRunner(use_venv=False),
        "pipeline_root": f"s3://data/{tmp_path.name}",
        "state_root": tmp_path / "state",
        "quiet": True,
    }


@dsl.component
def measure(data: Input[Dataset], fails_without: str = "") -> int:
    import os

    if fails_without and not os.path.exists(fails_without):
        raise RuntimeError("not yet")
    return os.path.getsize(data.path)


@dsl.component
def produce(size: int, data: Output[Dataset]) -> None:
    import os

    with open(data.path, "wb") as file:
        file.write(os.urandom(1024) * (size // 1024))


@dsl.pipeline
def measuring(size: int = 20 * 1024 * 1024, fails_without: str = "") -> int:
    return measure(data=produce(size=size).outputs["data"], fails_without=fails_without).output


def read(store: RemoteArtifactStore, artifact: ArtifactValue, cancel: Cancellation | None = None) -> bytes:
    with store.provide([artifact], Cancellation() if cancel is None else cancel):
        return Path(store.task_path(artifact)).read_bytes()


def keys_of(server: S3Server, prefix: str) -> list[str]:
    listed = server.call("GET", f"/data?list-type=2&prefix={prefix}").decode()
    return re.findall("<Key>(.*?)</Key>", listed)


# --- payloads ---------------------------------------------------------------------------------------------------------


def test_a_run_uploads_in_parts_and_resumes_without_uploading_again(
    options: dict[str, Any], s3: S3Server, tmp_path: Path
) -> None:
    with pytest.raises(TaskFailed, match="not yet"):
        local.run(measuring, {"fails_without": str(tmp_path / "gate")}, **options)
    uploads = [path for method, path in s3.requests if method == "PUT"]
    assert len([path for path in uploads if "partNumber=" in path]) == 3, "parts of 8 MiB"
    (tmp_path / "gate").touch()
    s3.requests.clear()
    task = local.resume("latest", runner=options["runner"], pipeline_root=tmp_path / "state", quiet=True)
    assert task.output == 20 * MIB
    assert [each for each in s3.requests if each[0] in ("PUT", "POST")] == []


def test_the_marker_of_a_folder_is_not_a_file(store: RemoteArtifactStore, s3: S3Server, tmp_path: Path) -> None:
    top = tmp_path.name
    for key, content in (("dir/", b""), ("dir/deep/", b""), ("dir/deep/a", b"a")):  # the console makes such objects
        s3.call("PUT", f"/data/{top}/{key}", content)
    store.fetch(f"s3://data/{top}/dir", tmp_path / "copy", tmp_path, Cancellation())
    assert sorted(path.name for path in (tmp_path / "copy").rglob("*")) == ["a", "deep"]


def test_a_key_with_an_empty_step_is_an_error(store: RemoteArtifactStore, s3: S3Server, tmp_path: Path) -> None:
    s3.call("PUT", f"/data/{tmp_path.name}/dir//a", b"a")
    with pytest.raises(StorageError, match=f"Cannot .* s3://data/{tmp_path.name}/dir"):
        store.fetch(f"s3://data/{tmp_path.name}/dir", tmp_path / "copy", tmp_path, Cancellation())


def test_many_small_files(store: RemoteArtifactStore, location: str, tmp_path: Path) -> None:
    tree = Path(store.local_path(location))
    tree.mkdir()
    for number in range(300):
        (tree / f"{number}.txt").write_text(str(number))
    artifact = ArtifactValue("data", DATASET, location, checksum=put(store, location))
    other = new_store(tmp_path / "root")
    shutil.rmtree(tmp_path / "root" / ".payloads")
    with other.provide([artifact], Cancellation()):
        assert len(list(Path(other.task_path(artifact)).iterdir())) == 300


def test_two_processes_download_one_payload_once(
    store: RemoteArtifactStore, location: str, s3: S3Server, tmp_path: Path
) -> None:
    write(store, location, "content" * 10**6)
    checksum = put(store, location)
    shutil.rmtree(tmp_path / "root" / ".payloads")
    program = f"""
from pathlib import Path
from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.model.cancellation import Cancellation
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Checksum
store = RemoteArtifactStore(Path({str(tmp_path / "root")!r}), {store._root!r}, {LIMIT})
checksum = Checksum({checksum.digest!r}, 1, "")
artifact = ArtifactValue("data", ArtifactType("system.Dataset"), {location!r}, checksum=checksum)
with store.provide([artifact], Cancellation()):
    print(len(Path(store.task_path(artifact)).read_bytes()))
"""
    s3.requests.clear()
    command = [sys.executable, "-c", program]
    processes = [subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["7000000"] * 3
    assert Counter(method for method, _ in s3.requests)["GET"] == 1


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["s3", "gcs"])
def test_a_server_that_is_busy_is_asked_again(
    service: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: S3Server = request.getfixturevalue(service)
    refused = set[str]()

    def fault(method: str, path: str, body: bytes) -> int:
        is_first = f"{method} {path}" not in refused
        refused.add(f"{method} {path}")
        return 503 if is_first else 0

    root = f"{'gs' if service == 'gcs' else 's3'}://data/{tmp_path.name}"
    store = RemoteArtifactStore(tmp_path / "root", root, LIMIT)
    location = store.locate(tmp_path / "root" / "run-1" / "task", "data")
    write(store, location, "x" * 20 * MIB)
    monkeypatch.setattr(server, "fault", fault)
    artifact = ArtifactValue("data", DATASET, location, checksum=put(store, location))
    assert len(refused) > 5
    shutil.rmtree(store._state_root / ".payloads")
    assert len(read(store, artifact)) == 20 * MIB


def test_a_connection_that_breaks_is_made_again(store: RemoteArtifactStore, location: str, s3: S3Server) -> None:
    broken = set[str]()

    def fault(method: str, path: str, body: bytes) -> int:
        is_first = path not in broken
        broken.add(path)
        return -1 if is_first else 0

    write(store, location, "x" * 20 * MIB)
    s3.fault = fault
    assert put(store, location).size == 20 * MIB


def test_a_server_that_is_killed_during_an_upload_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obstore_buckets, "RETRY_TIME", 2.0)
    port = free_port()
    options: dict[str, Any] = {"runner": local.SubprocessRunner(use_venv=False), "quiet": True}
    gate = tmp_path / "gate"
    gate.touch()
    with s3_server(port) as (server, process):
        use(server, monkeypatch)
        parts: list[str] = []

        def kill_at_the_second_part(method: str, path: str, body: bytes) -> int:
            if "partNumber=" in path:
                parts.append(path)
                if len(parts) == 2:
                    process.kill()
            return 0

        server.fault = kill_at_the_second_part
        with pytest.raises(TaskFailed, match=r"'produce' failed: Cannot use s3://data/runs/.*/produce/data: "):
            local.run(measuring, pipeline_root="s3://data/runs", state_root=tmp_path / "state", **options)
    with s3_server(port) as (server, _):
        use(server, monkeypatch)
        assert keys_of(server, "runs") == []
        task = local.resume("latest", pipeline_root=tmp_path / "state", **options)
        assert task.output == 20 * MIB
        (key,) = keys_of(server, "runs")
        assert key.endswith("/data")


def test_an_interrupted_download_is_not_taken_for_whole(
    store: RemoteArtifactStore, location: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Path(store.local_path(location))
    for number in range(20):
        write(store, location, "content", at=tree / str(number))
    artifact = ArtifactValue("data", DATASET, location, checksum=put(store, location))
    shutil.rmtree(store._state_root / ".payloads")
    monkeypatch.setattr(obstore_buckets, "RETRY_TIME", 1.0)
    other = RemoteArtifactStore(store._state_root, store._root, LIMIT)
    s3.fault = lambda method, path, body: 500 if path.endswith("/19") else 0
    with pytest.raises(StorageError, match="Cannot use s3://"), other.provide([artifact], Cancellation()):
        pass
    s3.fault = lambda method, path, body: 0
    with other.provide([artifact], Cancellation()):
        assert len(list(Path(other.task_path(artifact)).iterdir())) == 20


@pytest.mark.parametrize("is_upload", [True, False])
def test_a_cancellation_ends_a_slow_transfer_at_once(
    store: RemoteArtifactStore, location: str, s3: S3Server, is_upload: bool
) -> None:
    write(store, location, "x" * 20 * MIB)
    artifact = None if is_upload else ArtifactValue("data", DATASET, location, checksum=put(store, location))
    shutil.rmtree(store._state_root / ".payloads", ignore_errors=True)
    release = threading.Event()

    def stall(method: str, path: str, body: bytes) -> int:
        if "partNumber=" in path or method == "GET":
            release.wait(30)
        return 0

    def transfer() -> None:
        if artifact:
            read(store, artifact, cancel)
        else:
            store.put(location, cancel)

    s3.fault, cancel = stall, Cancellation()
    threading.Timer(1.0, cancel.set).start()
    began = time.monotonic()
    try:
        with pytest.raises(StorageError, match="cancelled"):
            transfer()
        assert time.monotonic() - began < 5
    finally:
        release.set()


def test_a_bucket_that_is_missing_is_named_before_anything_runs(options: dict[str, Any], tmp_path: Path) -> None:
    options["pipeline_root"] = "s3://no-such-bucket/runs"
    with pytest.raises(StorageError, match=r"Cannot use s3://no-such-bucket/runs: there is no such bucket"):
        local.run(measuring, **options)
    assert local.runs(tmp_path / "state") == []


@pytest.mark.parametrize("refused", [("GET", "PUT", "POST"), ("PUT", "POST")])
def test_wrong_credentials_are_named_and_never_shown(
    options: dict[str, Any], s3: S3Server, capfd: pytest.CaptureFixture[str], tmp_path: Path, refused: tuple[str, ...]
) -> None:
    s3.fault = lambda method, path, body: 403 if method in refused else 0
    with pytest.raises((TaskFailed, StorageError), match="Check the credentials") as failed:
        local.run(measuring, **options)
    texts = [str(failed.value), *capfd.readouterr()]
    texts += [path.read_bytes().decode(errors="replace") for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert [text for text in texts if "s3cr3t-k3y-of-the-test" in text] == []


def test_an_object_that_is_overwritten_during_its_download_is_an_error(
    store: RemoteArtifactStore, s3: S3Server, tmp_path: Path
) -> None:
    uri, path = f"s3://data/{tmp_path.name}/large", f"/data/{tmp_path.name}/large"
    s3.call("PUT", path, b"a" * 40 * MIB)
    gets: list[str] = []

    def overwrite(method: str, asked: str, body: bytes) -> int:
        if method == "GET" and asked == path:
            gets.append(asked)
            if len(gets) == 2:
                s3.call("PUT", path, b"b" * 40 * MIB)
        return 0

    s3.fault = overwrite
    with pytest.raises(StorageError, match=f"{uri} was overwritten while it was read"):
        store.fetch(uri, tmp_path / "copy", tmp_path, Cancellation())
    assert not (tmp_path / "copy").exists()


def test_a_run_with_its_artifacts_in_azure(azure: None, tmp_path: Path) -> None:
    options: dict[str, Any] = {"runner": local.SubprocessRunner(use_venv=False), "quiet": True}
    task = local.run(measuring, pipeline_root="az://data/runs", state_root=tmp_path, **options)
    assert task.output == 20 * MIB
    shutil.rmtree(tmp_path / ".payloads")
    rerun = local.rerun_task("latest", "measure", pipeline_root=tmp_path, **options)
    assert rerun.output == 20 * MIB, "downloaded again"


def test_a_run_with_its_artifacts_in_gcs(gcs: GcsServer, tmp_path: Path) -> None:
    options: dict[str, Any] = {"runner": local.SubprocessRunner(use_venv=False), "quiet": True}
    task = local.run(measuring, pipeline_root="gs://data/runs", state_root=tmp_path, **options)
    assert task.output == 20 * MIB
    assert len([path for method, path in gcs.requests if method == "PUT" and "partNumber=" in path]) == 3
    shutil.rmtree(tmp_path / ".payloads")
    rerun = local.rerun_task("latest", "measure", pipeline_root=tmp_path, **options)
    assert rerun.output == 20 * MIB, "downloaded again"


# --- credentials of a cluster -----------------------------------------------------------------------------------------


def make_service_account(url: str) -> str:
    """Return the key of a service account of Google, as its console writes it, for a server."""
    program = (
        "from cryptography.hazmat.primitives import serialization as s; "
        "from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as g; "
        "k = g(65537, 2048); "
        "print(k.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode())"
    )
    done = subprocess.run([str(servers_python()), "-c", program], capture_output=True, text=True, check=True)
    account = {"type": "service_account", "client_email": "me@project", "private_key_id": "id-of-key"}
    return json.dumps({**account, "private_key": done.stdout, "gcs_base_url": url})


def test_a_secret_of_the_cluster_signs_requests_to_gcs(
    google: GcsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("GOOGLE_")]:
        monkeypatch.delenv(name)
    account = make_service_account(google.url)
    providers = "gs: {default: {credentials: {secretRef: {secretName: gcs, tokenKey: account.json}}}}"
    objects = {"configmaps": {"kfp-launcher": {"providers": providers}}, "secrets": {"gcs": {"account.json": account}}}
    google.tokens.clear()
    task = local.run(
        measuring,
        {"size": 2048},
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root="gs://data/signed",
        state_root=tmp_path,
        kubernetes=objects,
        quiet=True,
    )
    assert task.output == 2048
    header, claims, _ = google.tokens[0].split(".")  # a token that the client has signed
    assert json.loads(urlsafe_b64decode(f"{header}==")) == {"alg": "RS256", "typ": "JWT", "kid": "id-of-key"}
    assert json.loads(urlsafe_b64decode(f"{claims}=="))["iss"] == "me@project"
    assert {token.count(".") for token in google.tokens} == {2}
    secret = json.loads(account)["private_key"].splitlines()[1].encode()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()] == []


@pytest.mark.parametrize("form", ["providers", "the secret of KFP's own store"])
def test_a_secret_of_the_cluster_signs_requests_to_minio(
    running: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    objects = provide_minio_secret(running, form, monkeypatch)
    file = tmp_path / "k8s.yaml"
    file.write_text(json.dumps(objects))
    options: dict[str, Any] = {"runner": local.SubprocessRunner(use_venv=False), "kubernetes": file, "quiet": True}
    task = local.run(
        measuring, {"size": 2048}, pipeline_root="minio://data/signed", state_root=tmp_path / "state", **options
    )
    assert task.output == 2048
    assert set(running.signers) == {"AKIAMINIO"}
    states = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert [path for path in states if b"s3cr3t-of-minio" in path.read_bytes()] == []
    assert keys_of(running, "signed")
    running.signers.clear()
    deletion = ["prune", "--keep", "0", "--yes"] if form == "providers" else ["delete", "latest"]
    assert main([*deletion, "--kubernetes", str(file), "--root", str(tmp_path / "state")]) == 0
    assert keys_of(running, "signed") == []
    assert set(running.signers) == {"AKIAMINIO"}
    file.write_text(json.dumps({**objects, "secrets": {}}))
    if form == "providers":
        with pytest.raises(
            StorageError, match="the secret 'mlpipeline-minio-artifact' with its credentials is not known"
        ):
            local.run(measuring, pipeline_root="minio://data/signed", state_root=tmp_path / "state", **options)


# --- containers -------------------------------------------------------------------------------------------------------


@dsl.container_component
def copy(data: Input[Dataset], result: Output[Dataset]) -> dsl.ContainerSpec:
    program = (
        "import os, shutil, sys; os.makedirs(os.path.dirname(sys.argv[2]), exist_ok=True); shutil.copy(*sys.argv[1:])"
    )
    return dsl.ContainerSpec(image=IMAGE, command=["python3", "-c", program], args=[data.path, result.path])


@dsl.component(base_image=IMAGE)
def size_of(data: Input[Dataset]) -> int:
    import os

    return os.path.getsize(data.path)


@dsl.pipeline
def containers(uri: str) -> int:
    data = dsl.importer(artifact_uri=uri, artifact_class=Dataset)
    return size_of(data=copy(data=data.output).outputs["result"]).output


def test_containers_see_their_inputs_and_leave_outputs(
    options: dict[str, Any], s3: S3Server, tmp_path: Path, docker_client: object
) -> None:
    s3.call("PUT", f"/data/{tmp_path.name}/input", b"content")
    options["runner"] = local.DockerRunner()
    assert local.run(containers, {"uri": f"s3://data/{tmp_path.name}/input"}, **options).output == 7
    assert [key for key in keys_of(s3, tmp_path.name) if key.endswith("/copy/result")]


# --- examples ---------------------------------------------------------------------------------------------------------


def test_the_iris_example_runs_with_its_artifacts_in_a_bucket(s3: S3Server, tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "examples" / "iris.py", tmp_path)
    command = [sys.executable, "-m", "standpipe", "run", "--root", "s3://data/iris", "--state-root", "state", "iris.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = local.runs(tmp_path / "state")
    assert run.status.value == "SUCCEEDED"
    uris = [artifact.uri for artifact in run.artifacts]
    assert uris
    assert all(uri.startswith(f"s3://data/iris/{run.id}/") for uri in uris)
    assert json.dumps(keys_of(s3, "iris")).count("/split/") == 2
