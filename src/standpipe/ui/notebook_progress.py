"""A run in progress in the output of a cell, which changes as the run does."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import uuid4

from standpipe.console.messages import describe_cancelling, describe_end
from standpipe.history import Status
from standpipe.history.outline import Line
from standpipe.history.progress import RunProgress
from standpipe.model.events import (
    AttemptFailed,
    AttemptStarted,
    Fact,
    RunCancelled,
    RunEnded,
    TaskCancelled,
    TaskFailed,
    TaskSucceeded,
)
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.store.reading import StoredFacts
from standpipe.support.durations import format_duration
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.notebook import render_output
from standpipe.ui.views.states import CACHED, LABELS, StateCount
from standpipe.ui.views.task_rows import TaskRow

#: The least seconds between two updates, and which part of the time they may take.
_INTERVAL = 0.25
_SHARE = 10

#: The seconds after which the elapsed time is updated.
_TICK = 1.0

#: The most rows, rows next to each other of tasks that wait, and failures; the most lines that tasks printed, and the
#: most characters of one.
_MAX_ROWS = 60
_MAX_WAITING = 3
_MAX_FAILURES = 5
_MAX_LINES = 100
_MAX_LENGTH = 300

_CACHED_NOTE = ", cached from "

#: Shows the data of an output, by media type, or updates the output that it has shown before.
Show = Callable[[Mapping[str, str]], None]


class NotebookProgress:
    """The observer of a run in a notebook. Its tasks, and the last lines that they print, are one output of the cell.

    A thread updates the output, since the elapsed time and the last facts of a burst have to be shown, too. It holds
    the context of the cell, to which IPython sends outputs.

    Args:
        run: the run.
        folder: its folder.
        earlier: for how long it was in progress before it was resumed, in seconds.
        show: shows the output; by default, in the cell that is executed now.
    """

    def __init__(self, run: RunInfo, folder: str, earlier: float = 0.0, show: Show | None = None) -> None:
        self._run, self._folder, self._earlier = run, folder, earlier
        self._show = show or _new_output()
        self._fold = RunProgress()
        for at, fact in StoredFacts(Path(run.pipeline_root)).facts_since(run.id):
            self._fold.apply(at, fact)
        self._lines: deque[tuple[str, str]] = deque(maxlen=_MAX_LINES)
        self._line_count = 0
        self._running: dict[TaskRef, None] = {}
        self._message, self._is_cancelled = "", False
        self._status = Status.RUNNING
        self._is_broken = False
        self._process = os.getpid()
        self._started_at = time.monotonic()
        self._lock = threading.Lock()
        self._changed, self._ended = threading.Event(), threading.Event()
        self._publish()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._update,), daemon=True, name="standpipe-notebook"
        )
        self._thread.start()

    def __call__(self, facts: Sequence[Fact]) -> None:
        if os.getpid() != self._process:
            return  # a forked child, which has neither the thread nor the connection to the notebook
        now = time.time()
        with self._lock:
            for fact in facts:
                self._fold.apply(now, fact)
                self._note(fact)
        self._changed.set()

    def line(self, task: TaskRef, text: str) -> None:
        """Show a line that a task printed. Called from many threads."""
        if os.getpid() != self._process:
            return
        shown = text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
        with self._lock:
            self._lines.append((str(task), strip_controls(shown)))
            self._line_count += 1
        self._changed.set()

    def close(self) -> None:
        """Show the final state, which stays."""
        if os.getpid() != self._process:
            return
        self._ended.set()
        self._changed.set()
        self._thread.join(timeout=5)  # the kernel may be about to end
        if self._status is Status.RUNNING:
            self._status = Status.INTERRUPTED
        self._publish()

    def _note(self, fact: Fact) -> None:
        """Keep what a message needs."""
        if isinstance(fact, AttemptStarted):
            self._running[fact.task] = None
        elif isinstance(fact, RunCancelled):
            self._message = describe_cancelling(self._running, is_first=not self._is_cancelled, reason=fact.reason)
            self._is_cancelled = True
        elif isinstance(fact, RunEnded):
            self._status = Status[fact.state.name]
            self._message = "" if not self._earlier else describe_end(fact, self._elapsed(), self._earlier)
        elif isinstance(fact, (AttemptFailed, TaskSucceeded, TaskFailed, TaskCancelled)):
            self._running.pop(fact.task, None)

    def _update(self) -> None:
        """Update the output until the run has ended, at most four times a second."""
        while not self._ended.is_set():
            self._changed.wait(_TICK)
            self._changed.clear()
            if self._ended.is_set():
                return
            began = time.monotonic()
            self._publish()
            self._ended.wait(max(_INTERVAL, _SHARE * (time.monotonic() - began)))

    def _publish(self) -> None:
        """Show the run as it is now. What cannot be shown, because the notebook was closed, stops no run."""
        if not self._is_broken:
            try:
                self._show(self._render())
            except Exception:  # noqa: BLE001 - those of the notebook, of any kind
                self._is_broken = True

    def _elapsed(self) -> float:
        return time.monotonic() - self._started_at

    def _render(self) -> dict[str, str]:
        with self._lock:
            is_over = self._status is not Status.RUNNING
            lines, failures = self._fold.lines(is_over=is_over), self._fold.failures()
            counts = dict(self._fold.totals(is_over=is_over).counts)
            printed, printed_count, message = list(self._lines), self._line_count, self._message
        rows, seconds = _rows(lines), self._earlier + self._elapsed()
        html = render_output(
            "progress",
            {
                "run": self._run.id,
                "status": self._status.value,
                "seconds": seconds,
                "counts": [StateCount(state, LABELS[state], counts[state]) for state in LABELS if counts.get(state)],
                "rows": rows[:_MAX_ROWS],
                "hidden": max(0, len(rows) - _MAX_ROWS),
                "messages": [message] if message else [],
                "failures": failures[:_MAX_FAILURES],
                "lines": printed,
                "hidden_lines": printed_count - len(printed),
                "folder": self._folder,
            },
        )
        label = LABELS[self._status.value].lower()
        return {"text/html": html, "text/plain": f"{self._run.id}: {label}, {format_duration(seconds)}"}


def _rows(lines: Sequence[Line]) -> list[TaskRow]:
    """Return the rows of an outline. Why a group failed is in a row below it; many tasks that wait are counted."""
    rows: list[TaskRow] = []
    for (status, depth), group in groupby(lines, key=lambda line: (line.status, line.depth)):
        siblings = list(group)
        hidden = siblings[_MAX_WAITING:] if status == Status.READY.value else []
        rows += map(_row, siblings[: len(siblings) - len(hidden)])
        if hidden:
            rows.append(_row(Line(depth, "", status, count=sum(line.count for line in hidden))))
    after = [*rows[1:], _row(Line(0, "", Status.READY.value))]
    return (
        [
            replace(row, note="") if row.state == Status.FAILED.value and row.depth < below.depth else row
            for row, below in zip(rows, after, strict=True)
        ]
        if rows
        else []
    )


def _row(line: Line) -> TaskRow:
    """Return the row of a line of an outline."""
    if not line.name:
        return TaskRow(line.depth - 1, "", f"{line.count} more {LABELS[line.status].lower()}", line.status, None, "", 0)
    is_cached = line.note.startswith(_CACHED_NOTE)
    note = f"from {line.note.removeprefix(_CACHED_NOTE)}" if is_cached else line.note.removeprefix(": ")
    seconds = None if is_cached or line.status == Status.SKIPPED.value else line.seconds
    name = f"iteration {line.name}" if line.name.isdigit() else line.name
    return TaskRow(line.depth - 1, line.name, name, CACHED if is_cached else line.status, seconds, note, 0)


def _new_output() -> Show:
    """Return a function that shows data in the cell that is executed now, and later replaces them."""
    from IPython.display import display, update_display  # a notebook has it

    identity, is_shown = uuid4().hex, False

    def show(data: Mapping[str, str]) -> None:
        nonlocal is_shown
        function: Any = update_display if is_shown else display
        function(data, raw=True, display_id=identity)
        is_shown = True

    return show
