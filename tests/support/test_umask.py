"""Restriction and restoration of the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from standpipe.support import umask
from standpipe.support.umask import restrict_umask


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def current() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


@pytest.mark.parametrize(("own", "inside"), [(0o000, 0o002), (0o020, 0o022), (0o022, 0o022), (0o077, 0o077)])
@pytest.mark.parametrize("told", ["by the kernel", "by changing it"])
def test_the_umask_is_restricted_until_the_last_block_ends(
    own: int, inside: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told == "by changing it":

        def nowhere(*_: object, **__: object) -> None:
            raise FileNotFoundError

        monkeypatch.setattr(umask, "open", nowhere, raising=False)
    os.umask(own)
    first, second = restrict_umask(), restrict_umask()
    with first:
        assert current() == inside
        second.__enter__()
    assert current() == inside, "the other block is still open"
    second.__exit__(None, None, None)
    assert current() == own


def test_a_forked_child_is_in_no_block() -> None:
    os.umask(0o000)
    with restrict_umask():
        pid = os.fork()
        if pid == 0:
            outside = current()
            with restrict_umask():
                inside = current()
            os._exit(0 if (outside, inside, current()) == (0o000, 0o002, 0o000) else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert current() == 0o002
    assert current() == 0o000
