"""Logs that break in the middle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.runners.kubernetes.log_stream import LogPosition


def stamped(*lines: tuple[int, bytes]) -> bytes:
    """Return a log with the time before each line, as a node sends it."""
    return b"".join(b"2026-11-30T22:00:00.%09dZ %s" % line for line in lines)


def since(log: bytes, time: str) -> bytes:
    """Return what a node sends of a log since a time."""
    lines = log.splitlines(keepends=True)
    return b"".join(line for line in lines if line.partition(b" ")[0].decode() >= time)


def test_the_times_are_left_out() -> None:
    assert LogPosition().feed(stamped((1, b"one\n"), (2, b"two\r50 %\n"), (3, b"\xff\n"))) == b"one\ntwo\r50 %\n\xff\n"


def test_a_line_is_passed_on_as_it_comes() -> None:
    position = LogPosition()

    assert position.feed(stamped((1, b"one"))) == b"one"
    assert position.feed(b" more\n") == b" more\n"


@pytest.mark.parametrize("size", [1, 3, 17, 40])
def test_pieces_of_any_size_are_the_same(size: int) -> None:
    log = stamped((1, b"one\n"), (1, b"two\n"), (2, b"\n"), (3, b"three"))
    position = LogPosition()

    new = b"".join(position.feed(log[start : start + size]) for start in range(0, len(log), size))

    assert new + position.feed(b"", is_end=True) == b"one\ntwo\n\nthree"


def test_messages_of_the_node_are_passed_on() -> None:
    log = b"failed to create fsnotify watcher: too many open files\n"

    assert LogPosition().feed(log) == log
    assert LogPosition().feed(b"short", is_end=True) == b"short"


_LINES = st.lists(st.tuples(st.integers(1, 3), st.sampled_from([b"\n", b"a\n", b"abc\n", b"2026-\n"])), max_size=8)


@given(lines=_LINES, breaks=st.lists(st.integers(0, 300), max_size=4))
def test_each_byte_comes_once_wherever_the_connection_breaks(lines: list[tuple[int, bytes]], breaks: list[int]) -> None:
    log = stamped(*sorted(lines, key=lambda line: line[0]))
    position, new = LogPosition(), b""

    for length in breaks:
        new += position.feed(since(log, position.since)[:length])
        position.restart()
    new += position.feed(since(log, position.since), is_end=True)

    assert new == b"".join(line for _, line in sorted(lines, key=lambda line: line[0]))
