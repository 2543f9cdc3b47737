"""The texts that all observers share."""

from __future__ import annotations

import threading
from collections.abc import Collection
from itertools import islice

from standpipe.model.events import AttemptFailed, Failure, LoopStarted, RunEnded, TaskSucceeded
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.states import TaskState
from standpipe.support.code_locations import describe_location
from standpipe.support.durations import format_duration

_STATES = {
    TaskState.SUCCEEDED: "Succeeded",
    TaskState.FAILED: "Failed",
    TaskState.CANCELLED: "Cancelled",
}

#: The most tasks that the text of a cancellation names.
_MAX_NAMED = 5


def describe_start(run: RunInfo, folder: str) -> str:
    """Return the first line of a run: `Running train in …`."""
    return f"Running {run.name} in {folder}"


def describe_end(fact: RunEnded, seconds: float, earlier: float) -> str:
    """Return the last line of a run: `Failed in 3.2 s`.

    Args:
        fact: the end of the run.
        seconds: for how long it was in progress since it was started, or last resumed.
        earlier: for how long it was in progress before it was last resumed, in seconds.
    """
    since = f", {format_duration(seconds)} of them since it was resumed" if earlier else ""
    return f"{_STATES[fact.state]} in {format_duration(earlier + seconds)}{since}"


def describe_cancelling(running: Collection[TaskRef], *, is_first: bool, reason: str = "") -> str:
    """Return what a cancelled run waits for, such as `Cancelling: waiting for 1 task (train). Press Ctrl-C again …`.

    Args:
        running: its running tasks.
        is_first: whether this is the first request to cancel it; the second one kills its tasks.
        reason: why it is stopped; empty if the user cancels it.
    """
    if not running:
        return f"Stopping the run: {reason}." if reason else "Cancelling"
    names = ", ".join(str(task) for task in islice(running, _MAX_NAMED))
    if len(running) > _MAX_NAMED:
        names += f" and {len(running) - _MAX_NAMED} more"
    tasks = f"1 task ({names})" if len(running) == 1 else f"{len(running)} tasks ({names})"
    if reason:
        return f"Stopping the run: {reason}. Waiting for {tasks}."
    if not is_first:
        return f"Killing {tasks}"
    # Python delivers signals to the main thread.
    again = "Press Ctrl-C again" if threading.current_thread() is threading.main_thread() else "Cancel it again"
    return f"Cancelling: waiting for {tasks}. {again} to kill {'it' if len(running) == 1 else 'them'}."


def describe_cached(fact: TaskSucceeded) -> str:
    """Return the text for a task whose outputs came from the cache."""
    return f"cached (from {fact.cached_from})"


def describe_failure(failure: Failure) -> str:
    """Return what follows `failed`: ` in attempt 3 of 3 at train.py, line 34: ValueError: …`."""
    location = f" at {describe_location(failure.location)}" if failure.location else ""
    return f"{failure.in_attempt}{location}: {failure.message}"


def describe_next_attempt(fact: AttemptFailed) -> str:
    """Return what follows a failed attempt: `attempt 2 of 3 in 10 s`."""
    when = f"in {format_duration(fact.delay)}" if fact.delay else "follows"
    return f"attempt {fact.attempt + 2} of {fact.max_attempts} {when}"


def describe_iterations(fact: LoopStarted) -> str:
    """Return the number of iterations of a loop: `3 iterations`."""
    return "1 iteration" if len(fact.items) == 1 else f"{len(fact.items)} iterations"
