"""New folders for attempts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from standpipe.support.new_folders import make_folder, new_folder, replace_folder
from standpipe.support.untrusted_files import UntrustedFileError, create_file_in


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    run = tmp_path / "root" / "run"
    run.mkdir(parents=True)
    return run


def test_what_is_at_the_path_of_a_new_folder_is_moved_aside(run: Path) -> None:
    folder, aside = run / "loop" / "0" / "task", run / "aside"
    assert make_folder(folder, run.parent, aside) is None
    (folder / "file").write_text("first")
    first = make_folder(folder, run.parent, aside)
    assert first
    assert re.fullmatch(r"aside/[0-9a-f]{8}/loop/0/task", str(first.relative_to(run)))
    assert (first / "file").read_text() == "first"
    folder.rmdir()
    folder.symlink_to(run.parent.parent / "outside")
    second = make_folder(folder, run.parent, aside)
    assert second not in (None, first)
    assert second.readlink() == run.parent.parent / "outside"
    assert list(folder.iterdir()) == list((run.parent.parent / "outside").iterdir()) == []
    folder.rmdir()
    os.mkfifo(folder)
    third = make_folder(folder, run.parent, aside)
    assert third
    assert third.is_fifo()


def test_a_new_folder_stays_the_one_that_was_made(run: Path) -> None:
    folder, outside = run / "task", run.parent.parent / "outside"
    with new_folder(folder, run.parent, run / "aside") as (descriptor, moved):
        folder.rename(run / "elsewhere")
        folder.symlink_to(outside)
        os.close(create_file_in(descriptor, "log.txt", folder / "log.txt"))
        with pytest.raises(UntrustedFileError, match=f"{folder}/log.txt: it exists already"):
            create_file_in(descriptor, "log.txt", folder / "log.txt")
    assert moved is None
    assert list(outside.iterdir()) == []
    assert (run / "elsewhere" / "log.txt").is_file()


def test_a_link_in_place_of_the_new_folder_is_not_opened(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = os.mkdir

    def replace_after(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        os.rmdir(name, dir_fd=dir_fd)
        os.symlink(run.parent.parent / "outside", name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", replace_after)
    with (
        pytest.raises(UntrustedFileError, match="task is a symbolic link: expected a folder"),
        new_folder(run / "task", run.parent, run / "aside"),
    ):
        pass


def test_nothing_is_moved_through_a_link(run: Path) -> None:
    folder, aside = run / "task", run / "aside"
    folder.mkdir()
    aside.symlink_to(run.parent.parent / "outside")
    with pytest.raises(UntrustedFileError, match=f"{aside} is a symbolic link"):
        make_folder(folder, run.parent, aside)
    assert folder.is_dir()
    assert list((run.parent.parent / "outside").iterdir()) == []


def test_a_task_that_creates_a_folder_again_and_again_is_an_error(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = os.mkdir

    def create_before(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        if name == "task" and not os.path.exists(name):
            mkdir(name, mode, dir_fd=dir_fd)
        mkdir(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", create_before)
    with pytest.raises(UntrustedFileError, match="task: a task creates it again and again. Nothing was written"):
        make_folder(run / "task", run.parent, run / "aside")


def test_a_folder_is_replaced_by_another_one_that_gets_its_entries(run: Path) -> None:
    folder, other = run / "loop" / "task", run / "prepared" / "one"
    (folder / "output").mkdir(parents=True)
    other.mkdir(parents=True)
    (other / "own").touch()
    identity = other.stat().st_ino
    with open(folder / "log.txt", "w") as log:
        replace_folder(folder, other, run.parent)
        log.write("written after the move")
    assert folder.stat().st_ino == identity  # a mount of it stays
    assert sorted(path.name for path in folder.iterdir()) == ["log.txt", "output", "own"]
    assert (folder / "log.txt").read_text() == "written after the move"
    assert not other.exists()


@pytest.mark.parametrize("link", ["task", "prepared"])
def test_no_folder_is_replaced_through_a_link(run: Path, link: str) -> None:
    for name in ("task", "prepared"):
        (run / name).mkdir()
    (run / link).rmdir()
    (run / link).symlink_to(run.parent.parent / "outside")
    with pytest.raises(UntrustedFileError, match=f"{run / link} is a symbolic link"):
        replace_folder(run / "task", run / "prepared", run.parent)
    assert list((run.parent.parent / "outside").iterdir()) == []
