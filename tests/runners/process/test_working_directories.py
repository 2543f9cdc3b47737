import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from standpipe.runners.process.working_directories import WorkingDirectories


@pytest.fixture
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkingDirectories:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return WorkingDirectories()


def nothing(folder: Path) -> None:
    assert os.listdir(folder) == []


def create_and_remove(folder: Path) -> None:
    (folder / "file").touch()
    (folder / "file").unlink()


def leave_files(folder: Path) -> None:
    (folder / "deep" / "down").mkdir(parents=True)
    (folder / "deep").chmod(0o500)


def replace(folder: Path) -> None:
    folder.rmdir()
    folder.mkdir(0o700)


def link(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to(folder.parent)


@pytest.mark.parametrize(
    ("task", "is_kept"),
    [
        (nothing, True),
        (create_and_remove, False),
        (leave_files, False),
        (lambda folder: folder.chmod(0o755), False),
        (os.rmdir, False),
        (replace, False),
        (link, False),
    ],
)
def test_only_an_untouched_directory_is_used_again(
    directories: WorkingDirectories, tmp_path: Path, task: Callable[[Path], object], is_kept: bool
) -> None:
    with directories.use() as first:
        task(Path(first))
    assert os.path.lexists(first) == is_kept
    with directories.use() as second:
        assert (second == first) == is_kept
        assert os.listdir(second) == []
        assert Path(second).stat().st_mode & 0o777 == 0o700

    directories.clear()
    assert os.listdir(tmp_path) == []


def test_tasks_at_once_have_their_own(directories: WorkingDirectories) -> None:
    with directories.use() as one, directories.use() as other:
        assert one != other


def test_the_end_of_a_run_removes_what_no_task_uses(directories: WorkingDirectories, tmp_path: Path) -> None:
    with directories.use() as in_use:
        with directories.run(), directories.use() as folder:
            pass
        assert not Path(folder).exists()
        assert os.listdir(tmp_path) == [Path(in_use).name]


def test_a_directory_that_was_changed_between_tasks_is_not_used(directories: WorkingDirectories) -> None:
    with directories.use() as first:
        pass
    (Path(first) / "file").touch()

    with directories.use() as second:
        assert os.listdir(second) == []


def test_an_error_keeps_nothing(directories: WorkingDirectories, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), directories.use():
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == []


def test_a_forked_child_has_none(directories: WorkingDirectories, tmp_path: Path) -> None:
    with directories.use() as folder:
        pass
    directories.after_fork_in_child()
    directories.clear()

    assert os.listdir(tmp_path) == [Path(folder).name]
