"""Payloads on this machine: what is kept, what is removed, and what is never taken for whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from standpipe.artifact_stores.payload_cache import PayloadCache, name_of_content, name_of_version
from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.values import Checksum
from standpipe.support.usage_marks import mark_path
from tests.processes import run_together


def writing(content: str = "content") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(content)

    return write


def fill(cache: PayloadCache, name: str, content: str, used: float) -> None:
    """Add an entry that was last used at a time."""
    with cache.holding(name, writing(content), Cancellation()):
        pass
    set_used(cache, name, used)


def set_used(cache: PayloadCache, name: str, used: float) -> None:
    os.utime(mark_path(cache.path(name).parent.parent, name), (used, used))


def test_a_payload_is_downloaded_once(tmp_path: Path) -> None:
    cache, downloads = PayloadCache(tmp_path, 10**6), []

    def download(path: Path) -> None:
        downloads.append(path)
        path.write_text("content")

    for _ in range(3):
        with cache.holding("a", download, Cancellation()) as path:
            assert path.read_text() == "content"
    assert len(downloads) == 1


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_download_that_fails_leaves_nothing_that_counts(tmp_path: Path, is_folder: bool) -> None:
    def interrupt(path: Path) -> None:
        if is_folder:
            path.mkdir()
        (path / "part" if is_folder else path).write_text("part")
        raise StorageError("interrupted")

    cache = PayloadCache(tmp_path, 10**6)
    with pytest.raises(StorageError, match="interrupted"), cache.holding("a", interrupt, Cancellation()):
        pass
    assert not cache.has("a")
    with cache.holding("a", writing("whole"), Cancellation()) as path:
        assert path.read_text() == "whole"


def test_what_was_not_used_for_the_longest_time_is_removed_first(tmp_path: Path) -> None:
    cache = PayloadCache(tmp_path, 250)
    for name, used in (("old", 2), ("older", 1), ("new", 3)):
        fill(cache, name, "x" * 100, used)
    assert [name for name in ("older", "old", "new") if cache.has(name)] == ["old", "new"]


def test_what_is_in_use_is_never_removed(tmp_path: Path) -> None:
    cache = PayloadCache(tmp_path, 150)
    fill(cache, "used", "x" * 100, 1)
    with cache.holding("used", writing(), Cancellation()) as path:
        set_used(cache, "used", 1)
        for number in range(3):
            with cache.holding(f"large-{number}", writing("x" * 200), Cancellation()) as large:
                assert large.exists()
                assert path.read_text() == "x" * 100
    fill(cache, "last", "x" * 10, 5)
    assert cache.has("last")
    assert not cache.has("large-0")


def test_entries_are_only_listed_when_there_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listings = []
    list_entries = PayloadCache._entries
    monkeypatch.setattr(PayloadCache, "_entries", lambda self: (listings.append(1), list_entries(self))[1])
    for number in range(40):
        fill(PayloadCache(tmp_path, 4500), str(number), "x" * 100, number)
    assert len(listings) == 1, "the first process counts what is there"
    cache = PayloadCache(tmp_path, 4500)
    for number in range(40, 60):
        fill(cache, str(number), "x" * 100, number)
    assert len(listings) <= 1 + 2 * 4, "two for each removal, which leaves room for the next payloads"
    kept = [number for number in range(60) if cache.has(str(number))]
    assert kept == list(range(kept[0], 60))
    assert 40 <= len(kept) <= 45
    assert not mark_path(tmp_path / ".payloads", "0").exists()


def test_sizes_are_counted_again_where_they_are_wrong(tmp_path: Path) -> None:
    cache = PayloadCache(tmp_path, 250)
    for name in ("a", "b"):
        fill(cache, name, "x" * 100, 1)
    for content in ("", "-", "10000"):  # damaged, or what a process that was killed has counted
        (tmp_path / ".payloads" / ".size").write_text(content)
        with cache.holding("c", writing("x"), Cancellation()):
            pass
        cache._remove("c")
        assert cache.has("a")
        assert cache.has("b")
    fill(cache, "a", "x" * 100, 2)
    for number in range(3, 6):
        fill(cache, str(number), "x" * 100, number)
    assert [name for name in ("a", "b", "3", "4", "5") if cache.has(name)] == ["4", "5"]


def test_a_payload_is_counted_once(tmp_path: Path) -> None:
    cache, name = PayloadCache(tmp_path, 10**6), name_of_version("s3://bucket/a", "etag")
    for content in ("content", "changed"):
        fill(cache, name, "x" * 100, 1)
        cache.path(name).write_text(content)
    fill(cache, name, "x" * 300, 1)
    assert (tmp_path / ".payloads" / ".size").read_text() == "300"
    for _ in range(2):
        cache.note(name, Checksum("sha256:abc", 300, ""), Cancellation())
        assert (tmp_path / ".payloads" / ".size").read_text() == "300"
        fill(cache, name, "x" * 300, 1)
        assert (tmp_path / ".payloads" / ".size").read_text() == "600"


def test_a_payload_that_moves_at_the_limit_is_counted_once(tmp_path: Path) -> None:
    cache, name = PayloadCache(tmp_path, 320), name_of_version("s3://bucket/a", "etag")
    fill(cache, "old", "x" * 20, 1)
    fill(cache, name, "x" * 310, 2)
    cache.note(name, Checksum("sha256:abc", 310, ""), Cancellation())
    assert (tmp_path / ".payloads" / ".size").read_text() == "310"


def test_a_payload_that_is_moved_in_is_there_once(tmp_path: Path) -> None:
    cache = PayloadCache(tmp_path, 10**6)
    for _ in range(2):
        (tmp_path / "output").write_text("content")
        cache.add("a", tmp_path / "output", Cancellation())
        assert not (tmp_path / "output").exists()
        assert cache.path("a").read_text() == "content"


def test_the_digest_of_a_version_is_known_without_its_payload(tmp_path: Path) -> None:
    cache, name = PayloadCache(tmp_path, 10**6), name_of_version("s3://bucket/a", "etag")
    checksum = Checksum("sha256:abc", 7, "signature")
    assert cache.digest(name) is None
    fill(cache, name, "content", 1)
    cache.note(name, checksum, Cancellation())
    assert cache.digest(name) == Checksum("sha256:abc", 7, "")
    assert cache.has(name_of_content(checksum))
    assert not cache.has(name)
    fill(cache, name, "content", 1)
    assert cache.digest(name) == Checksum("sha256:abc", 7, ""), "a second download does not forget it"


def test_a_payload_in_use_is_not_moved(tmp_path: Path) -> None:
    cache, checksum = PayloadCache(tmp_path, 10**6), Checksum("sha256:abc", 7, "")
    with cache.holding("a", writing(), Cancellation()) as path:
        cache.note("a", checksum, Cancellation())
        assert path.read_text() == "content"
    assert not cache.has(name_of_content(checksum))


def test_a_wait_for_another_download_ends_with_a_cancellation(tmp_path: Path) -> None:
    cache, begun, release, cancel = PayloadCache(tmp_path, 10**6), threading.Event(), threading.Event(), Cancellation()

    def stall(path: Path) -> None:
        begun.set()
        release.wait(30)
        path.write_text("content")

    def hold() -> None:
        with cache.holding("a", stall, Cancellation()):
            pass

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(30)
    threading.Timer(0.1, cancel.set).start()
    with pytest.raises(StorageError, match="cancelled"), cache.holding("a", writing(), cancel):
        pass
    release.set()
    thread.join()
    assert cache.has("a")


@pytest.mark.parametrize("state", ["", "[]", '{"signature": 1}', '{"signature": "", "size": 1, "other": 2}'])
def test_a_state_that_is_not_ours_does_not_count(tmp_path: Path, state: str) -> None:
    cache = PayloadCache(tmp_path, 10**6)
    fill(cache, "a", "content", 1)
    cache.path("a").with_name(".state").write_text(state)
    assert not cache.has("a")
    with cache.holding("a", writing("again"), Cancellation()) as path:
        assert path.read_text() == "again"


def test_processes_that_add_and_remove_at_once_lose_nothing(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from standpipe.artifact_stores.payload_cache import PayloadCache
from standpipe.model.cancellation import Cancellation
cache = PayloadCache(Path({str(tmp_path)!r}), 250)
print(flush=True)
input()
for number in range(60):
    name = str(number % 5)
    with cache.holding(name, lambda path: path.write_text(name * 100), Cancellation()) as path:
        assert path.read_text() == name * 100
"""
    assert run_together(program, [[]] * 3) == [""] * 3
