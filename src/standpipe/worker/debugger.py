"""Component functions under pdb, on the terminal."""

from __future__ import annotations

import atexit
import pdb
import sys
from bdb import BdbQuit
from functools import partial
from typing import Any, Callable

from . import orphans, report, task
from .attach import wait_for_editor
from .terminal_debugger import SKIPPED_MODULES


class Debugger(pdb.Pdb):
    """A debugger that starts at the first line of one function, and stops nowhere after that has returned."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(skip=SKIPPED_MODULES)
        self._code = function.__code__
        self._has_started = False

    def debug(self, call: Callable[[], None]) -> None:
        """Run a call that calls the function, and stop in the function. Debug an exception post mortem, then raise it.

        Raises:
            SystemExit: if the user quits.
        """
        try:
            self._trace(call)
        except BdbQuit:
            raise SystemExit("The user quit the debugger.") from None
        except Exception as error:
            sys.stderr.write(report.traceback_text(error))
            print("Post-mortem debugging: the debugger is where the exception was raised; `c` continues.")
            pdb.post_mortem(error.__traceback__)
            raise

    def _trace(self, call: Callable[[], None]) -> None:
        self.reset()
        # A breakpoint instead of a wrapped function, as its caller inspects its code and annotations.
        self.set_break(self._code.co_filename, self._code.co_firstlineno, funcname=self._code.co_name)
        self.botframe = sys._getframe()  # where tracing ends
        self.set_continue()
        sys.settrace(self.trace_dispatch)
        try:
            call()
        finally:
            sys.settrace(None)

    def user_line(self, frame: Any) -> None:
        """Show a line, as `pdb` does; before the first one, remove the breakpoint."""
        if not self._has_started:
            self._has_started = True
            self.clear_all_breaks()
        super().user_line(frame)

    def user_return(self, frame: Any, return_value: Any) -> None:
        """Show the return, as `pdb` does; after that of the function itself, stop nowhere."""
        super().user_return(frame, return_value)
        if frame.f_code is self._code and not self.quitting:
            self.set_continue()


def run(path: str, port: str = "", folder: str = "") -> int:
    """Execute the request in a file under a debugger, and return the exit code of the task.

    With a port it is that of an editor, which attaches by the debugpy in a folder, otherwise Python's on the terminal.
    There is no fork server that kills what the task leaves running, or the task if the main process dies.
    """
    orphans.die_with_parent()
    if orphans.adopt():
        atexit.register(orphans.kill_children)  # the first one, so that children may be waited for before
    return task.run(path, call=partial(call_attached, int(port), folder) if port else call_debugged)


def call_debugged(function: Callable[..., Any], execute: Callable[[], None]) -> None:
    """Call a function by `execute`, under Python's debugger."""
    Debugger(function).debug(execute)


def call_attached(port: int, folder: str, function: Callable[..., Any], execute: Callable[[], None]) -> None:
    """Call a function by `execute`, once an editor has attached to this process; see `attach.wait_for_editor`."""
    wait_for_editor(port, folder, function.__name__)
    execute()
