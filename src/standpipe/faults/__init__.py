"""Failures that a user asks for, to see what a pipeline does about them before they happen by themselves.

Here is how they are said; `faults.tasks` makes them happen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Union

from standpipe.errors import ArgumentError
from standpipe.model.frozen import frozen


@frozen
class Fail:
    """Lets an attempt at a task fail without running it, as if its code had raised an exception.

    Args:
        task: the task's name, wherever it stands, or its path as messages show it: `loop/2/train` is the task `train`
            in iteration 2 of `loop`, counted from 0.
        attempt: which attempt, counted from 1 as messages do; `None` is every one.
        message: what the exception says.

    Raises:
        ArgumentError: if an argument makes no sense.
    """

    task: str
    attempt: int | None = 1
    message: str = "local.Fail asked for it"

    def __post_init__(self) -> None:
        _check(self)
        if not isinstance(self.message, str):
            raise ArgumentError(f"{self!r}: the message must be text.")


@frozen
class Delay:
    """Lets an attempt at a task wait for some seconds before it runs, as for a slow disk or a busy machine.

    Args:
        task: as for `Fail`.
        seconds: how long.
        attempt: as for `Fail`.

    Raises:
        ArgumentError: if an argument makes no sense.
    """

    task: str
    seconds: float
    attempt: int | None = 1

    def __post_init__(self) -> None:
        _check(self)
        _check_seconds(self, self.seconds)


@frozen
class Kill:
    """Kills an attempt at a task, as a machine does that has no memory left: it gets no chance to clean up.

    Args:
        task: as for `Fail`.
        attempt: as for `Fail`.
        after: how many seconds after its start; 0 is before its code runs. What has ended by then is not killed.

    Raises:
        ArgumentError: if an argument makes no sense.
    """

    task: str
    attempt: int | None = 1
    after: float = 0.0

    def __post_init__(self) -> None:
        _check(self)
        _check_seconds(self, self.after)


Fault = Union[Fail, Delay, Kill]


def check_faults(faults: object) -> None:
    """Raises ArgumentError unless `faults` is a list or tuple of faults."""
    if not isinstance(faults, Sequence) or isinstance(faults, str):
        raise ArgumentError(f"faults={faults!r} is no list: write faults=[local.Fail('task')].")
    for fault in faults:
        if not isinstance(fault, (Fail, Delay, Kill)):
            raise ArgumentError(f"faults holds {fault!r}, which is no local.Fail, local.Delay or local.Kill.")


def _check(fault: Fault) -> None:
    if not isinstance(fault.task, str) or not fault.task:
        raise ArgumentError(f"{fault!r}: the task must be a name such as 'train', or a path such as 'loop/2/train'.")
    attempt = fault.attempt
    if attempt is not None and (isinstance(attempt, bool) or not isinstance(attempt, int) or attempt < 1):
        raise ArgumentError(f"{fault!r}: the attempt must be a whole number from 1 on, or None for every attempt.")


def _check_seconds(fault: Fault, seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise ArgumentError(f"{fault!r}: a number of seconds is wanted that is not negative.")
