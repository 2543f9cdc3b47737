"""Fault injection: failures on request, to test how a pipeline handles them.

The faults are described here; `faults.runner` injects them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Union

from standpipe.errors import ArgumentError
from standpipe.model.frozen import frozen


@frozen
class Fail:
    """Makes an attempt of a task fail without running it, as if its code had raised an exception.

    Args:
        task: the task's name, anywhere in the pipeline, or its path as in messages: `for-loop-1/2/train` is the
            task `train` in iteration 2 of the loop, counted from 0.
        attempt: the number of the attempt, counted from 1 as in messages; `None` stands for all.
        message: the text of the exception.

    Raises:
        ArgumentError: if an argument is invalid.
    """

    task: str
    attempt: int | None = 1
    message: str = "injected by local.Fail"

    def __post_init__(self) -> None:
        _check(self)
        if not isinstance(self.message, str):
            raise ArgumentError(f"Invalid message of {self!r}: expected text.")


@frozen
class Delay:
    """Delays an attempt of a task before it runs, as a slow disk or a busy machine does.

    Args:
        task: as for `Fail`.
        seconds: the length of the delay.
        attempt: as for `Fail`.

    Raises:
        ArgumentError: if an argument is invalid.
    """

    task: str
    seconds: float
    attempt: int | None = 1

    def __post_init__(self) -> None:
        _check(self)
        _check_seconds(self, self.seconds)


@frozen
class Kill:
    """Kills an attempt of a task, as a machine without free memory does: the task gets no chance to clean up.

    Args:
        task: as for `Fail`.
        attempt: as for `Fail`.
        after: the seconds after its start; 0 is before its code runs. An attempt that has ended by then is not killed.

    Raises:
        ArgumentError: if an argument is invalid.
    """

    task: str
    attempt: int | None = 1
    after: float = 0.0

    def __post_init__(self) -> None:
        _check(self)
        _check_seconds(self, self.after)


Fault = Union[Fail, Delay, Kill]


def check_faults(faults: object) -> None:
    """Raise ArgumentError unless `faults` is a list or tuple of faults."""
    if not isinstance(faults, Sequence) or isinstance(faults, str):
        raise ArgumentError(f"Invalid faults={faults!r}: expected a list such as faults=[local.Fail('task')].")
    for fault in faults:
        if not isinstance(fault, (Fail, Delay, Kill)):
            raise ArgumentError(f"Invalid faults: expected local.Fail, local.Delay or local.Kill, got {fault!r}.")


def _check(fault: Fault) -> None:
    if not isinstance(fault.task, str) or not fault.task:
        raise ArgumentError(
            f"Invalid task of {fault!r}: expected a name such as 'train', or a path such as 'for-loop-1/2/train'."
        )
    attempt = fault.attempt
    if attempt is not None and (isinstance(attempt, bool) or not isinstance(attempt, int) or attempt < 1):
        raise ArgumentError(f"Invalid attempt of {fault!r}: expected a whole number from 1, or None for all attempts.")


def _check_seconds(fault: Fault, seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise ArgumentError(f"Invalid time of {fault!r}: expected a number of seconds that is not negative.")
