"""Progress as plain lines, for output that is not a terminal: a file, a pipe, a CI log, a notebook."""

from __future__ import annotations

import time
from collections.abc import Sequence

from standpipe.console.messages import (
    CANCELLING,
    describe_cached,
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


class PlainLines:
    """Writes one line for each event, and each line that a task prints after the task's name.

    Each line is a single write, so that lines of several threads do not mix, and is flushed: a pipe would otherwise
    receive them in blocks, long after the events.
    """

    def __init__(self, run: RunInfo, folder: str) -> None:
        self._screen = Screen()
        self._write(describe_start(run, folder))
        self._started_at = time.monotonic()
        self._started: dict[TaskRef, float] = {}

    def __call__(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, AttemptStarted):
                self._started[fact.task] = time.monotonic()
                attempt = f"attempt {fact.attempt + 1} " if fact.attempt else ""
                self._write(f"{fact.task}: {attempt}started")
            elif isinstance(fact, AttemptFailed):
                failure = f"failed in {self._seconds(fact.task)}: {fact.failure.message}"
                self._write(f"{fact.task}: {failure}; {describe_next_attempt(fact)}")
                del self._started[fact.task]
            elif isinstance(fact, LoopStarted):
                self._write(f"{fact.task}: {describe_iterations(fact)}")
            elif isinstance(fact, TaskSucceeded) and fact.cached_from:
                self._write(f"{fact.task}: {describe_cached(fact)}")
            elif isinstance(fact, TaskSucceeded) and fact.task in self._started:
                self._write(f"{fact.task}: succeeded in {self._seconds(fact.task)}")
            elif isinstance(fact, TaskFailed) and fact.task in self._started:
                reason = f"{fact.failure.in_attempt}: {fact.failure.message}"
                self._write(f"{fact.task}: failed in {self._seconds(fact.task)}{reason}")
            elif isinstance(fact, TaskFailed) and not fact.failure.cause_task:
                self._write(f"{fact.task}: failed: {fact.failure.message}")
            elif isinstance(fact, TaskSkipped):
                self._write(f"{fact.task}: skipped: {fact.reason}")
            elif isinstance(fact, TaskCancelled) and fact.task in self._started:
                self._write(f"{fact.task}: cancelled after {self._seconds(fact.task)}")
            elif isinstance(fact, RunCancelled):
                self._write(CANCELLING)
            elif isinstance(fact, RunEnded):
                self._write(describe_end(fact, time.monotonic() - self._started_at))

    def line(self, task: TaskRef, text: str) -> None:
        """Show a line that a task printed. Called from many threads."""
        self._write(f"[{task}] {text}")

    def close(self) -> None:
        """Do nothing: every line has been flushed."""

    def _seconds(self, task: TaskRef) -> str:
        return f"{time.monotonic() - self._started[task]:.3g} s"

    def _write(self, line: str) -> None:
        self._screen.write(line + "\n")
        self._screen.flush()
