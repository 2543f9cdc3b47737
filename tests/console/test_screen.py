"""Standard output in every state that it can be in."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from standpipe.console.live import Live
from standpipe.console.plain import PlainLines
from standpipe.console.screen import Screen
from standpipe.model.events import AttemptStarted, RunEnded
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from tests.plans import RUN

TASK = TaskRef((("train", None),))


class BrokenPipe(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


class Bare:
    """The least that programs put in the place of stdout."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def full(buffering: int) -> io.TextIOWrapper:
    """A file on a full disk; without buffering (0) writing it fails, otherwise flushing it."""
    return io.TextIOWrapper(open("/dev/full", "wb", buffering), write_through=True)


NEEDS_DEV_FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which only Linux has")


def is_broken(stream: io.TextIOBase) -> bool:
    try:
        stream.write("x")
        stream.flush()
    except (OSError, ValueError):
        return True
    return False


@pytest.mark.parametrize(
    "make",
    [
        lambda: None,
        closed,
        BrokenPipe,
        pytest.param(lambda: full(0), marks=NEEDS_DEV_FULL),
        pytest.param(lambda: full(8192), marks=NEEDS_DEV_FULL),
    ],
    ids=["none", "closed", "broken pipe", "full disk", "full disk, buffered"],
)
@pytest.mark.parametrize("observer", [PlainLines, Live])
def test_a_run_continues_without_stdout_and_is_shown_again_once_it_works(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any], observer: Callable[..., Any]
) -> None:
    stream, whole = make(), io.StringIO()
    assert stream is None or is_broken(stream)

    monkeypatch.setattr(sys, "stdout", stream)
    shown = observer(RUN, "/root")
    shown((AttemptStarted(TASK, 0),))
    shown.line(TASK, "epoch 1")
    monkeypatch.setattr(sys, "stdout", whole)
    shown.line(TASK, "epoch 2")
    shown((RunEnded(TaskState.SUCCEEDED, {}),))
    shown.close()

    lines = whole.getvalue().splitlines()
    assert "[train] epoch 2" in lines
    assert any(line.startswith("Succeeded in ") for line in lines)
    if stream is not None:
        with suppress(OSError):  # what its buffer holds cannot be written
            stream.close()


@pytest.mark.parametrize("observer", [PlainLines, Live])
def test_stdout_needs_only_a_write_method(monkeypatch: pytest.MonkeyPatch, observer: Callable[..., Any]) -> None:
    stream = Bare()
    monkeypatch.setattr(sys, "stdout", stream)
    shown = observer(RUN, "/root")
    shown.line(TASK, "epoch 1")
    shown((RunEnded(TaskState.SUCCEEDED, {}),))
    shown.close()

    headline, line, *rest = (text for text in stream.text.splitlines() if text.strip())
    assert (headline, line) == ("Running job in /root", "[train] epoch 1")
    assert any(text.startswith("Succeeded in ") for text in rest)


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", r"\xfc \U0001d11e"), ("cp1252", "ü \\U0001d11e")])
def test_what_the_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    Screen().write("ü 𝄞")
    stream.seek(0)
    assert stream.read() == shown


def test_lone_surrogates_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    Screen().write("a\udcff")
    stream.seek(0)
    assert stream.read() == r"a\udcff"


def test_it_is_a_terminal_only_if_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (None, closed(), Bare(), io.StringIO()):
        monkeypatch.setattr(sys, "stdout", stream)
        assert Screen().isatty() is False


def test_stdout_may_change_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Bare(), Bare()
    monkeypatch.setattr(sys, "stdout", first)
    lines = PlainLines(RUN, "/root")
    monkeypatch.setattr(sys, "stdout", second)
    lines.line(TASK, "epoch 1")
    assert first.text == "Running job in /root\n"
    assert second.text == "[train] epoch 1\n"
