"""`breakpoint()` in a task, whose standard streams are its log: it gets the terminal of the run, if there is one."""

from __future__ import annotations

import os
import sys
from typing import Any, List

#: Python's own variable, by which a user chooses another debugger, or none.
_VARIABLE = "PYTHONBREAKPOINT"

_NO_TERMINAL = (
    "breakpoint() needs a terminal, and this task has none. Rerun the task in a debugger, with "
    "`standpipe rerun RUN TASK --debug` on a terminal, or run the pipeline with local.InProcessRunner()"
)


def install_hook(terminal: str) -> None:
    """Let `breakpoint()` stop this task, with Python's debugger on a terminal.

    Args:
        terminal: the path of the terminal; if it is empty, `breakpoint()` is an error that says what to do.
    """
    if os.environ.get(_VARIABLE):
        return
    debuggers: List[Any] = []  # the one of this process, once there is one

    def stop(*_: Any, **__: Any) -> None:
        if not terminal:
            raise RuntimeError(_NO_TERMINAL)
        if not debuggers:
            from .terminal_debugger import TerminalDebugger  # costs 20 ms, and few tasks have a breakpoint

            debuggers.append(TerminalDebugger(terminal))
        debuggers[0].stop_in(sys._getframe().f_back)

    sys.breakpointhook = stop
