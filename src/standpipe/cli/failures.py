"""Reports of uncaught errors, and their exit codes."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType

from standpipe.errors import StandpipeError
from standpipe.tracebacks import file_of, is_own, is_user_code, map_tracebacks, steps

#: The exit code of shells for a program that Ctrl-C has stopped.
INTERRUPTED = 130

_CLI = os.path.dirname(os.path.abspath(__file__)) + os.sep


def report(error: BaseException) -> int:
    """Write an error to stderr, and return the exit code.

    A `StandpipeError` is shown as its message and the line of the user's code that led to it. Other errors are shown
    with Python's traceback, without the frames of Standpipe. If Standpipe itself raised the error, which is a defect,
    its frames are shown, too.
    """
    has_custom_hook = sys.excepthook is not sys.__excepthook__
    if isinstance(error, StandpipeError) and not has_custom_hook:
        sys.stderr.write(f"{error}\n{_location(error)}")
        return error.exit_code
    map_tracebacks(error, _select_steps)
    sys.excepthook(type(error), error, error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return error.exit_code if isinstance(error, StandpipeError) else 1


def _location(error: BaseException) -> str:
    """Return the line of the user's code that is closest to the error."""
    last = next((step for step in reversed(list(steps(error.__traceback__))) if is_user_code(step)), None)
    return f"At {file_of(last)}, line {last.tb_lineno}.\n" if last else ""


def _select_steps(error: BaseException) -> Iterable[TracebackType]:
    kept = [step for step in steps(error.__traceback__) if not file_of(step).startswith(_CLI)]
    if isinstance(error, KeyboardInterrupt):
        return filter(is_user_code, kept)  # what Standpipe was doing does not matter
    return kept if _is_defect(kept) else itertools.filterfalse(is_own, kept)


def _is_defect(kept: Sequence[TracebackType]) -> bool:
    """Return whether Standpipe failed, not the user's code: its last frame comes after all frames of the user."""
    known = [step for step in kept if is_own(step) or is_user_code(step)]
    return bool(known) and is_own(known[-1])
