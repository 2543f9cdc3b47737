"""Checksums of files and folders: what they are made of, what changes them, and what is not read."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.model.cancellation import Cancellation
from standpipe.model.values import Checksum
from standpipe.support import checksums
from standpipe.support.checksums import compute_checksum, compute_signature


def checksum(path: Path) -> Checksum:
    computed = compute_checksum(str(path), Cancellation())
    assert computed is not None
    return computed


def is_unchanged(path: str, before: Checksum) -> bool:
    return bool(before.signature) and before.signature == compute_signature(path)


def aged(path: Path) -> Path:
    """The path, after the clock of the file system has advanced."""
    time.sleep(0.02)
    return path


def fill(folder: Path) -> Path:
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "b.txt").write_text("b")
    (folder / "sub" / "a").write_text("a")
    (folder / "link").symlink_to("b.txt")
    return folder


def test_the_checksum_of_a_file_is_the_digest_of_its_content(tmp_path: Path) -> None:
    content = os.urandom(3 * 1024 * 1024 + 1)
    (tmp_path / "f").write_bytes(content)
    found = checksum(tmp_path / "f")
    assert found.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert found.size == len(content)
    assert is_unchanged(str(tmp_path / "f"), found), "it waited until a change could be seen"


def test_what_has_just_changed_has_no_signature(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("a")
    fresh, old = checksum(file), checksum(aged(file))
    assert (fresh.signature, fresh.digest) == ("", old.digest)
    assert not is_unchanged(str(file), fresh)
    assert is_unchanged(str(file), old)


def test_a_change_of_the_same_size_and_time_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("a")
    before, times = checksum(aged(file)), file.stat()
    file.write_text("b")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not is_unchanged(str(file), before)
    assert checksum(file).digest != before.digest


def test_equal_folders_have_one_digest_wherever_they_are(tmp_path: Path) -> None:
    one, two = checksum(fill(tmp_path / "one")), checksum(fill(tmp_path / "two"))
    assert one.digest == two.digest
    assert one.size == 2


def replace_file(folder: Path) -> None:
    (folder / "sub" / "a").write_text("A")


def rename(folder: Path) -> None:
    (folder / "sub" / "a").rename(folder / "sub" / "c")


def move(folder: Path) -> None:
    (folder / "sub" / "a").rename(folder / "a")


def turn_link(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("sub")


def link_instead_of_file(folder: Path) -> None:
    (folder / "sub" / "a").unlink()
    (folder / "sub" / "a").symlink_to("a")


def add_folder(folder: Path) -> None:
    (folder / "sub" / "empty" / "more").mkdir()


def file_instead_of_folder(folder: Path) -> None:
    (folder / "sub" / "empty").rmdir()
    (folder / "sub" / "empty").touch()


@pytest.mark.parametrize(
    "change",
    [replace_file, rename, move, turn_link, link_instead_of_file, add_folder, file_instead_of_folder],
)
def test_every_change_in_a_folder_is_seen(tmp_path: Path, change: Callable[[Path], None]) -> None:
    folder = aged(fill(tmp_path / "folder"))
    before = checksum(folder)
    assert is_unchanged(str(folder), before)
    change(folder)
    assert not is_unchanged(str(folder), before)
    assert checksum(folder).digest != before.digest


def in_root(path: Path, root: Path) -> Checksum | None:
    return compute_checksum(str(path), Cancellation(), [str(root)])


CHANGES: list[Callable[[Path], object]] = [
    lambda linked: (linked / "more").write_text("more"),
    lambda linked: (linked / "sub" / "a").write_text("b"),
    lambda linked: (linked / "sub" / "a").rename(linked / "sub" / "b"),
    lambda linked: (linked / "sub" / "more").symlink_to("a"),
    shutil.rmtree,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_behind_a_link_to_another_folder_of_the_run_is_seen(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    linked, folder = tmp_path / "linked", tmp_path / "folder"
    (linked / "sub").mkdir(parents=True)
    (linked / "sub" / "a").write_text("a")
    folder.mkdir()
    (folder / "all").symlink_to(linked)
    (folder / "one").symlink_to("../linked/sub/a")
    before = in_root(aged(folder), tmp_path)
    assert before
    assert before.signature == compute_signature(str(folder), [str(tmp_path)]) != ""
    change(linked)
    assert compute_signature(str(folder), [str(tmp_path)]) != before.signature
    after = in_root(folder, tmp_path)
    assert after
    assert after.digest != before.digest


def test_a_change_of_the_same_size_and_time_behind_a_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").write_text("a")
    (tmp_path / "folder" / "one").symlink_to("../a")
    before, times = in_root(aged(tmp_path / "folder"), tmp_path), (tmp_path / "a").stat()
    (tmp_path / "a").write_text("b")
    os.utime(tmp_path / "a", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert before
    assert compute_signature(str(tmp_path / "folder"), [str(tmp_path)]) != before.signature
    assert in_root(tmp_path / "folder", tmp_path) != before


def test_every_way_of_a_link_counts_by_what_is_at_its_end(tmp_path: Path) -> None:
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(name)
    (other / "back").symlink_to("../folder/a")  # leaves the folder and comes back
    (other / "circle").symlink_to("../folder/circle")
    (folder / "through").symlink_to("../other/back")
    (folder / "circle").symlink_to("../other/circle")
    (folder / "itself").symlink_to("itself")
    (folder / "around").symlink_to(".")
    (folder / "missing").symlink_to("../other/missing")
    before = in_root(aged(folder), tmp_path)
    assert before
    assert in_root(folder, tmp_path) == before
    for name in ("back", "missing", "circle"):
        (other / name).unlink(missing_ok=True)
        (other / name).symlink_to("../folder/b")
        after = in_root(aged(folder), tmp_path)
        assert after
        assert after.digest != before.digest
        assert after.signature not in ("", before.signature)
        before = after


def test_a_link_through_more_links_than_the_system_follows_leads_to_nothing(tmp_path: Path) -> None:
    folder, previous = tmp_path / "folder", "file"
    folder.mkdir()
    (folder / "file").write_text("content")
    for number in range(1200):  # each of them would be followed to the file
        (folder / str(number)).symlink_to(previous)
        previous = str(number)
    before = in_root(aged(folder), tmp_path)
    assert before
    (folder / "5").unlink()
    (folder / "5").symlink_to("elsewhere")
    assert in_root(folder, tmp_path) != before
    (tmp_path / "payload").symlink_to(folder / "1199")
    assert compute_checksum(str(tmp_path / "payload"), Cancellation(), [str(tmp_path)]) is None
    assert LocalArtifactStore([tmp_path]).exists(str(tmp_path / "payload"))


def test_the_place_of_a_folder_and_the_text_of_its_links_make_no_difference(tmp_path: Path) -> None:
    found = []
    for root, absolute in ((tmp_path / "one", True), (tmp_path / "deep" / "two", False)):
        (root / "linked").mkdir(parents=True)
        (root / "linked" / "a").write_text("a")
        fill(root / "folder")
        (root / "folder" / "all").symlink_to(root / "linked" if absolute else "../linked")
        (root / "folder" / "own").symlink_to(root / "folder" / "b.txt" if absolute else "./b.txt")
        found.append(in_root(root / "folder", root))
    assert found[0]
    assert found[0].digest == (found[1] and found[1].digest)


@pytest.mark.parametrize("target", ["../../outside", "../../outside/a", "../../nothing", "..", "/dev/zero", "/"])
def test_a_folder_with_a_link_that_leads_outside_has_no_digest(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "root" / "folder"
    folder.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").write_text("a")
    (folder / "link").symlink_to(target)
    assert in_root(folder, tmp_path / "root") == Checksum("", 0, "")
    assert compute_signature(str(folder), [str(tmp_path / "root")]) == ""


def test_a_link_outside_of_the_payload_may_not_lead_out_of_the_root_either(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("folder", "other"):
        (root / name).mkdir(parents=True)
    (tmp_path / "outside").touch()
    (root / "folder" / "other").symlink_to("../other")
    assert in_root(root / "folder", root)
    (root / "other" / "link").symlink_to("../../outside")
    assert in_root(root / "folder", root) == Checksum("", 0, "")


def test_a_payload_that_is_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_text("a")
    (root / "link").symlink_to("a")
    before = in_root(aged(root / "link"), root)
    assert before == in_root(root / "a", root)
    assert before
    (root / "a").write_text("b")
    assert compute_signature(str(root / "link"), [str(root)]) != before.signature
    (tmp_path / "outside").touch()
    (root / "out").symlink_to("../outside")
    assert in_root(root / "out", root) == Checksum("", 0, "")
    (tmp_path / "mine").symlink_to("outside")
    assert in_root(tmp_path / "mine", root), "the user's own path may be a link"


def test_a_root_may_be_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "root" / "folder").mkdir(parents=True)
    (tmp_path / "root" / "a").touch()
    (tmp_path / "alias").symlink_to("root")
    (tmp_path / "root" / "folder" / "link").symlink_to(tmp_path / "alias" / "a")
    assert in_root(tmp_path / "alias" / "folder", tmp_path / "alias")


def test_links_to_very_many_files_leave_a_folder_without_a_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "_MAX_LINKED", 3)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("a", "b"):
            (tmp_path / name / file).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "first").symlink_to("../one")
    assert in_root(tmp_path / "folder", tmp_path)
    (tmp_path / "folder" / "second").symlink_to("../two")
    assert in_root(tmp_path / "folder", tmp_path) is None
    assert compute_signature(str(tmp_path / "folder"), [str(tmp_path)]) == ""


def test_an_empty_folder_is_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert checksum(tmp_path / "file").digest != checksum(tmp_path / "folder").digest


def test_the_order_of_the_file_system_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = checksum(fill(tmp_path / "folder"))
    scandir = os.scandir

    class Backwards:
        def __init__(self, path: str) -> None:
            with scandir(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            """Has nothing to close."""

    monkeypatch.setattr(os, "scandir", Backwards)
    assert checksum(tmp_path / "folder").digest == before.digest


def test_names_that_are_no_utf_8_are_names(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    try:
        (tmp_path / "folder" / "\udcff").touch()
    except OSError:
        pytest.skip("this file system takes no such names")
    assert checksum(tmp_path / "folder").size == 0


def test_what_becomes_a_fifo_while_it_is_listed_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "fifo")
    monkeypatch.setattr(checksums, "_kind", lambda _: "file")
    assert compute_checksum(str(tmp_path / "folder"), Cancellation()) is None


def test_what_has_no_content_has_no_checksum(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
    os.mkfifo(tmp_path / "fifo")
    for path in (folder, folder / "s", tmp_path / "fifo", tmp_path / "missing", Path("/dev/zero"), "/\0", "/\ud800"):
        assert compute_checksum(str(path), Cancellation()) is None
    assert compute_signature("/\0") == compute_signature(str(tmp_path / "missing")) == ""


def test_who_has_to_stop_reads_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a")
    cancel = Cancellation()
    cancel.set()
    assert compute_checksum(str(tmp_path / "f"), cancel) is None
    for number in range(3):
        (tmp_path / "files" / str(number)).mkdir(parents=True)  # of which nothing is read
    assert compute_checksum(str(tmp_path / "files"), Cancellation()) is not None
    assert compute_checksum(str(tmp_path / "files"), cancel) is None


def test_a_payload_that_changes_while_it_is_read_has_no_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    file.write_text("a")
    digest = checksums._digest

    def written_meanwhile(path: str, algorithm: str, cancel: Cancellation, roots: Sequence[str]) -> str:
        try:
            return digest(path, algorithm, cancel, roots)
        finally:
            file.write_text("b")

    monkeypatch.setattr(checksums, "_digest", written_meanwhile)
    assert checksum(aged(file)).signature == ""
