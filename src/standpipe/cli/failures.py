"""Reports of uncaught errors, and their exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from standpipe.errors import StandpipeError

#: The exit code of shells for a program that Ctrl-C has stopped.
INTERRUPTED = 130

_PACKAGE = str(Path(__file__).parents[1])
_CLI = str(Path(__file__).parent)
_PYTHON = str(Path(os.__file__).parent)


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
    _remove_own_frames(error)
    sys.excepthook(type(error), error, error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return error.exit_code if isinstance(error, StandpipeError) else 1


def _location(error: BaseException) -> str:
    """Return the line of the user's code that is closest to the error."""
    steps = [step for step in _steps(error.__traceback__) if _is_user_code(step)]
    return f"At {_file(steps[-1])}, line {steps[-1].tb_lineno}.\n" if steps else ""


def _remove_own_frames(error: BaseException) -> None:
    """Remove the frames of Standpipe from the tracebacks of an error and of its causes."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = _user_traceback(each)
        pending += [each.__cause__, each.__context__]


def _user_traceback(error: BaseException) -> TracebackType | None:
    steps = [step for step in _steps(error.__traceback__) if not _is_below(step, _CLI)]
    if isinstance(error, KeyboardInterrupt):
        kept = [step for step in steps if _is_user_code(step)]  # what Standpipe was doing does not matter
    elif _is_defect(steps):
        kept = steps
    else:
        kept = [step for step in steps if not _is_below(step, _PACKAGE)]
    last: TracebackType | None = None
    for step in reversed(kept):
        last = TracebackType(last, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return last


def _steps(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_defect(steps: Sequence[TracebackType]) -> bool:
    """Return whether Standpipe failed, not the user's code: its last frame comes after all frames of the user."""
    known = [step for step in steps if _is_below(step, _PACKAGE) or _is_user_code(step)]
    return bool(known) and _is_below(known[-1], _PACKAGE)


def _is_user_code(step: TracebackType) -> bool:
    is_library = _is_below(step, _PYTHON) or "site-packages" in Path(_file(step)).parts
    is_generated = _file(step).startswith("<")  # as methods of frozen classes, and frozen modules of Python
    return not (is_library or is_generated or _is_below(step, _PACKAGE))


def _is_below(step: TracebackType, folder: str) -> bool:
    return Path(folder) in Path(_file(step)).parents


def _file(step: TracebackType) -> str:
    return step.tb_frame.f_code.co_filename
