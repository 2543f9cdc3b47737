"""Progress in a workflow of GitHub Actions: plain lines, a group for the log of each task, annotations of failures.

The commands for the runner are lines among the output (docs.github.com, "Workflow commands for GitHub Actions"). Tasks
run at the same time, and groups cannot be nested, so what a task prints is written as one group when its attempt ends.
Of an attempt that takes long, what it has printed so far is a group every minute. Nothing that a task prints is a
command: the runner ignores commands in there.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from standpipe.console.plain import PlainLines
from standpipe.model.events import (
    AttemptFailed,
    AttemptStarted,
    CodeLocation,
    Fact,
    TaskCancelled,
    TaskFailed,
    TaskSucceeded,
)
from standpipe.model.layout import LOG_FILE, attempt_folder
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.support.terminal_text import strip_controls

#: The most lines of an attempt that are kept until they are written, and the most that are written while it runs; the
#: log has all.
_MAX_LINES = 5_000

#: The seconds for which a line is kept before it is written, although its attempt has not ended.
_PATIENCE = 60.0


class _Printed:
    """What an attempt has printed that is not written yet: since when, the last lines, and how many there were."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.lines: deque[str] = deque(maxlen=_MAX_LINES)
        self.count = 0


class GitHubLines(PlainLines):
    """Writes plain lines, and the commands of GitHub Actions.

    Args:
        run: the run.
        folder: its folder.
        earlier: for how long it was in progress before it was resumed, in seconds.
        now: tells the time, in seconds.
        patience: the seconds for which a line of an attempt in progress is kept.
    """

    def __init__(
        self,
        run: RunInfo,
        folder: str,
        earlier: float = 0.0,
        now: Callable[[], float] = time.monotonic,
        patience: float = _PATIENCE,
    ) -> None:
        self._folder = Path(folder)
        self._patience = patience
        self._printed: dict[TaskRef, _Printed] = {}
        self._numbers: dict[TaskRef, int] = {}  # of the running attempts
        self._shown: dict[TaskRef, int] = {}  # the lines of them that are written
        self._lock = threading.Lock()  # of what was printed
        self._writing = threading.RLock()  # held by what writes: a thread besides that of the facts
        self._is_closed = threading.Event()
        self._writer: threading.Thread | None = None
        super().__init__(run, folder, earlier, now)

    def __call__(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, AttemptStarted):
                self._numbers[fact.task] = fact.attempt
            elif isinstance(fact, (AttemptFailed, TaskSucceeded, TaskFailed, TaskCancelled)):
                self._end_attempt(fact.task)
            super().__call__((fact,))
            if isinstance(fact, TaskFailed) and not fact.failure.cause_task:
                self._annotate("error", fact)
            elif isinstance(fact, AttemptFailed):
                self._annotate("warning", fact)

    def line(self, task: TaskRef, text: str) -> None:
        """Keep a line that a task printed. Called from many threads."""
        with self._lock:
            printed = self._printed.get(task)
            if printed is None:
                printed = self._printed[task] = _Printed(self._now())
            printed.lines.append(text)
            printed.count += 1
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_regularly, daemon=True, name="standpipe-github")
                self._writer.start()

    def close(self) -> None:
        """Write what tasks have printed whose end was not recorded."""
        self._is_closed.set()
        for task in [*self._printed]:
            self._end_attempt(task)

    def write_running(self) -> None:
        """Write what attempts in progress have printed a while ago and since, as far as they may write so much."""
        with self._writing:
            with self._lock:
                before = self._now() - self._patience
                tasks = [task for task, printed in self._printed.items() if printed.since <= before]
            for task in tasks:
                if self._shown.get(task, 0) < _MAX_LINES:
                    self._shown[task] = self._shown.get(task, 0) + self._write_group(task, ", still running")

    def _write_regularly(self) -> None:
        while not self._is_closed.wait(self._patience / 4):
            self.write_running()

    def _end_attempt(self, task: TaskRef) -> None:
        with self._writing:
            self._write_group(task)
            self._numbers.pop(task, None)
            self._shown.pop(task, None)

    def _write_group(self, task: TaskRef, state: str = "") -> int:
        """Write what an attempt has printed and is not written, if there is something; return how many lines it was."""
        with self._lock:
            printed = self._printed.pop(task, None)
        if printed is None:
            return 0
        number, lines = self._numbers.get(task, 0), printed.lines
        log = attempt_folder(self._folder, task, number) / LOG_FILE
        hidden = printed.count - len(lines)
        omission = [f"[{hidden} earlier lines are in {log}]"] if hidden else []
        shown = (strip_controls(line, keep_colors=True) for line in lines)
        title = f"{task}, attempt {number + 1}{state}" if number else f"{task}{state}"
        self._print("\n".join((_command("group", title), *_guard((*omission, *shown)), _command("endgroup"))))
        return len(lines)

    def _annotate(self, level: str, fact: TaskFailed | AttemptFailed) -> None:
        """Write an annotation, which GitHub shows beside the line of the user's code."""
        title = f"Task {fact.task} failed{_describe_attempt(fact)}"
        properties = {**_describe_file(fact.failure.location), "title": strip_controls(title)}
        self._print(_command(level, strip_controls(fact.failure.message), properties))

    def _write(self, line: str, *, keep_colors: bool = False) -> None:
        text = strip_controls(line, keep_colors=keep_colors)
        self._print("\n".join(_guard([text]) if _may_be_command(text) else [text]))

    def _print(self, text: str) -> None:
        with self._writing:
            self._screen.write(text + "\n")
            self._screen.flush()


def _describe_attempt(fact: TaskFailed | AttemptFailed) -> str:
    """Return which attempt failed, for a task that is retried."""
    if isinstance(fact, AttemptFailed):
        return f" in attempt {fact.attempt + 1} of {fact.max_attempts}"
    return fact.failure.in_attempt


def _describe_file(location: CodeLocation | None) -> dict[str, str]:
    """Return the properties of an annotation for a line of code; the file as seen from the repository."""
    if location is None or not location.has_file:
        return {}
    workspace = os.environ.get("GITHUB_WORKSPACE", "").rstrip(os.sep) + os.sep
    return {"file": location.file.removeprefix(workspace), "line": str(location.line)}


def _command(name: str, value: str = "", properties: dict[str, str] | None = None) -> str:
    """Return a command of a workflow."""
    listed = ",".join(f"{key}={_escape_property(text)}" for key, text in (properties or {}).items())
    return f"::{name}{' ' if listed else ''}{listed}::{_escape(value)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def _may_be_command(text: str) -> bool:
    """Return whether the runner would find a command in a text, in the current form or in the former one."""
    return "##[" in text or any(line.lstrip().startswith("::") for line in text.split("\n"))


def _guard(lines: Iterable[str]) -> Iterable[str]:
    """Return lines in which the runner ignores commands, until a token comes that nobody can guess."""
    token = os.urandom(16).hex()
    return (f"::stop-commands::{token}", *lines, f"::{token}::")
