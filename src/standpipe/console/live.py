"""Progress on a terminal, through rich: finished things scroll by, what runs stands below with its time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import IO, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from standpipe.console.screen import Screen
from standpipe.console.wording import cached, ended, headline, iterations, next_attempt
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


class Live:
    """A spinner for each task that runs. Lines that tasks print scroll above, behind the task's name."""

    def __init__(self, run: RunInfo, folder: str) -> None:
        screen = Screen()
        console = Console(file=cast("IO[str]", screen), highlight=False, soft_wrap=True)
        # redirecting would replace sys.stdout for the whole process, which is not ours to do
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
        self._began = time.monotonic()
        self._say(headline(run, folder), "bold")
        self._progress.start()

    def __call__(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, AttemptStarted):
                self._running[fact.task] = self._progress.add_task(escape(str(fact.task)), total=None)  # as markup
            elif isinstance(fact, LoopStarted):
                self._say(f"{fact.task}: {iterations(fact)}", "dim")
            elif isinstance(fact, TaskSucceeded):
                self._finish(fact.task, cached(fact) if fact.cached else "succeeded", "green")
            elif isinstance(fact, TaskFailed) and not fact.failure.within:
                self._finish(fact.task, fact.failure.predicate, "red", always=True)
            elif isinstance(fact, AttemptFailed):
                self._finish(fact.task, f"failed: {fact.failure.message}; {next_attempt(fact)}", "yellow")
            elif isinstance(fact, TaskSkipped):
                self._say(f"{fact.task}: skipped: {fact.because}", "yellow")
            elif isinstance(fact, TaskCancelled):
                self._finish(fact.task, "stopped", "yellow")
            elif isinstance(fact, RunCancelled):
                self._say("Stopping.", "yellow")
            elif isinstance(fact, RunEnded):
                self._say(ended(fact, time.monotonic() - self._began), "bold")

    def line(self, task: TaskRef, text: str) -> None:
        """A line that a task printed. Called from many threads."""
        self._progress.console.print(Text.assemble((f"[{task}] ", "dim"), Text.from_ansi(text)))

    def close(self) -> None:
        self._progress.stop()

    def _finish(self, task: TaskRef, what: str, style: str, *, always: bool = False) -> None:
        shown = self._running.pop(task, None)
        if shown is not None:
            self._progress.remove_task(shown)
        if shown is not None or always:
            self._say(f"{task}: {what}", style)

    def _say(self, line: str, style: str) -> None:
        self._progress.console.print(Text(line, style))
