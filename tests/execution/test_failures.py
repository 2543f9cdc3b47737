"""Error messages of failed attempts."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from standpipe.execution.failures import describe_failure, describe_os_error, shorten
from standpipe.execution.logs import TaskLog
from standpipe.model.attempts import Outcome
from standpipe.model.resources import Limits


@pytest.fixture
def log(tmp_path: Path) -> TaskLog:
    with TaskLog(tmp_path, tmp_path, lambda line: None) as log:
        log.write(b"first\nlast words")
    return log


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Outcome(exit_code=3), "it exited with code 3"),
        (Outcome(signal=9), "it was killed by signal 9 (SIGKILL)"),
        (Outcome(signal=99), "it was killed by signal 99"),
        (Outcome(signal=9, out_of_memory=True), "it ran out of memory"),
        (Outcome(problem="no engine"), "no engine"),
    ],
)
def test_a_failure_has_the_end_of_the_log(log: TaskLog, outcome: Outcome, message: str) -> None:
    failure = describe_failure(outcome, log, Limits())
    assert failure.message == message
    assert (failure.detail, failure.log_tail) == ("", "first\nlast words")
    assert failure.hint == "", "`standpipe show` has the path of the log"


def test_a_failure_has_the_exception_in_one_line_and_its_traceback(log: TaskLog) -> None:
    detail = "Traceback (most recent call last):\n  File …\nValueError: several\nlines"
    failure = describe_failure(Outcome(exit_code=1, detail=detail, cause="ValueError: several"), log, Limits())
    assert (failure.message, failure.detail) == ("ValueError: several", detail)


def test_long_error_details_are_shortened(log: TaskLog) -> None:
    failure = describe_failure(Outcome(exit_code=1, detail="x" * 5_000_000, cause="y" * 5_000_000), log, Limits())
    assert len(failure.message) < 3_000
    assert len(failure.detail) < 60_000
    assert shorten("a" * 50 + "b" * 50, 20) == "aaaaaaaaaa [… 80 characters …] bbbbbbbbbb"
    assert shorten("short", 20) == "short"


@pytest.mark.parametrize(
    ("peak", "limit", "message"),
    [
        (3 * 2**20, 2**20, "it ran out of memory: it used 3 MiB at its peak, and its limit is 1 MiB"),
        (None, 2**20, "it ran out of memory: its limit is 1 MiB"),
        (2**20, None, "it ran out of memory: it used 1 MiB at its peak"),
        (None, None, "it ran out of memory"),
    ],
)
def test_an_out_of_memory_failure_names_peak_and_limit(
    log: TaskLog, peak: int | None, limit: int | None, message: str
) -> None:
    outcome = Outcome(signal=9, out_of_memory=True, peak_memory=peak)
    assert describe_failure(outcome, log, Limits(memory=limit)).message == message


def test_the_traceback_that_a_task_prints_is_not_repeated(tmp_path: Path) -> None:
    detail = "Traceback (most recent call last):\n  File …\nValueError: boom"
    with TaskLog(tmp_path, tmp_path, lambda line: None) as log:
        log.write(b"".join(b"line %d\n" % number for number in range(20)) + detail.encode() + b"\n")
    failure = describe_failure(Outcome(exit_code=1, detail=detail, cause="ValueError: boom"), log, Limits())
    assert failure.log_tail.splitlines() == [f"line {number}" for number in range(10, 20)]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "Choose a pipeline root that you may write to"),
        (errno.EAGAIN, "This user or container has as many processes"),
        (errno.ENOMEM, "There is no memory"),
        (errno.EMFILE, "This process has as many open files"),
        (errno.ENFILE, "The system has as many open files"),
        (errno.EIO, ""),
    ],
)
def test_an_error_of_the_system_names_the_path(number: int, hint: str) -> None:
    failure = describe_os_error(OSError(number, "no", "/some/file"), Path("/folder"))
    assert failure.message == "no at /some/file"
    assert failure.hint.startswith(hint)
