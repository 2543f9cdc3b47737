"""Reports of uncaught errors, and their exit codes."""

from __future__ import annotations

import errno
import itertools
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType

from standpipe.cli.terminal import leave_output
from standpipe.errors import StandpipeError, StorageError
from standpipe.support.terminal_text import strip_controls
from standpipe.tracebacks import file_of, is_own, is_user_code, map_tracebacks, steps

#: The exit code of shells for a program that Ctrl-C has stopped.
INTERRUPTED = 130

#: The errors of an output: its reader has exited, its disk is full, or it is not open.
_OF_OUTPUT = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}

_CLI = os.path.dirname(os.path.abspath(__file__)) + os.sep


def report(error: BaseException) -> int:
    """Write an error to stderr, and return the exit code.

    A `StandpipeError` is shown as its message and the line of the user's code that led to it. Other errors are shown
    with Python's traceback, without the frames of Standpipe. If Standpipe itself raised the error, which is a defect,
    its frames are shown, too.
    """
    has_custom_hook = sys.excepthook is not sys.__excepthook__
    if isinstance(error, StandpipeError) and not has_custom_hook:
        # A message may quote a server, or a task, whose colors stay.
        sys.stderr.write(f"{strip_controls(str(error), keep_colors=True)}\n{_location(error)}")
        return error.exit_code
    if isinstance(error, (OSError, ValueError)) and _is_about_output(error):
        return report_output(error)
    map_tracebacks(error, _select_steps)
    sys.excepthook(type(error), error, error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return error.exit_code if isinstance(error, StandpipeError) else 1


def report_output(error: OSError | ValueError) -> int:
    """Say that standard output cannot be written, and return the exit code: 0 if its reader has exited, as `head` does.

    Args:
        error: the error of the output.
    """
    if isinstance(error, OSError):
        with suppress(OSError, ValueError):  # it is not a file of the system
            leave_output()
    if isinstance(error, BrokenPipeError):
        return 0
    sys.stderr.write(f"The output cannot be written: {getattr(error, 'strerror', None) or error}.\n")
    return StorageError.exit_code


def _is_about_output(error: OSError | ValueError) -> bool:
    """Return whether a command could not write what it prints: where it failed, there is only a call of `print`."""
    kept = list(steps(error.__traceback__))
    if not _is_defect(kept) or getattr(error, "filename", None) is not None:
        return False
    if isinstance(error, ValueError):
        return sys.stdout.closed
    return error.errno in _OF_OUTPUT


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
