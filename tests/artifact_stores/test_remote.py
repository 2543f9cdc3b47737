"""The store that keeps payloads in object stores, on buckets in memory."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from standpipe.artifact_stores import web
from standpipe.artifact_stores.remote import RemoteArtifactStore
from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import ArtifactStore
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue
from tests.artifact_stores.contract import ArtifactStoreContract, put, write
from tests.artifact_stores.servers import Memory, memory

__all__ = ["memory"]

DATASET = ArtifactType("system.Dataset")
LIMIT = 10**9


class TestRemoteArtifactStore(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, memory: Memory) -> ArtifactStore:
        return RemoteArtifactStore(tmp_path / "root", "s3://data/runs", LIMIT)


@pytest.fixture
def store(tmp_path: Path, memory: Memory) -> RemoteArtifactStore:
    return RemoteArtifactStore(tmp_path / "root", "s3://data/runs", LIMIT)


@pytest.fixture
def location(store: RemoteArtifactStore, tmp_path: Path) -> str:
    """Return the location of an output."""
    folder = tmp_path / "root" / "run-1" / "task"
    folder.mkdir(parents=True)
    return store.locate(folder, "data")


def read(store: RemoteArtifactStore, artifact: ArtifactValue) -> str:
    """Return the content of a file as a task reads it."""
    with store.provide([artifact], Cancellation()):
        return Path(store.task_path(artifact)).read_text()


def test_an_uploaded_payload_is_read_without_a_download(
    store: RemoteArtifactStore, location: str, memory: Memory
) -> None:
    write(store, location, "content")
    artifact = ArtifactValue("data", DATASET, location, checksum=put(store, location))
    memory.delete(location)
    assert read(store, artifact) == "content"
    assert not Path(store.local_path(location)).exists()


def test_another_machine_downloads_it_once(
    store: RemoteArtifactStore, location: str, memory: Memory, tmp_path: Path
) -> None:
    write(store, location, "content")
    artifact = ArtifactValue("data", DATASET, location, checksum=put(store, location))
    other = RemoteArtifactStore(tmp_path / "other", "s3://data/runs", LIMIT)
    assert read(other, artifact) == "content"
    memory.delete(location)
    assert read(other, artifact) == "content"
    third = RemoteArtifactStore(tmp_path / "third", "s3://data/runs", LIMIT)
    with pytest.raises(StorageError, match=f"Cannot download {location}: nothing is there. Rerun the task"):
        read(third, artifact)


def test_what_was_overwritten_is_not_what_its_task_left(
    store: RemoteArtifactStore, location: str, memory: Memory, tmp_path: Path
) -> None:
    write(store, location, "content")
    artifact = ArtifactValue("data", DATASET, location, checksum=put(store, location))
    memory.write(location, b"another")
    other = RemoteArtifactStore(tmp_path / "other", "s3://data/runs", LIMIT)
    for _ in range(2):
        with pytest.raises(
            StorageError, match=f"{location} was overwritten: its checksum is sha256:.* expected sha256"
        ):
            read(other, artifact)


def test_a_task_that_changes_its_input_does_not_change_that_of_others(
    store: RemoteArtifactStore, location: str, memory: Memory
) -> None:
    write(store, location, "content")
    artifact = ArtifactValue("data", DATASET, location, checksum=put(store, location))
    path = Path(store.task_path(artifact))
    path.write_text("changed")
    assert read(store, artifact) == "content"


def test_a_folder_keeps_empty_folders_and_links(store: RemoteArtifactStore, location: str, tmp_path: Path) -> None:
    tree = Path(store.local_path(location))
    (tree / "deep" / "empty").mkdir(parents=True)
    (tree / "deep" / "file").write_text("content")
    (tree / "link").symlink_to("deep/file")
    checksum = put(store, location)
    store.fetch(location, tmp_path / "space" / "copy", tmp_path / "space", Cancellation())
    copy = tmp_path / "space" / "copy"
    assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*")) == [
        "deep",
        "deep/empty",
        "deep/file",
        "link",
    ]
    assert (copy / "link").read_text() == "content"
    other = RemoteArtifactStore(tmp_path / "other", "s3://data/runs", LIMIT)
    found = other.checksum(location, Cancellation())
    assert found
    assert found.digest == checksum.digest


def test_an_empty_folder_and_an_empty_file_are_payloads(store: RemoteArtifactStore, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "run-1" / "task"
    (folder / "tree").mkdir(parents=True)
    (folder / "file").touch()
    for name in ("tree", "file"):
        location = store.locate(folder, name)
        put(store, location)
        assert store.exists(location)
        store.fetch(location, tmp_path / "space" / name, tmp_path / "space", Cancellation())
    assert (tmp_path / "space" / "tree").is_dir()
    assert (tmp_path / "space" / "file").read_bytes() == b""


def test_a_link_out_of_a_folder_is_refused(store: RemoteArtifactStore, location: str, tmp_path: Path) -> None:
    tree = Path(store.local_path(location))
    tree.mkdir()
    (tmp_path / "root" / "run-1" / "other").write_text("content")
    (tree / "link").symlink_to("../../other")
    with pytest.raises(StorageError, match="its link link leads out of it, which object stores cannot keep"):
        store.put(location, Cancellation())


def test_an_upload_removes_what_an_interrupted_one_has_left(
    store: RemoteArtifactStore, location: str, memory: Memory
) -> None:
    memory.write(f"{location}/part-1", b"old")
    memory.write(f"{location}/stale", b"old")
    write(store, location, "new", at=Path(store.local_path(location), "part-1"))
    put(store, location)
    assert memory.keys("s3://data") == ["runs/run-1/task/data/part-1"]


def test_keys_that_share_a_prefix_are_apart(store: RemoteArtifactStore, tmp_path: Path, memory: Memory) -> None:
    one, twelve = (store.locate(tmp_path / "root" / run / "task", "data") for run in ("run-1", "run-12"))
    for location in (one, twelve):
        write(store, location, location, at=Path(store.local_path(location), "file"))
        put(store, location)
    memory.write("s3://data/runs/run-1/task/database", b"another")
    store.remove(one)
    assert not store.exists(one)
    assert memory.keys("s3://data") == ["runs/run-1/task/database", "runs/run-12/task/data/file"]


def test_the_marker_of_a_folder_is_not_a_file(store: RemoteArtifactStore, memory: Memory, tmp_path: Path) -> None:
    for key, content in (("dir", b""), ("dir/deep", b""), ("dir/deep/a", b"a")):  # consoles make such objects
        memory.write(f"s3://other/{key}", content)
    store.fetch("s3://other/dir", tmp_path / "space" / "copy", tmp_path / "space", Cancellation())
    assert [path.name for path in (tmp_path / "space" / "copy").rglob("*")] == ["deep", "a"]


@pytest.mark.parametrize("key", ["a//b", "a/../b", "./a", ".."])
def test_hostile_keys_are_refused(store: RemoteArtifactStore, key: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"its key has an empty step, `\.` or `\.\.`"):
        store.fetch(f"s3://data/{key}", tmp_path / "copy", tmp_path, Cancellation())


@pytest.mark.parametrize(
    ("root", "name", "problem"),
    [
        ("s3://data", "new\nline", r"Cannot use s3://data/.*/new\\nline: its key has a control character"),
        ("gs://data", os.fsdecode(b"bad\xff"), r"/bad\\udcff: its key has a control character, or is not UTF-8\. Use"),
        ("az://data", "back\\slash", "its key has a backslash, which Azure takes for a slash"),
        ("memory://data", "what?", r"its key has one of the characters \* \? \[ \], which `fsspec` takes"),
    ],
)
def test_a_name_that_a_store_cannot_keep_is_an_error(
    root: str, name: str, problem: str, memory: Memory, tmp_path: Path
) -> None:
    store = RemoteArtifactStore(tmp_path / "root", root, LIMIT)
    location = store.locate(tmp_path / "root" / "run" / "task", "data")
    write(store, location, "content", at=Path(store.local_path(location), name))
    with pytest.raises(StorageError, match=problem):
        store.put(location, Cancellation())


@pytest.mark.parametrize("is_link", [True, False])
def test_a_folder_or_link_whose_name_is_not_utf_8_is_an_error(
    is_link: bool, store: RemoteArtifactStore, location: str
) -> None:
    odd = Path(store.local_path(location), os.fsdecode(b"bad\xff"))
    odd.parent.mkdir()
    if is_link:
        odd.symlink_to(".")
    else:
        odd.mkdir()
    with pytest.raises(StorageError, match="name of a folder or link in it is not UTF-8"):
        store.put(location, Cancellation())


def test_other_names_are_kept(store: RemoteArtifactStore, location: str, tmp_path: Path) -> None:
    names = {
        "a b",
        " a ",
        "\u00fc",
        "e\u0301",
        "%41",
        "a+b",
        "a#b",
        "a?b",
        "a\\b",
        "a*b",
        "'\"",
        "[x]",
        "..a",
        "a..",
        "~",
    }
    for name in names:
        write(store, location, name, at=Path(store.local_path(location), name))
    put(store, location)
    store.fetch(location, tmp_path / "space" / "copy", tmp_path / "space", Cancellation())
    assert {path.name for path in (tmp_path / "space" / "copy").iterdir()} == names
    assert all(path.read_text() == path.name for path in (tmp_path / "space" / "copy").iterdir())


def test_a_name_that_is_too_long_for_a_file_is_an_error(
    store: RemoteArtifactStore, memory: Memory, tmp_path: Path
) -> None:
    memory.write(f"s3://other/dir/{'x' * 300}")
    with pytest.raises(StorageError, match="Cannot download s3://other/dir to .*: File name too long"):
        store.fetch("s3://other/dir", tmp_path / "copy", tmp_path, Cancellation())


def test_a_file_and_a_folder_of_one_name_are_an_error(
    store: RemoteArtifactStore, memory: Memory, tmp_path: Path
) -> None:
    memory.write("s3://other/dir/a")
    memory.write("s3://other/dir/a/b")
    with pytest.raises(StorageError, match="Cannot download s3://other/dir to "):
        store.fetch("s3://other/dir", tmp_path / "copy", tmp_path, Cancellation())


def test_a_whole_bucket_is_not_a_payload(store: RemoteArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="names a whole bucket"):
        store.fetch("s3://data", tmp_path / "copy", tmp_path, Cancellation())


def test_notes_of_a_folder_that_are_not_ours_are_an_error(
    store: RemoteArtifactStore, memory: Memory, tmp_path: Path
) -> None:
    memory.write("s3://other/dir/a")
    for content in (b"[]", b"{", b'{"folders": 1, "links": {}}'):
        memory.write("s3://other/dir.standpipe-folder.json", content)
        with pytest.raises(StorageError, match=r"dir\.standpipe-folder\.json is not of Standpipe"):
            store.fetch("s3://other/dir", tmp_path / "copy", tmp_path, Cancellation())


def test_notes_of_a_folder_lead_nowhere_else(store: RemoteArtifactStore, memory: Memory, tmp_path: Path) -> None:
    memory.write("s3://other/dir/a")
    memory.write("s3://other/dir.standpipe-folder.json", b'{"folders": ["../../out"], "links": {}}')
    with pytest.raises(Exception, match="leads out of"):
        store.fetch("s3://other/dir", tmp_path / "space" / "copy", tmp_path / "space", Cancellation())
    assert not (tmp_path / "out").exists()


def test_one_version_of_a_uri_is_read_during_a_run(store: RemoteArtifactStore, memory: Memory) -> None:
    memory.write("s3://other/data", b"first")
    artifact = ArtifactValue("data", DATASET, "s3://other/data")
    assert read(store, artifact) == "first"
    memory.write("s3://other/data", b"second")
    assert read(store, artifact) == "first"
    assert read(RemoteArtifactStore(store._state_root, "", LIMIT), artifact) == "second"


def test_a_large_file_is_downloaded_in_parts(store: RemoteArtifactStore, memory: Memory, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096 * 40  # 40 MiB: two whole parts and a half
    memory.write("s3://other/large", content)
    store.fetch("s3://other/large", tmp_path / "space" / "copy", tmp_path / "space", Cancellation())
    assert (tmp_path / "space" / "copy").read_bytes() == content


def test_threads_that_want_one_payload_download_it_once(
    store: RemoteArtifactStore, location: str, memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, location, "content")
    artifact = ArtifactValue("data", DATASET, location, checksum=put(store, location))
    other, downloads = RemoteArtifactStore(tmp_path / "other", "s3://data/runs", LIMIT), []
    restore = other._restore
    monkeypatch.setattr(other, "_restore", lambda *each: (downloads.append(each), restore(*each)))
    threads = [threading.Thread(target=read, args=(other, artifact)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(downloads) == 1


def test_a_web_server_that_is_busy_is_asked_again(
    store: RemoteArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_PAUSES", (0.01, 0.01, 0.01))
    statuses, bodies = [503, 405, 502, 200, 503, 200], [b"content", b"content"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = statuses.pop(0)
            body = b"" if status != 200 else bodies.pop()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET  # which answers 405 after the first 503

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as it is called there
            """Do nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}/data"
        store.fetch(uri, tmp_path / "copy", tmp_path, Cancellation())
        statuses[:] = [403, 403]
        with pytest.raises(StorageError, match=r"Cannot download http://.*/data\?\*\*\*: HTTP Error 403") as failed:
            store.fetch(f"{uri}?signature=s3cr3t", tmp_path / "copy", tmp_path, Cancellation())
        assert "s3cr3t" not in str(failed.value)
        server.shutdown()
    assert (tmp_path / "copy").read_bytes() == b"content"
