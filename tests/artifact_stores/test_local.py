"""The store that keeps payloads where tasks write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import ArtifactStore
from tests.artifact_stores.contract import ArtifactStoreContract


class TestLocalArtifactStore(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return LocalArtifactStore([tmp_path / "root"])


def test_an_output_is_a_file_in_the_folder_of_its_attempt(tmp_path: Path) -> None:
    location = LocalArtifactStore([tmp_path]).locate(tmp_path / "run" / "task", "a/b")
    assert location == str(tmp_path / "run" / "task" / "a%2Fb")


def test_a_payload_is_at_its_path_or_where_its_bucket_is_mounted() -> None:
    store = LocalArtifactStore([])
    assert store.local_path("/a") == "/a"
    assert store.local_path("gs://bucket/a") == "/gcs/bucket/a"
    assert store.local_path("https://host/a") == ""
    assert store.local_path("relative") == ""


def test_only_payloads_below_a_root_are_its_own(tmp_path: Path) -> None:
    for name in ("root", "workspace", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_text("content")
    store = LocalArtifactStore([tmp_path / "root", tmp_path / "workspace"])
    own = {name: store.put(str(tmp_path / name / "data"), Cancellation()) for name in ("root", "workspace", "other")}
    assert [name for name, checksum in own.items() if checksum] == ["root", "workspace"]
    other = store.checksum(str(tmp_path / "other" / "data"), Cancellation())
    assert other
    assert own["root"]
    assert other.digest == own["root"].digest


def test_a_path_is_a_location(tmp_path: Path) -> None:
    store = LocalArtifactStore([tmp_path])
    location = store.locate(tmp_path, "data")
    Path(location).write_text("content")
    assert store.checksum(store.local_path(location), Cancellation()) == store.checksum(location, Cancellation())


def test_what_has_no_content_exists_without_a_checksum(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to(tmp_path / "missing")
    store = LocalArtifactStore([tmp_path])
    for location in (str(tmp_path / "broken"), "/dev/null"):
        assert store.exists(location)
        assert store.checksum(location, Cancellation()) is None


def test_a_folder_is_not_copied_over_links_that_lead_out(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "file").touch()
    (tmp_path / "space" / "copy").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "space" / "copy" / "deep").symlink_to(tmp_path / "outside")
    with pytest.raises(Exception, match="leads out of"):
        LocalArtifactStore([]).fetch(
            str(tmp_path / "data"), tmp_path / "space/copy", tmp_path / "space", Cancellation()
        )
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("kind", ["circle", "FIFO", "link outside"])
def test_what_has_no_end_or_leads_outside_is_not_copied(tmp_path: Path, kind: str) -> None:
    root, source = tmp_path / "root", tmp_path / "root" / "run" / "task" / "data"
    source.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    if kind == "circle":
        (source / "deep").mkdir()
        (source / "deep" / "up").symlink_to(source)
    elif kind == "FIFO":
        os.mkfifo(source / "fifo")
    else:
        source.rmdir()
        source.symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match="which contains it|is a FIFO|leads out of"):
        LocalArtifactStore([root]).fetch(str(source), tmp_path / "space" / "copy", tmp_path / "space", Cancellation())


@pytest.mark.parametrize("target", ["outside", "outside/file", "root/runs.sqlite", "root/run/other"])
def test_links_in_the_payload_of_a_task_are_not_copied_from_elsewhere(tmp_path: Path, target: str) -> None:
    root, source, space = tmp_path / "root", tmp_path / "root" / "run" / "task" / "data", tmp_path / "root/run/space"
    for folder in (source, space, tmp_path / "outside", root / "run" / "other"):
        folder.mkdir(parents=True)
    for file in (tmp_path / "outside" / "file", root / "runs.sqlite", space / "shared", source / "own"):
        file.write_text("content")
    (source / "inside").symlink_to("own")
    (source / "shared").symlink_to(space / "shared")
    store = LocalArtifactStore([root])
    store.fetch(str(source), space / "copy", space, Cancellation())
    assert {path.name for path in (space / "copy").iterdir()} == {"own", "inside", "shared"}
    (source / "link").symlink_to(tmp_path / target)
    with pytest.raises(StorageError, match=f"link, which a task probably created, leads to .*/{target}, outside of"):
        store.fetch(str(source), space / "second", space, Cancellation())
    assert not (space / "second" / "link").exists()


def test_only_what_the_caller_allows_is_copied(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "outside").touch()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "outside")
    source, allowed = str(tmp_path / "data"), [str(tmp_path / "data")]
    store = LocalArtifactStore([])
    with pytest.raises(StorageError, match="leads to .*/outside"):
        store.fetch(source, tmp_path / "space" / "copy", tmp_path / "space", Cancellation(), allowed.__contains__)
    store.fetch(source, tmp_path / "space" / "copy", tmp_path / "space", Cancellation())
