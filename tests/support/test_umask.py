"""Restriction and restoration of the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from standpipe.support import umask
from standpipe.support.umask import GROUP, PRIVATE, private_mode, restrict_umask


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def current() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


@pytest.mark.parametrize("own", [0o000, 0o022, 0o077, 0o277])
@pytest.mark.parametrize("told", ["by the kernel", "by changing it"])
def test_the_umask_is_restricted_until_the_last_block_ends(
    own: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told == "by changing it":

        def nowhere(*_: object, **__: object) -> None:
            raise FileNotFoundError

        monkeypatch.setattr(umask, "open", nowhere, raising=False)
    os.umask(own)
    first, second, third = restrict_umask(GROUP), restrict_umask(PRIVATE), restrict_umask(GROUP)
    with first:
        assert current() == GROUP
        second.__enter__()
        third.__enter__()
        assert current() == PRIVATE, "the strictest one is in effect"
    assert current() == PRIVATE, "other blocks are still open"
    second.__exit__(None, None, None)
    assert current() == GROUP
    third.__exit__(None, None, None)
    assert current() == own


@pytest.mark.parametrize(
    ("mode", "alone", "with_group"),
    [(0o644, 0o600, 0o660), (0o755, 0o700, 0o770), (0o4777, 0o700, 0o770), (0o400, 0o400, 0o440), (0o077, 0, 0)],
)
def test_the_group_gets_what_the_owner_has(mode: int, alone: int, with_group: int) -> None:
    assert (private_mode(mode, PRIVATE), private_mode(mode, GROUP)) == (alone, with_group)


def test_a_forked_child_is_in_no_block() -> None:
    os.umask(0o000)
    with restrict_umask():
        pid = os.fork()
        if pid == 0:
            outside = current()
            with restrict_umask():
                inside = current()
            os._exit(0 if (outside, inside, current()) == (0o000, PRIVATE, 0o000) else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert current() == PRIVATE
    assert current() == 0o000
