"""Lightweight Python components under a debugger, on the terminal of this process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from standpipe.errors import RunnerError
from standpipe.model.attempts import CANCELLED_BEFORE_START, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.ports import Log
from standpipe.runners.attaching import debugpy_folder
from standpipe.runners.process.fork_servers import BOOT
from standpipe.runners.process.process_tree import kill_tree
from standpipe.runners.request_files import DEBUGGED_NOTE, make_outcome, read_error, read_usage, request_file
from standpipe.support.forking import register_functions, start_process

#: There is one terminal, so one task is debugged at a time.
_terminal = threading.Lock()


def _after_fork_in_child() -> None:
    global _terminal
    _terminal = threading.Lock()  # a thread that is not in this process may hold the old one


register_functions(in_child=_after_fork_in_child)


def run_debugged(
    python: Path, request: TaskRequest, env: Mapping[str, str], cwd: str, log: Log, cancel: Cancellation
) -> Outcome:
    """Run one attempt in the foreground, with the streams of this process. A cancel kills it.

    Args:
        python: the interpreter.
        request: the attempt.
        env: all its environment variables.
        cwd: its working directory.
        log: gets a note that says where its output is.
        cancel: kills it.

    Raises:
        RunnerError: if the interpreter does not start.
    """
    log.write(DEBUGGED_NOTE)
    with _terminal:
        if cancel:
            return CANCELLED_BEFORE_START
        editor = () if isinstance(request.debug, bool) else (str(request.debug), debugpy_folder())
        command = (str(python), str(BOOT), "debug", str(request_file(request.folder)), *editor)
        try:
            process = start_process(command, env=dict(env), cwd=cwd, umask=request.umask)
        except OSError as error:
            raise RunnerError(f"The task's Python interpreter cannot be started: {error}") from error
        forget = cancel.on_set(partial(kill_tree, process.pid))
        try:
            code = process.wait()
        finally:
            forget()
    return _outcome(code, request)


def _outcome(code: int, request: TaskRequest) -> Outcome:
    if code < 0:
        return Outcome(signal=-code)
    return make_outcome(code, read_error(request), read_usage(request))
