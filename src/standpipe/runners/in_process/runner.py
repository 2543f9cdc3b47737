"""The runner of lightweight Python components in this process, one at a time."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from standpipe.errors import UnsupportedError
from standpipe.model.attempts import CANCELLED_BEFORE_START, DebugPause, Outcome, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import Container, PythonFunction
from standpipe.model.ports import CallInThread, Log, Problem
from standpipe.model.refs import RunId
from standpipe.model.resources import Capacity
from standpipe.runners.attaching import debugpy_folder
from standpipe.runners.component_imports import find_missing_modules, is_importable
from standpipe.runners.in_process.packages import find_differences
from standpipe.runners.in_process.state import ProcessState
from standpipe.runners.in_process.streams import streams_to_log
from standpipe.runners.pauses import announce_pauses, pause_file
from standpipe.runners.process.limits import gpu_variables
from standpipe.runners.process.working_directories import WorkingDirectories
from standpipe.runners.request_files import DEBUGGED_NOTE, Usage, make_outcome, read_error, request_file, write_request
from standpipe.support import machine_capacity
from standpipe.support.forking import register_functions
from standpipe.support.notices import Notice, Once, warn
from standpipe.support.umask import restrict_umask
from standpipe.worker import usage
from standpipe.worker.interrupts import interruptible
from standpipe.worker.pausing import INTERRUPTED, wait
from standpipe.worker.task import Call, run_here

_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '(\w+)[\w.]*'")

#: Is held while a task runs: the working directory, the variables and the streams are those of the whole process. A
#: task that runs a pipeline holds it for the tasks of that, too.
_process = threading.RLock()

#: This process as tasks see it, for all runners.
_state = ProcessState()


def _after_fork_in_child() -> None:
    global _process
    _process = threading.RLock()  # a thread that is not in this process may hold the old one


register_functions(in_child=_after_fork_in_child)


class InProcessTaskRunner:
    """Implements `model.ports.Runner` by calling the functions of components.

    Args:
        warn: called with what is not done as asked.
    """

    def __init__(self, *, warn: Notice = warn) -> None:
        self._warn = warn
        self._noticed = Once()
        self._folders = WorkingDirectories()
        self._calls: dict[RunId, CallInThread] = {}

    @contextmanager
    def use_thread(self, run: RunId, call: CallInThread) -> Iterator[None]:
        """Execute the attempts of a run in its caller's thread; see `model.ports.CallerThreadRunner`."""
        self._calls[run] = call
        try:
            yield
        finally:
            del self._calls[run]

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        """Run one attempt to its end, in the thread of the run's caller; see `model.ports.Runner`.

        Raises:
            UnsupportedError: if the task is not a lightweight Python component, or has volumes.
            StorageError: if its folder cannot be written.
        """
        function = self._check(request)
        outcomes: list[Outcome] = []

        def execute() -> None:
            with _process:
                outcomes.append(self._execute(request, function, log, cancel))

        call = self._calls.get(request.run)
        if call is None:
            execute()
        else:
            call(execute)
        return outcomes[0]

    def find_problems(self, executor: Container) -> Iterator[Problem]:
        """Yield why an executor's tasks are certain to fail, as far as that is known."""
        if isinstance(executor.program, PythonFunction):
            yield from find_missing_modules(executor.program, is_importable, _advise)
        else:
            yield Problem(
                f"it runs a container ({executor.image}), and the InProcessRunner only runs lightweight Python "
                "components",
                "Use local.init(runner=local.DockerRunner()).",
            )

    def fingerprint(self, request: TaskRequest) -> str:
        """Return nothing: a result can depend on all of this process, so that it is not cached."""
        return ""

    def capacity(self) -> Capacity:
        """Return the capacity of this machine, as far as this process may use it."""
        return machine_capacity.read_capacity()

    def close(self) -> None:
        """Remove the working directories that tasks have left."""
        self._folders.clear()

    def _check(self, request: TaskRequest) -> PythonFunction:
        """Return the program of a task that can run here, and warn of what is not as it asks.

        Raises:
            UnsupportedError: if it cannot run here.
        """
        function = request.program
        if not isinstance(function, PythonFunction):
            raise UnsupportedError(
                f"The task {str(request.task)!r} runs a container ({request.image}), and the InProcessRunner only runs "
                "lightweight Python components. Use local.init(runner=local.DockerRunner())."
            )
        if request.pod.mounts:
            paths = ", ".join(mount.path for mount in request.pod.mounts)
            raise UnsupportedError(
                f"The task {str(request.task)!r} has volumes at {paths}, which the InProcessRunner cannot mount: they "
                "would be there for all of this machine. Use local.SubprocessRunner() or local.DockerRunner()."
            )
        differences = list(find_differences(function.packages))
        if differences:
            self._warn_once(
                (function.name, *differences),
                f"Component {function.name!r} runs with the packages of this process ({sys.prefix}), which differ from "
                f"its packages_to_install: {', '.join(differences)}. Install them there, or use "
                "local.SubprocessRunner().",
            )
        if request.limits.cpu is not None or request.limits.memory is not None:
            self._warn_once(
                (request.run, request.task.name),
                f"The limits of task {str(request.task)!r} have no effect with the InProcessRunner.",
            )
        return function

    def _execute(self, request: TaskRequest, function: PythonFunction, log: Log, cancel: Cancellation) -> Outcome:
        """Run one attempt in this thread, while no other one runs in this process."""
        if cancel:
            return CANCELLED_BEFORE_START
        write_request(request, function)
        before = usage.current()["cpu_seconds"]
        try:
            code = self._call(request, log, cancel)
        except KeyboardInterrupt:
            if not cancel:
                raise
            code = INTERRUPTED  # before the function was called, or after it had returned
        seconds = max(0.0, usage.current()["cpu_seconds"] - before)
        return _explain(make_outcome(code, read_error(request), Usage(cpu_seconds=seconds)))

    def _call(self, request: TaskRequest, log: Log, cancel: Cancellation) -> int:
        """Call the function of an attempt with this process set up for it, and return the exit code."""
        with ExitStack() as stack:
            stack.enter_context(restrict_umask(request.umask))
            folder = self._folders.take()
            stack.callback(self._folders.put_back, folder)
            variables = {**request.variables, **gpu_variables(request.limits)}
            modules = request.program.modules if isinstance(request.program, PythonFunction) else ()
            variables["KFP_RETRY_INDEX"] = str(request.retry_index)
            stack.enter_context(_state.for_task(folder.path, variables, modules))
            if request.debug:
                log.write(DEBUGGED_NOTE)
            else:
                stack.enter_context(streams_to_log(log))
            interrupt = stack.enter_context(interruptible())
            stack.callback(cancel.on_set(interrupt))
            stack.enter_context(announce_pauses(request, "", self._warn))
            return _run_with_pauses(request)

    def _warn_once(self, key: object, text: str) -> None:
        if self._noticed.is_first(key):
            self._warn(text)


