"""The execution of a request: it holds a function's source, its executor input, and the path of the error file."""

from __future__ import annotations

import atexit
import gc
import json
import os
import sys
from collections import deque
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Callable, Deque, Dict, Iterator, List, Optional, Sequence

from .breakpoints import install_hook
from .executor import Executor
from .kfp_shim import install
from .models import adapt
from .process_state import MODULES_FOLDER
from .report import report
from .source import MOST_PROGRAMS, Sections, compiled, load_function, release, unload
from .usage import write

#: The size, in bytes, up to which a request is read and compiled before the fork.
_MAX_PREPARED_SIZE = 256 * 1024

#: The programs that `prepare_once` has compiled.
_prepared: Deque[int] = deque(maxlen=MOST_PROGRAMS)

Request = Dict[str, Any]

#: Calls the second argument, which calls the first one, the user's function.
Call = Callable[[Callable[..., Any], Callable[[], None]], None]


def read(path: str) -> Request:
    """Read the request in a file.

    The file is UTF-8 JSON with `source` and `function`, the program and the name of the function in it; `sections`, the
    parts of the program that come from files of the author (`source.Section`); `executor_input`, KFP's ExecutorInput;
    `artifact_classes`, sources by `module.Name`; `error_file`, the path for the description of an exception; `owner`,
    the user and group id that the outputs are given to, or null; `usage_file`, the path for the task's usage, or null;
    `modules`, the author's modules that the program imports (`own_modules.Entry`);
    `terminal`, the path of the terminal for `breakpoint()`, if there is one; and perhaps `pause`, as
    `pausing.run_with_pauses` takes it.
    """
    with open(path, "rb") as file:
        request: Request = json.loads(file.read().decode("utf-8"))
    return request


def sections_of(request: Request) -> Sections:
    """Return the sections of the program in a request."""
    return tuple((start, count, file, line) for start, count, file, line in request.get("sections", ()))


def prepare(path: str) -> Optional[Request]:
    """Read a request and compile its program, for the process that is forked to run it.

    Return None where that process is to do it itself: the request is so large that other tasks would wait, or it is
    invalid, which the task then reports.
    """
    with suppress(Exception):
        if os.path.getsize(path) <= _MAX_PREPARED_SIZE:
            request = read(path)
            compiled(request["source"], request["function"], sections_of(request))
            return request
    return None


def prepare_once(path: str, program: int) -> None:
    """Compile the program of a request, for processes that are forked later, unless it is one of the last ones.

    Args:
        path: the file of the request.
        program: a number that is the same for the same program.
    """
    if program not in _prepared:
        prepare(path)
        _prepared.append(program)


def run(path: str, request: Optional[Request] = None, *, call: Optional[Call] = None) -> int:
    """Execute a request, and return the exit code of the task.

    Args:
        path: the file of the request.
        request: its content, if it was prepared.
        call: calls the function, under a debugger for instance.
    """
    request = request or read(path)
    if request.get("pause"):
        from .pausing import run_with_pauses  # few tasks pause

        return run_with_pauses(request["pause"], lambda: _run(path, request, call))
    return _run(path, request, call)


def _run(path: str, request: Request, call: Optional[Call]) -> int:
    custom: List[Any] = []
    atexit.register(_finish, path, request, custom)  # the first one, so that it is called after those of the user's
    if not call:
        install_hook(request.get("terminal", ""))

    def execute() -> None:
        if request.get("modules"):
            from .own_modules import write_modules  # many components have none

            write_modules(request["modules"], os.path.join(os.path.dirname(path), MODULES_FOLDER))
        custom.extend(_execute(request, call))

    return _attempt(request, execute)


def run_here(path: str, *, call: Optional[Call] = None) -> int:
    """Execute a request in a process that has other work afterwards, and return the exit code of the task.

    Args:
        path: the file of the request.
        call: as in `run`.
    """
    request = read(path)

    def execute() -> None:
        with _collected_garbage():
            custom = _execute(request, call)
            release()  # outputs are read next
        if custom:
            from .custom_paths import copy_payloads  # costs 5 ms, and few artifacts have a custom path

            copy_payloads(custom)

    return _attempt(request, execute)


