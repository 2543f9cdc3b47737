"""Failures as pages show them: what happened, the user's own traceback, and what to do."""

from __future__ import annotations

import signal

from standpipe.model.events import Failure
from standpipe.model.frozen import frozen
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.rendering import link


@frozen
class FailureView:
    """Why a task failed.

    Attributes:
        message: one sentence.
        traceback: the traceback of the task's code; empty if there is none.
        log_tail: the end of its log, if there is no traceback.
        hint: what to do next.
        ending: how its process ended, such as `exit code 1`.
        cause: the path of the task in it that failed by itself; empty for one that did.
        cause_href: the address of that task.
    """

    message: str
    traceback: str
    log_tail: str
    hint: str
    ending: str
    cause: str
    cause_href: str


def view_failure(run: str, failure: Failure, tab: str = "") -> FailureView:
    """Return a failure.

    Args:
        run: the id of the run.
        failure: the failure.
        tab: the tab in which links open.
    """
    cause = str(failure.cause_task) if failure.cause_task else ""
    return FailureView(
        message=strip_controls(failure.message),
        traceback=strip_controls(failure.detail).rstrip() if failure.detail != failure.message else "",
        log_tail=strip_controls(failure.log_tail),
        hint=strip_controls(failure.hint),
        ending=describe_ending(failure),
        cause=cause,
        cause_href=link("runs", run, tab=tab, task=cause) if cause else "",
    )


def describe_ending(failure: Failure | None) -> str:
    """Return how a process ended; empty if that is not known."""
    if failure is None:
        return ""
    parts = []
    if failure.out_of_memory:
        parts.append("out of memory")
    if failure.signal is not None:
        parts.append(f"signal {_signal_name(failure.signal)}")
    elif failure.exit_code is not None:
        parts.append(f"exit code {failure.exit_code}")
    return ", ".join(parts)


def _signal_name(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)
