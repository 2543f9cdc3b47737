"""What users are told besides progress and errors.

A notice is a record of the logger `standpipe`, which users can handle, filter and capture as any other; and it is a
line on standard error, unless the user's own logging writes to the terminal already. The level `INFO` is for steps
that take long, `WARNING` for what is not done as asked. Lines of level `INFO` are left out where a run is quiet.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from standpipe.support.forking import register_functions
from standpipe.support.terminal_text import strip_controls

if TYPE_CHECKING:
    from logging import Handler, Logger

#: The levels of the module `logging`, which takes 6 ms to import. Where nobody has imported it, nobody can listen.
_INFO, _WARNING = 20, 30

_thread = threading.local()

#: Those that write notices on the terminal while they redraw its last lines; the newest one is last.
_displays: list[Callable[[str], None]] = []

#: Those that take the secrets of the runs in progress out of notices.
_redactions: list[Callable[[str], str]] = []

# A forked child has none of the threads that draw them, and these may hold the locks of the displays.
register_functions(in_child=_displays.clear)

#: Takes a notice: one or more sentences. `warn` and `inform` are such functions.
Notice = Callable[[str], None]


def warn(text: str) -> None:
    """Tell the user that something is not done as asked, or needs their attention."""
    _tell(text, _WARNING)


def inform(text: str) -> None:
    """Tell the user of a step that takes long, such as the building of an environment."""
    _tell(text, _INFO)


def inform_as_this_thread() -> Notice:
    """Return a function that informs the user from any thread, unless the run of this thread is quiet."""
    quiet = getattr(_thread, "quiet", False)

    def tell(text: str) -> None:
        with quiet_notices(quiet):
            inform(text)

    return tell


def log(text: str) -> None:
    """Write a record of level `INFO` for those who use `logging`, and nothing on standard error."""
    logger = _logger()
    if logger is not None:
        logger.info("%s", _redact(text))


@contextmanager
def quiet_notices(quiet: bool = True) -> Iterator[None]:
    """Keep notices of level `INFO` off standard error, in this thread during the block. They are still logged."""
    before = getattr(_thread, "quiet", False)
    _thread.quiet = quiet
    try:
        yield
    finally:
        _thread.quiet = before


@contextmanager
def redact_notices(redact: Callable[[str], str]) -> Iterator[None]:
    """Redact all notices of this process during the block: a run's threads, and those of its runner, are many."""
    _redactions.append(redact)
    try:
        yield
    finally:
        _redactions.remove(redact)


def show_notices_in(write_line: Callable[[str], None]) -> Callable[[], None]:
    """Let a display that redraws lines of the terminal write the notices there, which would else be among its lines.

    Args:
        write_line: writes a line above the display, from any thread.

    Returns:
        A function that ends this.
    """
    _displays.append(write_line)

    def end() -> None:
        if write_line in _displays:  # it is not in a forked child, which may leave a block of its parent
            _displays.remove(write_line)

    return end


class Once:
    """Tells what is new from what was told before. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: set[Hashable] = set()

    def is_first(self, key: Hashable) -> bool:
        """Return True the first time that it is asked about a key."""
        with self._lock:
            is_new = key not in self._keys
            self._keys.add(key)
        return is_new


def _redact(text: str) -> str:
    for redact in list(_redactions):
        text = redact(text)
    return text


def _tell(text: str, level: int) -> None:
    text = strip_controls(_redact(text))
    logger = _logger()
    if logger is not None:
        if level < logger.level:
            return  # the user has set the level of this very logger
        if logger.isEnabledFor(level):
            logger.log(level, "%s", text)
            if _is_on_terminal(logger, level):
                return
    if level >= _WARNING or not getattr(_thread, "quiet", False):
        _write(f"standpipe: {text}")


def _write(line: str) -> None:
    """Write a notice to standard error; through the display that redraws the terminal, if both are there."""
    displays = list(_displays)
    if displays and getattr(sys.stderr, "isatty", bool)():
        displays[-1](line)
    else:
        sys.stderr.write(f"{line}\n")


def _logger() -> Logger | None:
    """Return the logger, or None where nothing in this process has imported `logging`."""
    logging = sys.modules.get("logging")
    if logging is None:
        return None
    logger: Logger = logging.getLogger("standpipe")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # without any, `logging` itself would write to standard error
    return logger


def _is_on_terminal(logger: Logger, level: int) -> bool:
    """Return whether a handler of the user's writes such a record to the standard streams."""
    handlers = [*logger.handlers, *(logger.root.handlers if logger.propagate else ())]
    return any(level >= handler.level and _writes_to_terminal(handler) for handler in handlers)


def _writes_to_terminal(handler: Handler) -> bool:
    console = getattr(handler, "console", None)  # of `rich.logging.RichHandler`, which has no stream
    stream = getattr(handler, "stream", None) or getattr(console, "file", None)
    return stream in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