@contextmanager
def _collected_garbage() -> Iterator[None]:
    """Drop what the block has made and nothing else refers to, as the end of a process does.

    What was there before is frozen meanwhile: to look at the objects of pandas and scikit-learn alone takes 0.1 s. In a
    task that runs a pipeline, those from before that task stay frozen.
    """
    freezes = not gc.get_freeze_count()  # else the user's code or such a task has
    if freezes:
        gc.collect(1)  # `unfreeze` makes young objects old, and those are rarely looked at
    try:
        if freezes:
            gc.freeze()
        yield
    finally:
        try:
            gc.collect()
        finally:
            if freezes:
                gc.unfreeze()


def _attempt(request: Request, execute: Callable[[], None]) -> int:
    """Call a function that executes a request; report what it raises, and return the exit code."""
    try:
        execute()
    except SystemExit as error:
        return _exit_code(error)
    except KeyboardInterrupt as error:
        report(error, request["error_file"])
        return 130  # the shell's convention for a program that SIGINT ended
    except BaseException as error:  # noqa: BLE001  the outermost edge: all errors are reported to the user
        if type(error).__name__ == "BdbQuit":  # whose import would cost 20 ms
            print("The user quit the debugger.", file=sys.stderr)
            return 1
        report(error, request["error_file"])
        return 1
    return 0


def executor_class() -> Any:
    """Return the class that calls the function: our executor or, if the KFP SDK is installed, the SDK's own."""
    os.environ["_KFP_RUNTIME"] = "true"  # the SDK then leaves out what only authors need
    return import_module("kfp.dsl.executor").Executor if install() else Executor


#: A component that does nothing, in the form in which components are shipped.
_WARM_UP_SOURCE = """
import kfp
from kfp import dsl
from kfp.dsl import *
from typing import *

def warm_up(number: int, text: str = "") -> str:
    return text
"""


def warm_up() -> None:
    """Run a component that does nothing, so that forked tasks start with the code and caches that every task uses."""
    executor = executor_class()
    function = load_function(_WARM_UP_SOURCE, "warm_up", {})
    executor_input = {"inputs": {"parameterValues": {"number": 1}}, "outputs": {"outputFile": os.devnull}}
    executor(executor_input, function).execute()


def _execute(request: Request, call: Optional[Call]) -> List[Any]:
    """Execute a request, and return the output artifacts that have a custom path."""
    del sys.argv[1:]  # they are ours, and would confuse a program that parses arguments
    executor = executor_class()
    if request.get("modules"):
        from .own_modules import install_modules  # many components have none

        install_modules(request["modules"])
    sections = sections_of(request)
    function = load_function(request["source"], request["function"], request["artifact_classes"], sections)
    execution = executor(request["executor_input"], adapt(function))
    if call:
        call(function, execution.execute)
    else:
        execution.execute()
    outputs = getattr(execution, "output_artifacts", {})  # as in the SDK 2.17.3, whose other versions may differ
    return [artifact for artifact in outputs.values() if artifact.custom_path]


def _finish(path: str, request: Request, custom: Sequence[Any]) -> None:
    """Do what is to be done after the user's exit handlers: copy payloads, write the usage, change owners."""
    if custom:
        _copy_payloads(custom, request["error_file"])
    if request.get("usage_file"):
        with suppress(OSError):  # a full disk, perhaps: the usage is then unknown
            write(request["usage_file"])
    _change_owner(os.path.dirname(path), request.get("owner"))


def _copy_payloads(artifacts: Sequence[Any], error_file: str) -> None:
    from .custom_paths import copy_payloads  # costs 5 ms, and few artifacts have a custom path

    unload()  # so that the files that it has left open are closed
    try:
        copy_payloads(artifacts)
    except OSError as error:
        report(error, error_file)
        sys.stdout.flush()
        os._exit(1)  # an exit handler has no other way to fail the task


def use_utf8() -> None:
    """Allow printing of any text, whatever the locale, and flush each line when it is complete."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]


def _exit_code(error: SystemExit) -> int:
    """Return the exit code of `sys.exit(...)`, as in Python: a number, 0 for None, 1 for text, which is printed."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _change_owner(folder: str, owner: Optional[Sequence[int]]) -> None:
    """Give the files in the folder of a task that ran as root to another user."""
    if owner is None:
        return
    os.chown(folder, owner[0], owner[1], follow_symlinks=False)
    left = [folder]  # a list, as a task can nest folders deeper than Python can recurse
    while left:
        # A process that the task left running may remove files, and a path may be too long for the system.
        with suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                with suppress(FileNotFoundError):
                    os.chown(entry.path, owner[0], owner[1], follow_symlinks=False)
