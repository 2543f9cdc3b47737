"""Runs a component's function under pdb, on the terminal."""

from __future__ import annotations

import pdb
import sys
import traceback
from bdb import BdbQuit
from typing import Any, Callable

from . import orphans, task

#: What lies between the user's function and the end of the task, where nobody wants to stop.
_NOT_THE_USERS = ("standpipe_worker.*", "kfp.*")


class Debugger(pdb.Pdb):
    """A debugger that begins at the first line of one function and has nothing to say once that has returned."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(skip=_NOT_THE_USERS)
        self._code = function.__code__
        self._has_begun = False

    def debug(self, call: Callable[[], None]) -> None:
        """Makes a call, in which the function is called, and stops in the function.

        Where the call raises an exception it looks at what is left, and raises it.

        Raises:
            SystemExit: if the user quits.
        """
        try:
            self._trace(call)
        except BdbQuit:
            raise SystemExit("The task was ended in its debugger.") from None
        except Exception as error:
            traceback.print_exc()
            print("Post-mortem: the debugger is where the exception was raised; `c` goes on.")
            pdb.post_mortem(error.__traceback__)
            raise

    def _trace(self, call: Callable[[], None]) -> None:
        self.reset()
        # A break of its own, and not a wrapped function: what calls it looks at its code and its annotations.
        self.set_break(self._code.co_filename, self._code.co_firstlineno, funcname=self._code.co_name)
        self.botframe = sys._getframe()  # where tracing is off again
        self.set_continue()
        sys.settrace(self.trace_dispatch)
        try:
            call()
        finally:
            sys.settrace(None)

    def user_line(self, frame: Any) -> None:
        """Shows a line, as always, but for the first time without the break that led there."""
        if not self._has_begun:
            self._has_begun = True
            self.clear_all_breaks()
        super().user_line(frame)

    def user_return(self, frame: Any, return_value: Any) -> None:
        """Shows the return, as always; after that of the function itself, stops nowhere any more."""
        super().user_return(frame, return_value)
        if frame.f_code is self._code and not self.quitting:
            self.set_continue()


def run(path: str) -> int:
    """Carries out the request in a file under a debugger; returns the exit code of the task.

    There is no fork server that would end what the task leaves running, or the task if the main process dies.
    """
    orphans.die_with_parent()
    adopts = orphans.adopt()
    try:
        return task.run(path, debugs=True)
    finally:
        if adopts:
            orphans.end()
