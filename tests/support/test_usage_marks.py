"""Marks of use."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from standpipe.support.untrusted_files import UntrustedFileError
from standpipe.support.usage_marks import ENDING, UsageMarks, last_use, mark_path, reserved, using


def test_a_thing_that_is_used_is_not_reserved(tmp_path: Path) -> None:
    with reserved(tmp_path, "one") as is_unused:
        assert is_unused
    UsageMarks(tmp_path).hold("one")
    with reserved(tmp_path, "one") as is_unused:
        assert not is_unused
    with reserved(tmp_path, "two") as is_unused:
        assert is_unused


def test_the_time_of_the_last_use_is_kept(tmp_path: Path) -> None:
    assert last_use(tmp_path, "one") == 0
    mark = tmp_path / f"one{ENDING}"
    mark.touch()
    os.utime(mark, (1, 1))
    UsageMarks(tmp_path).hold("one")
    assert last_use(tmp_path, "one") == pytest.approx(time.time(), abs=60)


def test_many_threads_and_objects_hold_the_same(tmp_path: Path) -> None:
    marks = UsageMarks(tmp_path / "new")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    threads = [threading.Thread(target=marks.hold, args=("one",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    UsageMarks(tmp_path / "new").hold("one")
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_what_is_being_removed_is_waited_for(tmp_path: Path) -> None:
    class GivenUpError(Exception):
        pass

    def give_up() -> None:
        raise GivenUpError

    marks = UsageMarks(tmp_path)
    with reserved(tmp_path, "one"), pytest.raises(GivenUpError):
        marks.hold("one", keep_waiting=give_up)
    marks.hold("one", keep_waiting=give_up)


def test_where_nothing_can_be_marked_nothing_is_unused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    UsageMarks(tmp_path / "file").hold("one")
    with reserved(tmp_path / "file", "one") as is_unused:
        assert not is_unused
    assert last_use(tmp_path / "file", "one") == 0


def test_a_link_in_place_of_a_mark_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / f"one{ENDING}").symlink_to(tmp_path / "elsewhere")
    UsageMarks(tmp_path).hold("one")
    assert not (tmp_path / "elsewhere").exists()


def test_a_block_marks_a_thing_for_its_length(tmp_path: Path) -> None:
    def is_unused() -> bool:
        with reserved(folder, "one", tmp_path) as answer:
            return answer

    def fail() -> None:
        raise AssertionError

    folder = tmp_path / "new"
    with using(folder, "one", tmp_path, keep_waiting=fail), using(folder, "one", tmp_path, keep_waiting=fail):
        assert not is_unused()
    assert is_unused()


def test_a_mark_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "things"
    folder.mkdir()
    removal = ExitStack()
    assert removal.enter_context(reserved(folder, "one"))

    def remove() -> None:
        os.remove(mark_path(folder, "one"))
        removal.close()

    with using(folder, "one", tmp_path, keep_waiting=remove), reserved(folder, "one") as is_unused:
        assert mark_path(folder, "one").exists()
        assert not is_unused


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "root" / "things").symlink_to(tmp_path / "outside")
    with (
        pytest.raises(UntrustedFileError),
        using(tmp_path / "root" / "things", "one", tmp_path / "root", keep_waiting=lambda: None),
    ):
        pass
    assert list((tmp_path / "outside").iterdir()) == []
