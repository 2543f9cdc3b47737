"""Locks between processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standpipe.support.locks import lock_file, lock_temporary_file, try_lock


class GivenUp(Exception):
    """The waiting caller has given up."""


def give_up() -> None:
    raise GivenUp


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_an_exclusive_lock_has_one_holder(tmp_path: Path) -> None:
    first, second = opened(tmp_path / "lock"), opened(tmp_path / "lock")

    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)


def test_a_shared_lock_has_several_holders(tmp_path: Path) -> None:
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


def test_lock_file_holds_the_lock_during_the_block(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with lock_file(path, keep_waiting=give_up), pytest.raises(GivenUp), lock_file(path, keep_waiting=give_up):
        pytest.fail("the lock was taken twice")
    with lock_file(path, keep_waiting=give_up):
        assert path.exists()


def test_lock_file_calls_on_wait_once_and_gets_the_released_lock(tmp_path: Path) -> None:
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


def test_a_temporary_file_is_locked_and_then_removed(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with lock_temporary_file(path, keep_waiting=give_up):
        with pytest.raises(GivenUp), lock_temporary_file(path, keep_waiting=give_up):
            pytest.fail("the lock was taken twice")
        assert path.exists(), "who gives up removes nothing"
    assert not path.exists()


def test_a_file_that_its_holder_removes_is_not_the_one_that_the_next_one_locks(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = opened(path)
    assert try_lock(holder)

    def release() -> None:
        path.unlink()
        os.close(holder)

    with lock_temporary_file(path, keep_waiting=release):
        assert path.exists()
        with pytest.raises(GivenUp), lock_temporary_file(path, keep_waiting=give_up):
            pytest.fail("the lock was taken twice")
