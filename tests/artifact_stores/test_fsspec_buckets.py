"""Payloads at URIs that `fsspec` has an implementation for: in memory, and on an FTP server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.ftp import FTPFileSystem

from standpipe import dsl, local
from standpipe.artifact_stores import clients, fsspec_buckets, fsspec_schemes
from standpipe.artifact_stores.buckets import UPLOAD_PART
from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.dsl import Dataset, Input, Output
from standpipe.errors import ArgumentError, StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import ArtifactStore
from tests.artifact_stores.contract import ArtifactStoreContract, put, write
from tests.artifact_stores.servers import free_port, started

LIMIT = 10**9


class TestMemory(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return RemoteArtifactStore(tmp_path / "root", f"memory://data/{tmp_path.name}", LIMIT)


@pytest.fixture(scope="module")
def ftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return the URI of an FTP server, and its folder."""
    port, folder = free_port(), tmp_path_factory.mktemp("ftp")
    with ftp_server(port, folder), pytest.MonkeyPatch.context() as patch:
        patch.setitem(fsspec.config.conf, "ftp", {"password": "s3cr3t-of-ftp"})
        yield f"ftp://me@127.0.0.1:{port}", folder


class TestFtp(ArtifactStoreContract):
    """Whose times are of whole seconds, so that nothing tells two versions apart."""

    @pytest.fixture
    def store(self, tmp_path: Path, ftp: tuple[str, Path]) -> ArtifactStore:
        return RemoteArtifactStore(tmp_path / "root", f"{ftp[0]}/{tmp_path.name}", LIMIT)

    def test_a_file_that_was_put_can_be_checked_and_fetched(
        self, store: ArtifactStore, folder: Path, tmp_path: Path
    ) -> None:
        location = store.locate(folder, "data")
        write(store, location, "content")
        checksum = put(store, location)
        assert store.exists(location)
        assert (checksum.signature, store.signature(location)) == ("", "")
        assert store.checksum(location, Cancellation()) == checksum
        store.fetch(location, tmp_path / "space" / "copy", tmp_path / "space", Cancellation())
        assert (tmp_path / "space" / "copy").read_text() == "content"

    def test_a_payload_that_is_written_again_is_another(self, store: ArtifactStore, folder: Path) -> None:
        location = store.locate(folder, "data")
        digests = []
        for content in ("a", "b"):
            write(store, location, content)
            digests.append(put(store, location).digest)
        assert len(set(digests)) == 2


@dsl.component
def produce(data: Output[Dataset]) -> None:
    with open(data.path, "w") as file:
        file.write("content")


