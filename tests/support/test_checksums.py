"""Checksums of files and folders: what they are made of, what changes them, and what is not read."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    "change",
    [
        lambda outside: (outside / "more").write_text("more"),
        lambda outside: (outside / "sub" / "a").write_text("changed"),
        lambda outside: (outside / "sub" / "a").rename(outside / "sub" / "b"),
        shutil.rmtree,
    ],
)
def test_a_change_behind_a_link_that_leads_out_of_a_folder_is_seen(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub" / "a").write_text("a")
    folder.mkdir()
    (folder / "all").symlink_to(outside)
    (folder / "one").symlink_to("../outside/sub/a")
    before = checksum(aged(folder))
    change(outside)
    assert not is_unchanged(str(folder), before)
    assert checksum(folder).digest != before.digest


def test_what_a_link_leads_to_outside_of_a_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    (tmp_path / "private").chmod(0)
    (tmp_path / "folder").mkdir()
    for name, target in (
        ("private", "../private"),
        ("nothing", "../nothing"),
        ("loop", "loop"),
        ("device", "/dev/zero"),
    ):
        (tmp_path / "folder" / name).symlink_to(target)
    assert checksum(aged(tmp_path / "folder")).digest == checksum(tmp_path / "folder").digest


def test_a_link_to_very_many_files_leaves_a_folder_without_a_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "_MAX_OUTSIDE", 3)
    (tmp_path / "outside").mkdir()
    (tmp_path / "folder").mkdir()
    for name in ("a", "b"):
        (tmp_path / "outside" / name).touch()
    (tmp_path / "folder" / "first").symlink_to("../outside")
    assert compute_checksum(str(tmp_path / "folder"), Cancellation()) is not None
    (tmp_path / "folder" / "second").symlink_to("../outside")
    assert compute_checksum(str(tmp_path / "folder"), Cancellation()) is None
    assert compute_signature(str(tmp_path / "folder")) == ""


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


def test_a_payload_that_changes_while_it_is_read_has_no_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    file.write_text("a")
    digest = checksums._digest

    def written_meanwhile(path: str, cancel: Cancellation) -> str:
        try:
            return digest(path, cancel)
        finally:
            file.write_text("b")

    monkeypatch.setattr(checksums, "_digest", written_meanwhile)
    assert checksum(aged(file)).signature == ""
