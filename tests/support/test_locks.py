"""Locks between processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standpipe.support.locks import lock_file, try_lock


class GivenUp(Exception):
    """The one who waits has given up."""


def give_up() -> None:
    raise GivenUp


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_only_one_holds_an_exclusive_lock(tmp_path: Path) -> None:
    first, second = opened(tmp_path / "lock"), opened(tmp_path / "lock")

    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)


def test_several_hold_a_shared_lock(tmp_path: Path) -> None:
    first, second, third = (opened(tmp_path / "lock") for _ in range(3))

    assert try_lock(first, shared=True)
    assert try_lock(second, shared=True)
    assert not try_lock(third)
    for descriptor in (first, second, third):
        os.close(descriptor)


def test_a_folder_can_be_locked(tmp_path: Path) -> None:
    first, second = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)

    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    os.close(second)


def test_a_file_is_locked_for_the_length_of_a_block(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with lock_file(path, keep_waiting=give_up), pytest.raises(GivenUp), lock_file(path, keep_waiting=give_up):
        pytest.fail("the lock was taken twice")
    with lock_file(path, keep_waiting=give_up):
        assert path.exists()


def test_who_waits_is_told_once_and_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = opened(path)
    assert try_lock(holder)
    told: list[str] = []
    waits: list[int] = []

    def keep_waiting() -> None:
        waits.append(len(waits))
        if len(waits) == 2:
            os.close(holder)

    with lock_file(path, keep_waiting=keep_waiting, on_wait=lambda: told.append("waiting")):
        assert told == ["waiting"]
        assert waits == [0, 1]
