"""Progress in a workflow of GitHub Actions: plain lines, a group for the log of each task, annotations of failures.

The commands for the runner are lines among the output (docs.github.com, "Workflow commands for GitHub Actions"). Tasks
run at the same time, and groups cannot be nested, so what a task prints is written as one group when its attempt ends.
Nothing that a task prints is a command: the runner ignores commands in there.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
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

#: The most lines of an attempt that are kept until they are written; the log has all.
_MAX_LINES = 5_000


class GitHubLines(PlainLines):
    """Writes plain lines, and the commands of GitHub Actions; see `PlainLines`."""

    def __init__(self, run: RunInfo, folder: str, earlier: float = 0.0) -> None:
        self._folder = Path(folder)
        self._printed: dict[TaskRef, deque[str]] = {}
        self._counts: dict[TaskRef, int] = {}
        self._numbers: dict[TaskRef, int] = {}  # of the running attempts
        self._lock = threading.Lock()  # of what was printed
        super().__init__(run, folder, earlier)

    def __call__(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, AttemptStarted):
                self._numbers[fact.task] = fact.attempt
            elif isinstance(fact, (AttemptFailed, TaskSucceeded, TaskFailed, TaskCancelled)):
                self._write_group(fact.task)
            super().__call__((fact,))
            if isinstance(fact, TaskFailed) and not fact.failure.cause_task:
                self._annotate("error", fact)
            elif isinstance(fact, AttemptFailed):
                self._annotate("warning", fact)

    def line(self, task: TaskRef, text: str) -> None:
        """Keep a line that a task printed. Called from many threads."""
        with self._lock:
            self._printed.setdefault(task, deque(maxlen=_MAX_LINES)).append(text)
            self._counts[task] = self._counts.get(task, 0) + 1

    def close(self) -> None:
        """Write what tasks have printed whose end was not recorded."""
        for task in [*self._printed]:
            self._write_group(task)

    def _write_group(self, task: TaskRef) -> None:
        """Write what an attempt has printed, if it has printed something."""
        with self._lock:
            lines, count = self._printed.pop(task, ()), self._counts.pop(task, 0)
        number = self._numbers.pop(task, 0)
        if not lines:
            return
        log = attempt_folder(self._folder, task, number) / LOG_FILE
        omission = [f"[{count - len(lines)} earlier lines are in {log}]"] if count > len(lines) else []
        shown = (strip_controls(line, keep_colors=True) for line in lines)
        title = f"{task}, attempt {number + 1}" if number else f"{task}"
        self._print("\n".join((_command("group", title), *_guard((*omission, *shown)), _command("endgroup"))))

    def _annotate(self, level: str, fact: TaskFailed | AttemptFailed) -> None:
        """Write an annotation, which GitHub shows beside the line of the user's code."""
        title = f"Task {fact.task} failed{_describe_attempt(fact)}"
        properties = {**_describe_file(fact.failure.location), "title": strip_controls(title)}
        self._print(_command(level, strip_controls(fact.failure.message), properties))

    def _write(self, line: str, *, keep_colors: bool = False) -> None:
        text = strip_controls(line, keep_colors=keep_colors)
        self._print("\n".join(_guard([text]) if _may_be_command(text) else [text]))

    def _print(self, text: str) -> None:
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