@dsl.component
def read(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return f"{data.uri} {file.read()}"


@dsl.pipeline
def passing() -> str:
    return read(data=produce().outputs["data"]).output


@dsl.pipeline
def importing(uri: str) -> str:
    return read(data=dsl.importer(artifact_uri=uri, artifact_class=Dataset).output).output


def options(tmp_path: Path, **others: Any) -> dict[str, Any]:
    return {"runner": local.SubprocessRunner(use_venv=False), "quiet": True, "state_root": tmp_path / "state", **others}


def test_a_run_with_its_artifacts_on_a_server(tmp_path: Path, ftp: tuple[str, Path]) -> None:
    uri, folder = ftp
    text = local.run(passing, **options(tmp_path, pipeline_root=f"{uri}/runs")).output
    location = text.split()[0]
    assert location.startswith(f"{uri}/runs/passing-")
    assert (folder / location.removeprefix(f"{uri}/")).read_text() == "content"
    assert local.run(importing, {"uri": location}, **options(tmp_path, pipeline_root=tmp_path / "root")).output == text


def test_a_failed_write_leaves_no_file(ftp: tuple[str, Path]) -> None:
    bucket = clients.connect(ftp[0])

    def pieces() -> Iterator[bytes]:
        yield b"x" * UPLOAD_PART
        raise StorageError("cancelled")

    bucket.write("failed/before", b"old")
    for key in ("failed/before", "failed/new"):
        with pytest.raises(StorageError, match="cancelled"):
            bucket.write_pieces(key, pieces)
    assert [path.name for path in (ftp[1] / "failed").iterdir()] == ["before"]
    assert b"".join(bucket.read("failed/before")) == b"old"
    assert b"".join(bucket.read("failed/before", start=1, end=2)) == b"l"


def test_deleted_files_leave_no_folders(ftp: tuple[str, Path]) -> None:
    bucket = clients.connect(ftp[0])
    for key in ("deleted/a/b", "deleted/c"):
        bucket.write(key, b"content")
    bucket.delete(["deleted/a/b", "deleted/none"])
    assert [path.name for path in (ftp[1] / "deleted").iterdir()] == ["c"]


def test_what_is_overwritten_while_it_is_read_is_an_error() -> None:
    bucket = clients.connect("memory://overwritten")
    bucket.write("a", b"first")
    tag = bucket.head("a").tag
    assert tag == next(iter(bucket.find(""))).tag
    pieces = bucket.read("a", tag)
    next(pieces)
    bucket.write("a", b"second")
    with pytest.raises(StorageError, match="memory://overwritten/a was overwritten while it was read"):
        list(pieces)


def test_a_server_that_does_not_answer_is_an_error_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(fsspec.config.conf, "ftp", {"password": "s3cr3t-of-ftp"})
    with pytest.raises(StorageError, match=r"Cannot use ftp://me@.*: ConnectionRefused.*Check the") as failed:
        clients.connect(f"ftp://me@127.0.0.1:{free_port()}")
    assert "s3cr3t-of-ftp" not in str(failed.value)


@contextmanager
def ftp_server(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start an FTP server for a folder."""
    flags = ["-w", "-i", "127.0.0.1", "-p", str(port), "-d", str(folder), "-u", "me", "-P", "s3cr3t-of-ftp"]
    with started([sys.executable, "-m", "pyftpdlib", *flags], port) as process:
        yield process


@pytest.mark.parametrize("does_write", [True, False])
def test_a_server_that_is_started_again_meanwhile_is_used_again(
    does_write: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fsspec.config.conf, "ftp", {"password": "s3cr3t-of-ftp"})
    port, content, servers = free_port(), bytes(range(256)) * 4096 * 20, ExitStack()
    (tmp_path / "data").mkdir()
    restarts: list[int] = []

    def restart() -> None:
        if not restarts:
            restarts.append(1)
            servers.close()
            servers.enter_context(ftp_server(port, tmp_path))

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), UPLOAD_PART):
            yield content[start : start + UPLOAD_PART]
            restart()

    with servers:
        servers.enter_context(ftp_server(port, tmp_path))
        bucket = clients.connect(f"ftp://me@127.0.0.1:{port}")
        if does_write:
            bucket.write_pieces("data/a", pieces)
        else:
            (tmp_path / "data" / "a").write_bytes(content)
            got = b""
            for piece in bucket.read("data/a"):
                got += piece
                restart()
            assert got == content
        servers.close()
        servers.enter_context(ftp_server(port, tmp_path))
        assert bucket.head("data/a").size == len(content)
    assert restarts
    assert (tmp_path / "data" / "a").read_bytes() == content
    assert [path.name for path in (tmp_path / "data").iterdir() if path.suffix != ".standpipe-part"] == ["a"]


@pytest.mark.parametrize("method", ["ls", "info"])
def test_a_listing_that_is_interrupted_is_not_taken_for_whole(
    method: str, ftp: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = clients.connect(ftp[0])
    for key in ("listed/a/1", "listed/b/2", "listed/3"):
        bucket.write(key, b"content")
    call, failures = getattr(FTPFileSystem, method), list[str]()

    def fail_once(self: FTPFileSystem, path: str, *arguments: Any, **options: Any) -> Any:
        if path.endswith("/b" if method == "ls" else "/listed") and not failures:
            failures.append(path)
            raise ConnectionResetError
        return call(self, path, *arguments, **options)

    monkeypatch.setattr(FTPFileSystem, method, fail_once)
    assert {each.name for each in bucket.find("listed")} == {"listed/a/1", "listed/b/2", "listed/3"}
    assert failures


def test_a_server_that_has_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "ftp", {"password": "s3cr3t-of-ftp"})
    monkeypatch.setattr(fsspec_buckets, "_PAUSES", (0.01,))
    port = free_port()
    with ftp_server(port, tmp_path):
        bucket = clients.connect(f"ftp://me@127.0.0.1:{port}")
    with pytest.raises(StorageError, match="ConnectionRefusedError"):
        bucket.write("a", b"content")


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("nothing://data/a", "neither Standpipe nor fsspec has a client for nothing://"),
        ("file:///etc/passwd", "Standpipe has no client for file://"),
        ("simplecache::memory://data/a", "chains of URIs cannot be used"),
        ("memory://data/a::file:///etc/passwd", "chains of URIs cannot be used"),
        ("ftp://me:s3cr3t@host/a", "passwords in URIs would be stored. Configure fsspec"),
    ],
)
def test_other_uris_have_no_client(uri: str, problem: str, tmp_path: Path) -> None:
    store = RemoteArtifactStore(tmp_path / "root", "", LIMIT)
    assert problem in store.find_problem(uri)
    with pytest.raises(StorageError, match=r"Cannot download .*: "):
        store.fetch(uri, tmp_path / "copy", tmp_path, Cancellation())
    with pytest.raises(ArgumentError, match=r"Invalid pipeline_root="):
        local.run(passing, **options(tmp_path, pipeline_root=uri))


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget which schemes have implementations."""
    fsspec_schemes._problem_of.cache_clear()
    yield
    fsspec_schemes._problem_of.cache_clear()


def test_without_fsspec_it_is_named(fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ArgumentError, match=r"for sftp://\. If `fsspec` has one, install: pip install fsspec"):
        local.run(passing, **options(tmp_path, pipeline_root="sftp://host/runs"))


def test_a_package_that_an_implementation_needs_is_named(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "paramiko", None)
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)
    with pytest.raises(ArgumentError, match='fsspec needs another package for sftp://: .*"paramiko"'):
        local.run(passing, **options(tmp_path, pipeline_root="sftp://host/runs"))
    with pytest.raises(ArgumentError, match="fsspec needs another package for hdfs://: .*pyarrow"):
        local.run(passing, **options(tmp_path, pipeline_root="hdfs://host/runs"))


def test_fsspec_is_imported_for_its_schemes_only(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from standpipe.artifact_stores.remote import RemoteArtifactStore\n"
        f"store = RemoteArtifactStore(Path({str(tmp_path)!r}), 's3://data', 1)\n"
        "store.find_problem('s3://data/a'), store.find_problem('http://host/a')\n"
        "print('fsspec' in sys.modules, 'yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
