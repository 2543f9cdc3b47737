"""What is told of an attempt that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from standpipe.execution.attempt import failure_of, shortened
from standpipe.execution.logs import TaskLog
from standpipe.model.ports import Outcome


@pytest.fixture
def log(tmp_path: Path) -> TaskLog:
    with TaskLog(tmp_path, lambda line: None) as log:
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
def test_the_end_of_the_log_stands_where_no_traceback_does(log: TaskLog, outcome: Outcome, message: str) -> None:
    failure = failure_of(outcome, log)
    assert failure.message == message
    assert failure.detail == "It printed at last:\nfirst\nlast words"
    assert failure.hint == f"Its log is {log.path}."


def test_an_exception_is_told_in_one_line_and_with_its_traceback(log: TaskLog) -> None:
    detail = "Traceback (most recent call last):\n  File …\nValueError: several\nlines"
    failure = failure_of(Outcome(exit_code=1, detail=detail, cause="ValueError: several"), log)
    assert (failure.message, failure.detail) == ("ValueError: several", detail)


def test_nobody_has_to_read_megabytes(log: TaskLog) -> None:
    failure = failure_of(Outcome(exit_code=1, detail="x" * 5_000_000, cause="y" * 5_000_000), log)
    assert len(failure.message) < 3_000
    assert len(failure.detail) < 60_000
    assert shortened("a" * 50 + "b" * 50, 20) == "aaaaaaaaaa [… 80 characters …] bbbbbbbbbb"
    assert shortened("short", 20) == "short"
