"""Progress on a terminal, with rich: events scroll by, and below them is each running task with its elapsed time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import IO, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from standpipe.console.messages import (
    describe_cached,
    describe_cancelling,
    describe_end,
    describe_iterations,
    describe_next_attempt,
    describe_start,
)
from standpipe.console.screen import Screen
from standpipe.model.events import (
    AttemptFailed,
    AttemptStarted,
    Fact,
    LoopStarted,
    RunCancelled,
    RunEnded,
    TaskCancelled,
    TaskFailed,
    TaskSkipped,
    TaskSucceeded,
)
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.support.notices import show_notices_in
from standpipe.support.terminal_text import strip_controls
from standpipe.support.terminals import is_terminal_held, terminal_path

#: The seconds between two looks at whether a task uses the terminal.
_LOCK_INTERVAL = 0.2


class Live:
    """Shows a spinner for each running task. Lines that tasks print scroll above, after the task's name.

    Args:
        run: the run.
        folder: its folder.
        earlier: for how long it was in progress before it was resumed, in seconds.
    """

    def __init__(self, run: RunInfo, folder: str, earlier: float = 0.0) -> None:
        screen = Screen()
        console = Console(file=cast("IO[str]", screen), highlight=False, soft_wrap=True)
        # redirecting would replace sys.stdout of the whole process
        self._progress = Progress(
            SpinnerColumn("dots" if screen.encoding.lower().startswith("utf") else "line"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._running: dict[TaskRef, TaskID] = {}
        self._earlier = earlier
        self._is_cancelled = False
        self._started_at = time.monotonic()
        self._print(describe_start(run, folder), "bold")
        self._progress.start()
        self._closed = threading.Event()
        self._switching = threading.Lock()  # is held while the display is stopped or started
        if terminal := terminal_path():
            threading.Thread(target=self._make_way, args=(terminal,), daemon=True, name="standpipe-terminal").start()
        self._release_notices = show_notices_in(lambda line: self._progress.console.print(Text(line)))

    def __call__(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, AttemptStarted):
                self._running[fact.task] = self._progress.add_task(escape(strip_controls(str(fact.task))), total=None)
            elif isinstance(fact, LoopStarted):
                self._print(f"{fact.task}: {describe_iterations(fact)}", "dim")
            elif isinstance(fact, TaskSucceeded):
                self._finish(fact.task, describe_cached(fact) if fact.cached_from else "succeeded", "green")
            elif isinstance(fact, TaskFailed) and not fact.failure.cause_task:
                self._finish(fact.task, fact.failure.predicate, "red", always=True)
            elif isinstance(fact, AttemptFailed):
                self._finish(fact.task, f"failed: {fact.failure.message}; {describe_next_attempt(fact)}", "yellow")
            elif isinstance(fact, TaskSkipped):
                self._print(f"{fact.task}: skipped: {fact.reason}", "yellow")
            elif isinstance(fact, TaskCancelled):
                self._finish(fact.task, "cancelled", "yellow")
            elif isinstance(fact, RunCancelled):
                text = describe_cancelling(self._running, is_first=not self._is_cancelled)
                self._is_cancelled = True
                self._print(text, "yellow")
            elif isinstance(fact, RunEnded):
                self._print(describe_end(fact, time.monotonic() - self._started_at, self._earlier), "bold")

    def line(self, task: TaskRef, text: str) -> None:
        """Show a line that a task printed. Called from many threads."""
        self._progress.console.print(
            Text.assemble((strip_controls(f"[{task}] "), "dim"), Text.from_ansi(strip_controls(text, keep_colors=True)))
        )

    def close(self) -> None:
        with self._switching:
            self._closed.set()
            self._progress.stop()
        self._release_notices()

    def _make_way(self, terminal: str) -> None:
        """Hide the display while a task with a breakpoint uses the terminal."""
        while not self._closed.wait(_LOCK_INTERVAL):
            if not is_terminal_held(terminal):
                continue
            with self._switching:
                self._progress.stop()
            while is_terminal_held(terminal) and not self._closed.wait(_LOCK_INTERVAL):
                pass
            with self._switching:
                if not self._closed.is_set():
                    self._progress.start()

    def _finish(self, task: TaskRef, result: str, style: str, *, always: bool = False) -> None:
        spinner = self._running.pop(task, None)
        if spinner is not None:
            self._progress.remove_task(spinner)
        if spinner is not None or always:
            self._print(f"{task}: {result}", style)

    def _print(self, line: str, style: str) -> None:
        self._progress.console.print(Text(strip_controls(line), style))
