"""Why an attempt failed, in the words that its user reads."""

from __future__ import annotations

import errno
from pathlib import Path

from standpipe.execution.logs import TaskLog
from standpipe.model.events import Failure
from standpipe.model.ports import Outcome
from standpipe.model.resources import Limits, in_words

#: The most characters of a failure's sentence, and of the traceback below it.
_LONGEST_MESSAGE = 2_000
_LONGEST_DETAIL = 50_000

#: How many lines of its log a failure holds.
_LINES = 10


def failure_of(outcome: Outcome, log: TaskLog, limits: Limits) -> Failure:
    """Why an attempt failed, from how its process ended.

    Args:
        outcome: how that was.
        log: what it printed.
        limits: what it might use.
    """
    return Failure(
        shortened(_message(outcome, limits), _LONGEST_MESSAGE),
        detail=shortened(outcome.detail, _LONGEST_DETAIL),
        hint=f"Its log is {log.path}.",
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        out_of_memory=outcome.out_of_memory,
        printed=shortened(_printed_before(outcome.detail, log), _LONGEST_DETAIL),
    )


def refusal(error: OSError, folder: Path) -> Failure:
    """A failure for what the operating system refused on the way to an attempt."""
    return Failure(f"{error.strerror or error} at {error.filename or folder}", hint=_os_hint(error))


def _message(outcome: Outcome, limits: Limits) -> str:
    if outcome.problem:
        return outcome.problem
    if outcome.out_of_memory:
        return _out_of_memory(outcome.peak_memory, limits.memory)
    if outcome.signal is not None:
        return f"it was killed by {signal_name(outcome.signal)}"
    return outcome.cause or f"it exited with code {outcome.exit_code}"


def _out_of_memory(peak: int | None, limit: int | None) -> str:
    told = [f"it used {in_words(peak)} at its peak"] if peak else []
    told += [f"its limit is {in_words(limit)}"] if limit else []
    return ": ".join(["it ran out of memory", *([", and ".join(told)] if told else [])])


def _printed_before(detail: str, log: TaskLog) -> str:
    """The last lines that a task printed, without its traceback, which it prints, too."""
    told = set(detail.splitlines())
    return "\n".join([line for line in log.tail.splitlines() if line not in told][-_LINES:])


def shortened(text: str, limit: int) -> str:
    """A text with its middle left out, where it is longer than a person would read; the log has all of it."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} [… {len(text) - 2 * half} characters …] {text[-half:]}"


def signal_name(number: int) -> str:
    """`signal 9 (SIGKILL)`, or the bare number where it has no name."""
    import signal  # costs enum set-up that a run without killed tasks need not pay

    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _os_hint(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "Free some space, or choose a pipeline root on another disk: local.init(..., pipeline_root=...)."
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return "Choose a pipeline root that you may write to: local.init(..., pipeline_root=...)."
    return ""
