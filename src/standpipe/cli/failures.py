"""What a person sees of an error that nobody caught, and the exit code that it ends with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from standpipe.errors import StandpipeError

#: What a shell says of a program that Ctrl-C ended.
INTERRUPTED = 130

_OURS = str(Path(__file__).parents[1])
_CLI = str(Path(__file__).parent)
_PYTHON = str(Path(os.__file__).parent)


def report(error: BaseException) -> int:
    """Writes the error to stderr, for the user rather than for us; returns the exit code.

    Of our own errors that is the message, and the line of the user's that led to it. Of all others it is Python's
    traceback without the frames of Standpipe, unless it was Standpipe that raised: that is a defect, and they are
    wanted for its report.
    """
    own_hook = sys.excepthook is not sys.__excepthook__
    if isinstance(error, StandpipeError) and not own_hook:
        sys.stderr.write(f"{error}\n{_place(error)}")
        return error.exit_code
    _clean(error)
    sys.excepthook(type(error), error, error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return error.exit_code if isinstance(error, StandpipeError) else 1


def _place(error: BaseException) -> str:
    """The user's own line that is closest to the error."""
    steps = [step for step in _steps(error.__traceback__) if _is_users(step)]
    return f"At {_file(steps[-1])}, line {steps[-1].tb_lineno}.\n" if steps else ""


def _clean(error: BaseException) -> None:
    """Takes our frames out of the traceback of an error, and of those that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = _without_ours(each)
        waiting += [each.__cause__, each.__context__]


def _without_ours(error: BaseException) -> TracebackType | None:
    steps = [step for step in _steps(error.__traceback__) if not _is_below(step, _CLI)]
    if isinstance(error, KeyboardInterrupt):
        kept = [step for step in steps if _is_users(step)]  # it does not matter what was going on in ours
    elif _is_defect(steps):
        kept = steps
    else:
        kept = [step for step in steps if not _is_below(step, _OURS)]
    last: TracebackType | None = None
    for step in reversed(kept):
        last = TracebackType(last, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return last


def _steps(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_defect(steps: Sequence[TracebackType]) -> bool:
    """Whether it was not the user's code that failed: nothing of the user's was called by the last of ours."""
    known = [step for step in steps if _is_below(step, _OURS) or _is_users(step)]
    return bool(known) and _is_below(known[-1], _OURS)


def _is_users(step: TracebackType) -> bool:
    is_library = _is_below(step, _PYTHON) or "site-packages" in Path(_file(step)).parts
    is_generated = _file(step).startswith("<")  # as the methods of frozen classes, and what Python has frozen
    return not (is_library or is_generated or _is_below(step, _OURS))


def _is_below(step: TracebackType, folder: str) -> bool:
    return Path(folder) in Path(_file(step)).parents


def _file(step: TracebackType) -> str:
    return step.tb_frame.f_code.co_filename
