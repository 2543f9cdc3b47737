"""Tracebacks without the frames of Standpipe: users need the message of an error, and the line of their own code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_SITE_PACKAGES = f"{os.sep}site-packages{os.sep}"
_PYTHON = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


def remove_own_frames(error: BaseException) -> None:
    """Remove the frames of Standpipe from the tracebacks of an error and of its causes."""
    map_tracebacks(error, lambda each: user_steps(each.__traceback__))


def map_tracebacks(error: BaseException, select: Callable[[BaseException], Iterable[TracebackType]]) -> None:
    """Give an error and its causes tracebacks of selected steps."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = join(select(each))
            pending += [each.__cause__, each.__context__]


def user_steps(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the steps of a traceback without those of Standpipe and of the libraries that it called.

    A library that calls the user's code or Standpipe, such as one with pipelines, stays.
    """
    is_below_own = False
    library: list[TracebackType] = []
    for step in steps(traceback):
        if is_below_own and not is_own(step) and not is_user_code(step):
            if not _is_python(step):
                library.append(step)
            continue
        yield from library
        library.clear()
        is_below_own = is_own(step)
        if not is_below_own:
            yield step


def steps(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the steps of a traceback, the outermost first."""
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def join(kept: Iterable[TracebackType]) -> TracebackType | None:
    """Return a traceback with these steps only."""
    joined: TracebackType | None = None
    for step in reversed(list(kept)):
        joined = TracebackType(joined, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return joined


def file_of(step: TracebackType) -> str:
    """Return the file of a step, or text such as `<string>` for code that is in no file."""
    return step.tb_frame.f_code.co_filename


def is_own(step: TracebackType) -> bool:
    """Return whether a step is in code of Standpipe, or in code that was generated for it, which is in no file."""
    file = file_of(step)
    module = str(step.tb_frame.f_globals.get("__name__"))
    return file.startswith(_PACKAGE) or (file.startswith("<") and module.partition(".")[0] == "standpipe")


def is_user_code(step: TracebackType) -> bool:
    """Return whether a step is neither in Standpipe nor in another package or Python itself."""
    return not (is_own(step) or _is_python(step) or _SITE_PACKAGES in file_of(step) or file_of(step).endswith(".pyx"))


def _is_python(step: TracebackType) -> bool:
    file = file_of(step)
    return file.startswith("<frozen ") or (file.startswith(_PYTHON) and _SITE_PACKAGES not in file)
