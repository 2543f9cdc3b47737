"""New folders for attempts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from standpipe.support.new_folders import make_folder
from standpipe.support.untrusted_files import UntrustedFileError


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