def _run_with_pauses(request: TaskRequest) -> int:
    """Call the function of an attempt, with the pauses that it asks for."""
    pause, file = request.pause or DebugPause(), str(pause_file(request.folder))
    if pause.before:
        wait(file, "before it runs")
    code = run_here(str(request_file(request.folder)), call=_debugger(request.debug))
    if code != INTERRUPTED and (pause.after_failure if code else pause.after_success):
        wait(file, "after it has failed" if code else "after it has succeeded")
    return code


def _explain(outcome: Outcome) -> Outcome:
    """Return the outcome, with a hint if the task failed for a module that it did not find."""
    match = _MISSING_MODULE.match(outcome.cause)
    if not match:
        return outcome
    return replace(outcome, hint=_advise(match[1]))


def _advise(module: str, _: object = None) -> str:
    """Return what to do about a module that is missing."""
    return (
        f"The InProcessRunner uses what is installed for {sys.executable}. Install the package that has {module!r} "
        "there, or use local.SubprocessRunner(), which installs packages_to_install."
    )


def _debugger(debug: bool | int) -> Call | None:
    """Return what calls the function of a task under a debugger; None if it is not debugged."""
    if not debug:
        return None
    from standpipe.worker.debugger import call_attached, call_debugged  # costs 20 ms, and only debugging needs it

    return call_debugged if isinstance(debug, bool) else partial(call_attached, debug, debugpy_folder())
