"""Screens of a terminal while a run is displayed, as a person sees them: pyte draws what was written to a pty.

The screens are in `screens/`. `STANDPIPE_UPDATE_SCREENS=1` writes them again; look at the difference before you commit.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pyte
import pytest

from standpipe.console import live, screen
from standpipe.console.live import Live
from standpipe.console.status_line import Limits
from standpipe.model.events import AttemptStarted, CodeLocation, Fact, RunCancelled, RunEnded, TaskCancelled
from standpipe.model.refs import RunInfo
from standpipe.model.states import TaskState
from standpipe.support import notices
from tests.console.stories import BOOM, END, LOOP, RETRY, RUNNING, failed, plan_of, started, succeeded, task, whole

SCREENS = Path(__file__).with_name("screens")
RUN = RunInfo("whole-2026", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "whole", "2026-01-01T00:00:00Z", "/runs")


class Terminal:
    """A terminal of this process: a thread draws what is written to it on a screen."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.file = os.fdopen(theirs, "w", encoding="utf-8")
        self.screen = pyte.HistoryScreen(80, 24, history=10_000)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self.written = ""
        self.resize(80, 24)
        self._thread = threading.Thread(target=self._draw)
        self._thread.start()

    def resize(self, columns: int, lines: int) -> None:
        with self._lock:
            fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            self.screen.resize(lines, columns)

    def _draw(self) -> None:
        with suppress(OSError):  # the terminal is closed
            while part := os.read(self._ours, 65536):
                with self._lock:
                    self.written += part.decode(errors="replace")
                    self._stream.feed(part)

    def lines(self) -> list[str]:
        """Return what is on the screen, and what has scrolled out of it, once all that was written is drawn."""
        self.drain()
        with self._lock:
            columns = range(self.screen.columns)
            above = ["".join(line[column].data for column in columns) for line in self.screen.history.top]
            lines = [line.rstrip() for line in (*above, *self.screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def drain(self) -> None:
        """Wait until what was written is drawn."""
        mark = f"\x1b]0;{time.monotonic()}\x07"  # the title of a window
        self.file.write(mark)
        self.file.flush()
        while mark not in self.written:
            time.sleep(0.002)

    def wait_for(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Return the lines once they fulfil a condition."""
        deadline = time.monotonic() + 20
        while not condition(lines := self.lines()):
            assert time.monotonic() < deadline, "\n".join(lines)
            time.sleep(0.02)
        return lines

    def color_of(self, text: str) -> str:
        """Return the color in which the first character of a text is drawn."""
        self.drain()
        for number, line in enumerate(self.screen.display):
            if (column := line.find(text)) >= 0:
                return str(self.screen.buffer[number][column].fg)
        raise AssertionError(f"{text!r} is not on the screen")

    def close(self) -> None:
        self.file.close()  # which ends the thread
        self._thread.join()
        os.close(self._ours)


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal()
    monkeypatch.setattr(screen, "sys", SimpleNamespace(stdout=terminal.file))  # pytest replaces `sys.stdout` later
    monkeypatch.setattr(live, "read_memory_use", lambda: (3 * 1024**3, 16 * 1024**3))
    monkeypatch.setattr(live, "terminal_path", lambda: "")
    yield terminal
    monkeypatch.undo()
    terminal.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: clock.now, thread_time=time.thread_time))
    return clock


@pytest.fixture
def display(terminal: Terminal, clock: Clock) -> Iterator[Live]:
    display = Live(RUN, "/runs/whole-2026", 0.0, plan_of(whole), Limits(4, 8 * 1024**3))
    yield display
    display.close()


def run(display: Live, clock: Clock, *parts: Sequence[Fact], seconds: float = 2.0) -> None:
    """Pass lists of facts to a display, some seconds apart."""
    for facts in parts:
        display(facts)
        clock.now += seconds


def print_lines(display: Live) -> None:
    for epoch in range(6):
        display.line(task(f"{LOOP}/10/step"), f"epoch {epoch}: loss {1 / (epoch + 1):.2f}")
    display.line(task("prepare/step-2"), "splitting \x1b[31mred\x1b[0m rows")


def show_running(display: Live, clock: Clock) -> None:
    run(display, clock, RUNNING)
    print_lines(display)


def show_retry(display: Live, clock: Clock) -> None:
    run(display, clock, RUNNING, RETRY)


def show_failure(display: Live, clock: Clock) -> None:
    run(display, clock, RUNNING)
    display.line(task(f"{LOOP}/10/step"), "Traceback (most recent call last):")
    display.line(task(f"{LOOP}/10/step"), BOOM)
    run(display, clock, [failed(f"{LOOP}/10/step", BOOM, CodeLocation("/data/train.py", 34, "fit", "raise ..."))])


def show_end(display: Live, clock: Clock) -> None:
    run(display, clock, RUNNING)
    print_lines(display)
    run(display, clock, RETRY, END)


def show_folded(display: Live, clock: Clock) -> None:
    names = [f"task-{index}" for index in range(300)]
    run(display, clock, [fact for name in names[:100] for fact in (*started(name), *succeeded(name))])
    run(display, clock, [*started("task-100", "task-101"), failed("task-102", BOOM)])
    for index in range(50):
        display.line(task("task-101"), f"line {index}")


SCENES: dict[str, Callable[[Live, Clock], None]] = {
    "running": show_running,
    "retry": show_retry,
    "failure": show_failure,
    "end": show_end,
    "folded": show_folded,
}


def compare(name: str, lines: list[str]) -> None:
    """Compare lines with a stored screen."""
    path, text = SCREENS / f"{name}.txt", "\n".join(lines) + "\n"
    if os.environ.get("STANDPIPE_UPDATE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def settle(terminal: Terminal, display: Live) -> list[str]:
    """Return the lines once the thread of the display has drawn the last state."""
    terminal.wait_for(lambda _: not display._changed.is_set())
    with display._lock:
        display._draw()
    return terminal.lines()


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("scene", SCENES)
def test_screens(scene: str, columns: int, terminal: Terminal, display: Live, clock: Clock) -> None:
    terminal.resize(columns, 24)
    SCENES[scene](display, clock)
    compare(f"{scene}-{columns}", settle(terminal, display))


def test_states_have_colors(terminal: Terminal, display: Live, clock: Clock) -> None:
    show_retry(display, clock)
    settle(terminal, display)
    shown = {text: terminal.color_of(text) for text in ("≡", "▸", "↻", "✓", "1 failed", "━", "· report", "✗")}
    assert shown == {
        "≡": "blue",
        "▸": "cyan",
        "↻": "brown",  # what pyte calls yellow
        "✓": "green",
        "1 failed": "red",
        "━": "red",
        "· report": "default",
        "✗": "red",
    }


@pytest.mark.parametrize("scene", SCENES)
def test_screens_without_color_are_the_same(
    scene: str, terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    display = Live(RUN, "/runs/whole-2026", 0.0, plan_of(whole), Limits(4, 8 * 1024**3))
    SCENES[scene](display, clock)
    compare(f"{scene}-80", settle(terminal, display))
    display.close()
    terminal.drain()
    assert not re.search(r"\x1b\[[\d;]*m", terminal.written)


def test_a_terminal_without_unicode_gets_ascii(
    terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.file.reconfigure(encoding="ascii")
    display = Live(RUN, "/runs/whole-2026", 0.0, plan_of(whole), Limits(4, 8 * 1024**3))
    show_retry(display, clock)
    compare("ascii-80", settle(terminal, display))
    display.close()


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (3, 2), (200, 3)])
def test_tiny_and_changing_terminals(size: tuple[int, int], terminal: Terminal, display: Live, clock: Clock) -> None:
    show_running(display, clock)
    settle(terminal, display)
    terminal.resize(*size)
    run(display, clock, RETRY)
    settle(terminal, display)
    terminal.resize(80, 24)
    print_lines(display)
    lines = settle(terminal, display)
    assert any(line.startswith("↻ flaky") for line in lines)
    run(display, clock, END)
    assert any(line.startswith("Failed in 4 s") for line in terminal.wait_for(lambda lines: "  next" in lines[-1]))


def test_every_line_is_shown_once_whatever_happens(terminal: Terminal, display: Live, clock: Clock) -> None:
    run(display, clock, started("numbers"))
    for number in range(2000):
        display.line(task("numbers"), f"line {number}")
    settle(terminal, display)
    run(display, clock, succeeded("numbers"))
    settle(terminal, display)
    shown = [line.removeprefix("[numbers] ") for line in terminal.lines() if "line " in line]
    assert shown == [f"line {number}" for number in range(2000)]


def test_notices_are_above_the_display(
    terminal: Terminal, display: Live, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.file)
    show_retry(display, clock)
    settle(terminal, display)
    notices.warn("Something is not done.")
    lines = settle(terminal, display)
    assert lines[0] == "Running whole in /runs/whole-2026"
    assert "standpipe: Something is not done." in lines[:5]
    assert sum(line.startswith("▸ sweep") for line in lines) == 1


def test_cancellation_says_what_it_waits_for(terminal: Terminal, display: Live, clock: Clock) -> None:
    run(display, clock, started("numbers"), [RunCancelled()])
    lines = settle(terminal, display)
    assert "Cancelling: waiting for 1 task (numbers). Press Ctrl-C again to kill it." in lines
    run(display, clock, [RunCancelled()])
    assert "Killing 1 task (numbers)" in settle(terminal, display)


def test_a_cancelled_run_ends_with_the_command_that_resumes_it_with_its_options(
    terminal: Terminal, clock: Clock
) -> None:
    terminal.resize(160, 24)
    display = Live(RUN, "/runs/whole-2026", flags=("--runner", "docker"))
    run(display, clock, started("numbers"), [RunCancelled(), TaskCancelled(task("numbers"))])
    run(display, clock, [RunEnded(TaskState.CANCELLED, {})])
    display.close()
    assert terminal.lines()[-4:] == [
        "Cancelled in 4 s",
        "  tasks  1 cancelled",
        "  files  /runs/whole-2026",
        "  next   standpipe resume --runner docker --root /runs whole-2026",
    ]


def test_a_run_that_was_stopped_leaves_the_next_command_to_its_error(terminal: Terminal, clock: Clock) -> None:
    terminal.resize(160, 24)
    display = Live(RUN, "/runs/whole-2026")
    reason = "its task 'sweep' cannot be set up"
    run(display, clock, started("numbers"), [RunCancelled(reason), TaskCancelled(task("numbers"))])
    run(display, clock, [RunEnded(TaskState.FAILED, {})])
    display.close()
    lines = terminal.lines()
    assert f"Stopping the run: {reason}. Waiting for 1 task (numbers)." in lines
    assert lines[-3:] == ["Failed in 4 s", "  tasks  1 cancelled", "  files  /runs/whole-2026"]


def test_the_display_makes_way_for_a_debugger(
    terminal: Terminal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = False
    monkeypatch.setattr(live, "terminal_path", lambda: "/dev/tty")
    monkeypatch.setattr(live, "is_terminal_held", lambda path: held)
    display = Live(RUN, "/runs/whole-2026", 0.0, plan_of(whole))
    run(display, clock, RUNNING)
    terminal.wait_for(lambda lines: any("sweep" in line for line in lines))
    held = True
    terminal.wait_for(lambda lines: not any("sweep" in line for line in lines))
    assert not terminal.screen.cursor.hidden
    display.line(task("numbers"), "printed meanwhile")
    terminal.wait_for(lambda lines: "[numbers] printed meanwhile" in lines)
    held = False
    terminal.wait_for(lambda lines: any("sweep" in line for line in lines))
    display.close()
    assert not any("sweep" in line for line in terminal.lines())
    assert not terminal.screen.cursor.hidden


def test_facts_and_lines_do_not_draw(terminal: Terminal, display: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of many tasks is drawn at most ten times a second, whatever happens in it."""
    drawn: list[float] = []
    monkeypatch.setattr(display, "_draw", lambda: drawn.append(time.monotonic()))
    began = time.monotonic()
    facts: list[Fact] = []
    for number in range(500):
        name = f"task-{number}"
        for fact in (*started(name), *succeeded(name)):
            display((fact,))
        facts.append(AttemptStarted(task(name), 0))
    while time.monotonic() < began + 0.5:
        display.line(task("task-1"), "x")
        time.sleep(0.001)
    assert len(drawn) <= (time.monotonic() - began) * 10 + 2


def test_a_run_without_a_plan_that_fails_at_once(terminal: Terminal, clock: Clock) -> None:
    display = Live(RUN, "/runs/whole-2026")
    run(display, clock, [failed("numbers", "boom")], END[-1:])
    display.close()
    lines = terminal.lines()
    assert "numbers: failed: boom" in lines
    assert "✗ numbers  boom" in lines


def test_a_defect_of_the_display_does_not_stop_the_run(
    terminal: Terminal, display: Live, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    run(display, clock, started("numbers"))
    monkeypatch.setattr(live, "lay_out", fail)
    terminal.resize(160, 24)
    note = "standpipe: The tree is not shown, because of a defect: ZeroDivisionError: a defect"
    display.line(task("numbers"), "still shown")
    terminal.wait_for(lambda lines: "[numbers] still shown" in lines)
    run(display, clock, succeeded("numbers"), END[-1:])
    lines = terminal.wait_for(lambda lines: lines[-1].startswith("  next"))
    assert lines.count(note) == 1
