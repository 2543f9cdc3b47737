"""A template process: it imports packages, and nothing else, and then forks the tasks that import them.

The tasks are right only if the imports have left nothing behind that a forked process cannot have, and that a task can
see: `make_shelf` says what it is otherwise.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import types
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Dict, Iterator, List, Tuple

from .fork_hazards import ForkHazards
from .import_recording import IMPORTING_FILE, ImportRecorder
from .learning import is_of_environment
from .shelf import Shelf, ShelvedModule
from .source import MODULE_NAME

#: The functions that libraries replace in modules that every process has: which they are, and where.
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type)

#: The number of an effect that is repeated after those that have been recorded in their order.
_AFTER_OTHERS = sys.maxsize


class NotWarmable(Exception):
    """The packages cannot be imported ahead; the message says why."""


class Template:
    """The imports of a template process, done.

    Args:
        imports: the modules to import, in order.
        folder: an empty folder, in which they are imported as in the working directory of a task.
        seconds: after so many seconds the process is killed.
    """

    def __init__(self, imports: List[str], folder: str, seconds: float) -> None:
        started = time.process_time()
        with _bounded(seconds), _as_in_task(folder) as output:
            before, recorder, hazards = _Before(), ImportRecorder(output), ForkHazards()
            with recorder.recording():
                problem = _import_all(imports, recorder, hazards)
            problem = problem or before.find_problem()
        self.cpu_seconds = time.process_time() - started
        modules = recorder.modules()
        problem = problem or before.undo_replacements(modules) or _find_foreign(list(modules))
        if problem:
            raise NotWarmable(problem)
        self.is_measured = hazards.all_measured()
        self.shelf = Shelf(modules, imports)
        self.printing = [name for name in imports if self.shelf.prints(name)]


def _import_all(imports: List[str], recorder: ImportRecorder, hazards: ForkHazards) -> str:
    """Import modules, and return the problem with them as a sentence; empty if there is none."""
    for name in imports:
        try:
            _import(name)
        except BaseException as error:  # noqa: BLE001  a module may raise anything; the reply of the process has it
            return f"the import of {name} fails: {type(error).__name__}"
        problem = recorder.problem or hazards.find()
        if problem:
            return problem
    return recorder.problem


def _import(name: str) -> None:
    """Import a module, from code that looks like that of a component to the warnings of the module."""
    code = compile(f"import {name}", IMPORTING_FILE, "exec", dont_inherit=True)
    exec(code, {"__name__": MODULE_NAME})  # noqa: S102


class _Before:
    """What this process was like before the imports."""

    def __init__(self) -> None:
        self._modules = dict(sys.modules)
        self._functions = {name: _functions_of(module) for name, module in self._modules.items()}
        self._others = _other_settings()

    def find_problem(self) -> str:
        """Return what the imports have changed that a task would see before it imports anything; empty for nothing."""
        if any(sys.modules.get(name) is not module for name, module in self._modules.items()):
            return "its imports replace modules that were imported before"
        if _other_settings() != self._others:
            return "its imports change the working directory, the limit of recursion, or the hooks of the interpreter"
        return ""

    def undo_replacements(self, modules: Dict[str, ShelvedModule]) -> str:
        """Undo the replacements of functions in modules that were imported before; return what cannot be repeated.

        `typing_extensions` replaces one of `typing`, for instance. It happens again when the task imports the module
        that the new function is from.
        """
        for name, functions in self._functions.items():
            module = self._modules[name]
            for attribute, value in functions.items():
                now = vars(module).get(attribute)
                if now is value:
                    continue
                owner = modules.get(getattr(now, "__module__", None) or "")
                if owner is None:
                    return f"its imports replace {name}.{attribute}"
                owner.effects.append((_AFTER_OTHERS, partial(setattr, module, attribute, now)))
                setattr(module, attribute, value)
        return ""


def _functions_of(module: Any) -> Dict[str, Any]:
    if not isinstance(module, types.ModuleType):
        return {}
    return {name: value for name, value in list(vars(module).items()) if isinstance(value, _FUNCTIONS)}


def _other_settings() -> Tuple[Any, ...]:
    umask = os.umask(0o077)
    os.umask(umask)
    return (umask, os.getcwd(), sys.getrecursionlimit(), sys.excepthook, sys.displayhook, sys.stdout, sys.stderr)


def _find_foreign(names: List[str]) -> str:
    """Return the problem that a module is not a part of the environment, so that it may change at any time."""
    for name in names:
        spec = getattr(sys.modules[name], "__spec__", None)
        if spec is not None and spec.has_location and not is_of_environment(spec.origin):
            return f"its imports load {name}, which is not installed in the environment"
    return ""


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Kill this process, in whatever code it is, if the block lasts longer."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def _as_in_task(folder: str) -> Iterator[int]:
    """Give the block the working directory and the path of a task; what it prints goes to a file, given as `output`."""
    former = os.getcwd()
    os.chdir(folder)
    sys.path.insert(0, folder)
    output = os.open("output", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink("output")
    streams = [os.dup(1), os.dup(2)]
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(output, 1)
        os.dup2(output, 2)
        yield output
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, saved in zip((1, 2), streams):
            os.dup2(saved, number)
            os.close(saved)
        os.close(output)
        with suppress(ValueError):  # an import has removed it
            sys.path.remove(folder)
        sys.path_importer_cache.pop(folder, None)
        os.chdir(former)
        with suppress(OSError):
            os.rmdir(folder)
