"""Progress as plain lines, for everything that is no terminal: a file, a pipe, a CI log, a notebook."""

from __future__ import annotations

import time
from collections.abc import Sequence

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


class PlainLines:
    """Writes one line for each thing that happens, and each line that a task prints behind the task's name.

    Each line goes out in one write, so that lines of several threads do not mix, and at once: a pipe would otherwise
    get them in blocks, long after they happened.
    """

    def __init__(self, run: RunInfo, folder: str) -> None:
        self._screen = Screen()
        self._write(headline(run, folder))
        self._began = time.monotonic()
        self._started: dict[TaskRef, float] = {}

    def __call__(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, AttemptStarted):
                self._started[fact.task] = time.monotonic()
                attempt = f"attempt {fact.attempt + 1} " if fact.attempt else ""
                self._write(f"{fact.task}: {attempt}started")
            elif isinstance(fact, AttemptFailed):
                failed = f"failed in {self._seconds(fact.task)}: {fact.failure.message}"
                self._write(f"{fact.task}: {failed}; {next_attempt(fact)}")
                del self._started[fact.task]
            elif isinstance(fact, LoopStarted):
                self._write(f"{fact.task}: {iterations(fact)}")
            elif isinstance(fact, TaskSucceeded) and fact.cached:
                self._write(f"{fact.task}: {cached(fact)}")
            elif isinstance(fact, TaskSucceeded) and fact.task in self._started:
                self._write(f"{fact.task}: succeeded in {self._seconds(fact.task)}")
            elif isinstance(fact, TaskFailed) and fact.task in self._started:
                failure = fact.failure
                self._write(f"{fact.task}: failed in {self._seconds(fact.task)}{failure.in_attempt}: {failure.message}")
            elif isinstance(fact, TaskFailed) and not fact.failure.within:
                self._write(f"{fact.task}: failed: {fact.failure.message}")
            elif isinstance(fact, TaskSkipped):
                self._write(f"{fact.task}: skipped: {fact.because}")
            elif isinstance(fact, TaskCancelled) and fact.task in self._started:
                self._write(f"{fact.task}: stopped after {self._seconds(fact.task)}")
            elif isinstance(fact, RunCancelled):
                self._write("Stopping.")
            elif isinstance(fact, RunEnded):
                self._write(ended(fact, time.monotonic() - self._began))

    def line(self, task: TaskRef, text: str) -> None:
        """A line that a task printed. Called from many threads."""
        self._write(f"[{task}] {text}")

    def close(self) -> None:
        """There is nothing to take down."""

    def _seconds(self, task: TaskRef) -> str:
        return f"{time.monotonic() - self._started[task]:.3g} s"

    def _write(self, line: str) -> None:
        self._screen.write(line + "\n")
        self._screen.flush()
