"""What every artifact store must do. The test file of a store subclasses this and implements the fixture `store`."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from standpipe.errors import StandpipeError
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import ArtifactStore
from standpipe.model.values import Checksum


class ArtifactStoreContract(ABC):
    """Subclass it as `TestMyStore` and implement the fixture `store`. Every test gets a store of its own."""

    @pytest.fixture
    @abstractmethod
    def store(self, tmp_path: Path) -> ArtifactStore:
        """Return an empty store for runs below `tmp_path / "root"`, which does not exist yet."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Return the folder of an attempt, as `execution` makes it."""
        folder = tmp_path / "root" / "run-1" / "task"
        folder.mkdir(parents=True)
        return folder

    # --- locations

    def test_a_new_output_has_a_location_and_a_path_but_no_payload(self, store: ArtifactStore, folder: Path) -> None:
        location = store.locate(folder, "data")
        assert Path(store.local_path(location)).is_absolute()
        assert store.owns(location)
        assert not store.exists(location)
        assert store.checksum(location, Cancellation()) is None
        assert store.put(location, Cancellation()) is None
        assert store.signature(location) == ""

    def test_each_output_of_each_attempt_has_a_location_of_its_own(self, store: ArtifactStore, folder: Path) -> None:
        folders = [folder, folder.with_name("task@1"), folder.parent.with_name("run-2") / "task"]
        names = ["data", "model", "a/b", "a%2Fb", "..", "../up", "log.txt", "x" * 400]
        locations = [store.locate(each, name) for each in folders for name in names]
        paths = {store.local_path(location) for location in locations}
        assert len(set(locations)) == len(paths) == len(folders) * len(names)
        assert not any(".." in Path(path).parts for path in paths)

    @pytest.mark.parametrize("location", ["unknown://host/data", "relative/path", "", "/no/such/file", "/\0"])
    def test_methods_answer_for_locations_of_other_stores(
        self, store: ArtifactStore, location: str, tmp_path: Path
    ) -> None:
        assert store.put(location, Cancellation()) is None
        assert store.checksum(location, Cancellation()) is None
        assert store.signature(location) == ""
        assert not store.owns(location)
        assert not store.exists(location)
        with pytest.raises((StandpipeError, OSError, ValueError)):
            store.fetch(location, tmp_path / "copy", tmp_path, Cancellation())
        assert not (tmp_path / "copy").exists()

    # --- payloads

    def test_a_file_that_was_put_can_be_checked_and_fetched(
        self, store: ArtifactStore, folder: Path, tmp_path: Path
    ) -> None:
        location = store.locate(folder, "data")
        write(store, location, "content")
        checksum = put(store, location)
        assert checksum.digest == f"sha256:{hashlib.sha256(b'content').hexdigest()}"
        assert checksum.size == 7
        assert store.exists(location)
        assert store.checksum(location, Cancellation()) == checksum
        assert store.signature(location) == checksum.signature != ""
        store.fetch(location, tmp_path / "space" / "deep" / "copy", tmp_path / "space", Cancellation())
        assert (tmp_path / "space" / "deep" / "copy").read_text() == "content"

    def test_a_folder_that_was_put_can_be_checked_and_fetched(
        self, store: ArtifactStore, folder: Path, tmp_path: Path
    ) -> None:
        one, two = store.locate(folder, "one"), store.locate(folder, "two")
        for location in (one, two):
            write(store, location, "a", at=Path(store.local_path(location), "deep", "a"))
        assert put(store, one).digest == put(store, two).digest
        assert put(store, one).size == 1
        store.fetch(one, tmp_path / "space" / "copy", tmp_path / "space", Cancellation())
        assert (tmp_path / "space" / "copy" / "deep" / "a").read_text() == "a"

    def test_a_payload_that_is_written_again_is_another(self, store: ArtifactStore, folder: Path) -> None:
        location = store.locate(folder, "data")
        write(store, location, "a")
        before = put(store, location)
        write(store, location, "b")
        after = put(store, location)
        assert before.digest != after.digest
        assert before.signature != after.signature == store.signature(location)

    def test_a_fetched_file_replaces_what_was_there(self, store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
        location, copy = store.locate(folder, "data"), tmp_path / "space" / "copy"
        for content in ("first", "second"):
            write(store, location, content)
            put(store, location)
            store.fetch(location, copy, tmp_path / "space", Cancellation())
            assert copy.read_text() == content
        assert [path.name for path in copy.parent.iterdir()] == ["copy"]
        copy.write_text("a task changes its copy")
        assert put(store, location).digest == f"sha256:{hashlib.sha256(b'second').hexdigest()}"

    def test_no_link_leads_a_copy_out_of_its_root(self, store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
        location = store.locate(folder, "data")
        write(store, location, "content")
        put(store, location)
        (tmp_path / "outside").mkdir()
        (tmp_path / "space").mkdir()
        (tmp_path / "space" / "link").symlink_to(tmp_path / "outside")
        with pytest.raises(StandpipeError, match="link"):
            store.fetch(location, tmp_path / "space" / "link" / "copy", tmp_path / "space", Cancellation())
        assert list((tmp_path / "outside").iterdir()) == []

    def test_a_removed_payload_is_gone(self, store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
        file, tree = store.locate(folder, "file"), store.locate(folder, "tree")
        write(store, file, "content")
        write(store, tree, "content", at=Path(store.local_path(tree), "deep", "a"))
        for location in (file, tree):
            put(store, location)
            store.remove(location)
            assert not store.exists(location)
            assert store.checksum(location, Cancellation()) is None
            with pytest.raises((StandpipeError, OSError)):
                store.fetch(location, tmp_path / "copy", tmp_path, Cancellation())
            store.remove(location)  # there is nothing to remove, which is not an error

    def test_nothing_is_read_once_the_caller_has_cancelled(
        self, store: ArtifactStore, folder: Path, tmp_path: Path
    ) -> None:
        location, cancel = store.locate(folder, "data"), Cancellation()
        write(store, location, "content")
        put(store, location)
        cancel.set()
        assert store.checksum(location, cancel) is None
        assert store.put(location, cancel) is None
        with pytest.raises(StandpipeError, match="cancelled"):
            store.fetch(location, tmp_path / "copy", tmp_path, cancel)
        assert not (tmp_path / "copy").exists()

    def test_many_threads_may_use_it_at_once(self, store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
        def use(number: int) -> tuple[str, str]:
            location = store.locate(folder, str(number))
            write(store, location, str(number))
            digest = put(store, location).digest
            store.fetch(location, tmp_path / "space" / str(number), tmp_path / "space", Cancellation())
            return digest, (tmp_path / "space" / str(number)).read_text()

        with ThreadPoolExecutor(8) as pool:
            used = list(pool.map(use, range(24)))
        assert used == [(f"sha256:{hashlib.sha256(str(n).encode()).hexdigest()}", str(n)) for n in range(24)]


def write(store: ArtifactStore, location: str, content: str, at: Path | None = None) -> None:
    """Write a payload as a task does, or a file `at` a path in it."""
    path = at or Path(store.local_path(location))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    time.sleep(0.02)  # the clock of the file system must advance before a payload has a signature


def put(store: ArtifactStore, location: str) -> Checksum:
    checksum = store.put(location, Cancellation())
    assert checksum is not None
    return checksum
