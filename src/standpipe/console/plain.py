"""Progress as plain lines, for output that is neither a terminal nor a notebook: a file, a pipe, a CI log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from standpipe.console.messages import (
    describe_cached,
    describe_cancelling,
    describe_end,
    describe_failure,
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
    RunStarted,
    TaskCancelled,
    TaskFailed,
    TaskSkipped,
    TaskSucceeded,
)
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.support.durations import format_duration
from standpipe.support.terminal_text import strip_controls


class PlainLines:
    """Writes one line for each event, and each line that a task prints after the task's name.

    Each line is a single write, so that lines of several threads do not mix, and is flushed: a pipe would otherwise
    receive them in blocks, long after the events.

    Args:
        run: the run.
        folder: its folder.
        earlier: for how long it was in progress before it was resumed, in seconds.
        now: tells the time of the facts that it gets, in seconds.
    """

    def __init__(
        self, run: RunInfo, folder: str, earlier: float = 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._screen = Screen()
        self._write(describe_start(run, folder))
        self._earlier = earlier
        self._is_cancelled = False
        self._started_at = self._now()
        self._attempts: dict[TaskRef, float] = {}  # when the running attempt of a task started
        self._started: dict[TaskRef, float] = {}  # when the first attempt of a running task started

    def __call__(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, RunStarted):
                self._started_at = self._now()
            elif isinstance(fact, AttemptStarted):
                self._attempts[fact.task] = self._now()
                self._started.setdefault(fact.task, self._attempts[fact.task])
                attempt = f"attempt {fact.attempt + 1} " if fact.attempt else ""
                self._write(f"{fact.task}: {attempt}started")
            elif isinstance(fact, AttemptFailed):
                duration = format_duration(self._now() - self._attempts.pop(fact.task))
                failure = f"failed in {duration}{describe_failure(fact.failure)}"
                self._write(f"{fact.task}: {failure}; {describe_next_attempt(fact)}")
            elif isinstance(fact, LoopStarted):
                self._write(f"{fact.task}: {describe_iterations(fact)}")
            elif isinstance(fact, TaskSucceeded) and fact.cached_from:
                self._attempts.pop(fact.task, None)
                self._write(f"{fact.task}: {describe_cached(fact)}")
            elif isinstance(fact, TaskSucceeded) and fact.task in self._attempts:
                self._write(f"{fact.task}: succeeded in {self._end(fact.task)}")
            elif isinstance(fact, TaskFailed) and fact.task in self._attempts:
                self._write(f"{fact.task}: failed in {self._end(fact.task)}{describe_failure(fact.failure)}")
            elif isinstance(fact, TaskFailed) and not fact.failure.cause_task:
                self._write(f"{fact.task}: failed{describe_failure(fact.failure)}")
            elif isinstance(fact, TaskSkipped):
                self._write(f"{fact.task}: skipped: {fact.reason}")
            elif isinstance(fact, TaskCancelled) and fact.task in self._attempts:
                self._write(f"{fact.task}: cancelled after {self._end(fact.task)}")
            elif isinstance(fact, RunCancelled):
                text = describe_cancelling(self._attempts, is_first=not self._is_cancelled, reason=fact.reason)
                self._is_cancelled = True
                self._write(text)
            elif isinstance(fact, RunEnded):
                self._write(describe_end(fact, self._now() - self._started_at, self._earlier))

    def line(self, task: TaskRef, text: str) -> None:
        """Show a line that a task printed. Called from many threads."""
        self._write(f"[{task}] {text}", keep_colors=True)

    def close(self) -> None:
        """Do nothing: every line has been flushed."""

    def _end(self, task: TaskRef) -> str:
        """Return how long a task took that has ended, as in run history: from the start of its first attempt."""
        del self._attempts[task]
        return format_duration(self._now() - self._started.pop(task))

    def _write(self, line: str, *, keep_colors: bool = False) -> None:
        self._screen.write(strip_controls(line, keep_colors=keep_colors) + "\n")
        self._screen.flush()
