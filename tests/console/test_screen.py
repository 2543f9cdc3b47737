"""Standard output in every state that it can be in."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
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


class Refusing(io.StringIO):
    """A stream that nothing can be written to any more."""

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


def full() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(os.open("/dev/full", os.O_WRONLY), "w", closefd=True), write_through=True)


@pytest.mark.parametrize("stream", [lambda: None, closed, Refusing, Bare])
@pytest.mark.parametrize("observer", [PlainLines, Live])
def test_a_run_goes_on_where_it_cannot_be_shown(
    monkeypatch: pytest.MonkeyPatch, stream: Callable[[], Any], observer: Callable[..., Any]
) -> None:
    monkeypatch.setattr(sys, "stdout", stream())
    shown = observer(RUN, "/root")
    shown((AttemptStarted(TASK, 0),))
    shown.line(TASK, "epoch 1")
    shown((RunEnded(TaskState.SUCCEEDED, {}),))
    shown.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which only Linux has")
def test_a_full_disk_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with full() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        PlainLines(RUN, "/root").line(TASK, "epoch 1")


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
