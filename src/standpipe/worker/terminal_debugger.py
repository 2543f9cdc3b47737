"""Python's debugger on a terminal that is not that of this process, and that tasks share."""

from __future__ import annotations

import fcntl
import os
import pdb
import time
from bdb import BdbQuit
from contextlib import suppress
from typing import Any

#: The modules between the user's function and the end of the task, where the debugger does not stop.
SKIPPED_MODULES = ("standpipe_worker.*", "kfp.*")

#: The seconds in which a display of the run notices that a task uses the terminal, and stops redrawing it.
_NOTICE_TIME = 0.5


class TerminalDebugger(pdb.Pdb):
    """A debugger that holds the lock of a terminal from a breakpoint on until the user lets the task continue.

    Args:
        path: the path of the terminal.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self._has_terminal = False
        super().__init__(
            stdin=open(self._descriptor, encoding="utf-8", errors="replace", closefd=False),  # noqa: SIM115  stays open
            stdout=open(self._descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False),  # noqa: SIM115
            skip=SKIPPED_MODULES,
            nosigint=True,  # Ctrl-C is for the program that runs the pipeline
        )

    def stop_in(self, frame: Any) -> None:
        """Stop at the next line of a frame."""
        self._acquire()
        self.set_trace(frame)

    def trace_dispatch(self, frame: Any, event: str, arg: Any) -> Any:
        """Handle an event, as `bdb` does; the user's quit is the end of the task, without a traceback."""
        try:
            return super().trace_dispatch(frame, event, arg)
        except BdbQuit:
            self._release()
            raise SystemExit("The user quit the debugger.") from None

    def set_continue(self) -> None:
        """Continue, as `bdb` does, and let others have the terminal."""
        super().set_continue()
        self._release()

    def interaction(self, *arguments: Any) -> None:
        """Talk to the user, as `pdb` does, also at a breakpoint that was set in the debugger."""
        self._acquire()
        super().interaction(*arguments)

    def _acquire(self) -> None:
        if not self._has_terminal:
            with suppress(OSError):  # this system has no locks of terminals
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self._has_terminal = True
            time.sleep(_NOTICE_TIME)

    def _release(self) -> None:
        if self._has_terminal:
            self._has_terminal = False
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
