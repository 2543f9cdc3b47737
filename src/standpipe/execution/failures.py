"""Failures of attempts, as users read them."""

from __future__ import annotations

import errno
from pathlib import Path

from standpipe.execution.crashes import drop_caller_frames, find_crash
from standpipe.execution.logs import TaskLog
from standpipe.model.attempts import Outcome, TaskRequest
from standpipe.model.events import Failure
from standpipe.model.resources import Limits, format_memory
from standpipe.support.system_limits import advise

#: The most characters of a failure's message, and of the traceback below it.
_MAX_MESSAGE = 2_000
_MAX_DETAIL = 50_000

#: How many lines at the end of its log a failure contains.
_LOG_LINES = 10


def describe_failure(outcome: Outcome, log: TaskLog, limits: Limits) -> Failure:
    """Return the failure of an attempt that did not succeed.

    Args:
        outcome: how its process ended.
        log: what it printed.
        limits: the limits that it ran with.
    """
    detail = outcome.detail or (find_crash(log.tail) if outcome.signal is not None else "")
    return Failure(
        shorten(_message(outcome, limits), _MAX_MESSAGE),
        detail=shorten(detail, _MAX_DETAIL),
        hint=outcome.hint,
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        out_of_memory=outcome.out_of_memory,
        log_tail=shorten(_last_lines(detail, log), _MAX_DETAIL),
        location=outcome.location,
    )


def describe_read_only_inputs(failure: Failure, request: TaskRequest) -> str:
    """Return a hint for a container that failed as it wrote to one of its inputs; empty for other failures."""
    text = f"{failure.message}\n{failure.log_tail}"
    if "Read-only file system" not in text or not any(mount.path in text for mount in request.input_mounts):
        return ""
    return "Input artifacts are read-only in containers. Copy the input first, and write to the copy or to an output."


def describe_defect(error: BaseException) -> Failure:
    """Return the failure of an attempt that a defect of Standpipe ended: an `InternalError` of that task alone."""
    import traceback  # only for this case

    try:
        text = f"{type(error).__name__}: {error}"
        detail = "".join(traceback.format_exception(error)).rstrip()
    except Exception as other:  # noqa: BLE001  the memory is full, or a method of the error fails as well
        text, detail = f"{type(error).__name__}, which cannot be shown: {type(other).__name__}", ""
    return Failure(
        shorten(f"Standpipe itself failed: {text}", _MAX_MESSAGE),
        detail=shorten(detail, _MAX_DETAIL),
        hint="This is a bug of Standpipe (InternalError), not of your task: please report it with the traceback.",
    )


def describe_os_error(error: OSError, folder: Path) -> Failure:
    """Return the failure of an attempt that the operating system did not let start."""
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
    details = [f"it used {format_memory(peak)} at its peak"] if peak else []
    details += [f"its limit is {format_memory(limit)}"] if limit else []
    return ": ".join(["it ran out of memory", *([", and ".join(details)] if details else [])])


def _last_lines(detail: str, log: TaskLog) -> str:
    """Return the last lines that a task printed, without the traceback that `detail` has already."""
    in_detail = set(detail.splitlines())
    lines = [line for line in drop_caller_frames(log.tail.splitlines()) if line not in in_detail]
    return "\n".join(lines[-_LOG_LINES:])


def shorten(text: str, limit: int) -> str:
    """Return a text without its middle, if it is longer than `limit` characters; the log has all of it."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} [… {len(text) - 2 * half} characters …] {text[-half:]}"


def signal_name(number: int) -> str:
    """Return `signal 9 (SIGKILL)`, or the bare number of a signal without a name."""
    import signal  # slow to import, and only killed tasks need it

    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _os_hint(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space, or choose a pipeline root on another disk: local.init(..., pipeline_root=...)."
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return "Choose a pipeline root that you may write to: local.init(..., pipeline_root=...)."
    return advise(error)
