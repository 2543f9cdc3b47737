"""The end of a task's process: all that a Python process does when it ends normally, at little cost where it can be.

An interpreter that ends waits for threads, calls what `atexit` has registered, flushes the standard streams, and
finalizes: it drops all objects, which writes the buffers of open files, runs the `finally` of generators, and so on.
Then the C library calls what C code has registered. Finalization takes longer than a small task, because it touches,
and so copies, the memory that a forked process shares. A forked task leaves it out if it could have no effect.
"""

from __future__ import annotations

import atexit
import gc
import operator
import os
import sys
import threading
import traceback
from contextlib import suppress
from functools import lru_cache, partial
from importlib.machinery import ExtensionFileLoader
from itertools import takewhile
from types import BuiltinFunctionType, CellType, FunctionType, ModuleType
from typing import Any, Callable, List, Optional

#: The C modules of the standard library that have buffers or exit handlers in C, which Python does not see.
_STATEFUL_MODULES = frozenset(("_ctypes", "_curses", "_dbm", "_gdbm", "_sqlite3", "_tkinter", "readline"))

#: The modules of classes whose objects have state in C.
_STATEFUL_CLASSES = frozenset(("_ctypes", "ctypes", "sqlite3"))

#: The folder of all other C modules of the standard library, unless they are built in.
_STDLIB_FOLDER = "lib-dynload"

#: The flag of types whose objects the garbage collector sees (`Py_TPFLAGS_HAVE_GC`).
_HAVE_GC = 1 << 14

#: The classes of most objects, of which none has a finalizer.
_PLAIN_KINDS = frozenset((dict, list, set, tuple, type, BuiltinFunctionType, CellType, FunctionType, ModuleType))


class Teardown:
    """The end of this process, from which it is known what there was before the user's code.

    Create it just before that runs: it hides the objects of then from the garbage collector.
    """

    def __init__(self) -> None:
        gc.freeze()
        self._mark: List[Any] = []  # the first object that the collector sees
        self._last_module = next(reversed(sys.modules))

    def run(self) -> bool:
        """Do what an interpreter does at its end; return False if it has to finalize by itself, after that.

        As in an interpreter, an exception is printed, and does not change the exit code.
        """
        try:
            threading._shutdown()  # type: ignore[attr-defined] # waits for threads; it has no public name
        except BaseException:  # noqa: BLE001  an interrupt, or an error of a library that joins its threads there
            traceback.print_exc()
        with suppress(BaseException):  # Python 3.9 prints each error of a handler, and raises the last one again
            atexit._run_exitfuncs()
        try:
            if self._needs_finalization():
                return False
            _flush()
        except Exception:  # noqa: BLE001  classes and streams of the user's may raise anything
            return False
        return True

    def warm_up(self) -> None:
        """Touch the memory that `run` touches."""
        self._needs_finalization()
        _flush()

    def _needs_finalization(self) -> bool:
        """Return whether finalization could have an effect, because of what was added to this process.

        It could if there is C code, which may have any buffers, or an object that does something when it is dropped.
        """
        # New modules are behind the others, all of which count as new if the user's code has removed the last one.
        added = takewhile(partial(operator.ne, self._last_module), reversed(sys.modules))
        if any(map(_is_stateful, added)):
            return True
        objects = gc.get_objects()
        if _have_effects(objects):
            del objects
            gc.collect()  # it may have been part of an unused cycle, such as that of an exception and its traceback
            objects = gc.get_objects()
            if _have_effects(objects):
                return True
        # If the user's code froze objects as well (`gc.freeze`), the collector does not see those.
        return not any(map(partial(operator.is_, self._mark), objects))


def _flush() -> None:
    """Flush the standard streams and those of C. If that fails, the interpreter will fail, too, and say so."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed:
            stream.flush()
    flush_c_streams = _flush_of_c()
    if flush_c_streams is not None:
        flush_c_streams(None)


@lru_cache(maxsize=None)
def _flush_of_c() -> Optional[Callable[[None], int]]:
    """Return the C function that flushes all streams of the C library, which `ctypes` alone writes to without C code.

    None if `ctypes` is not loaded, which the server does where it is needed.
    """
    ctypes = sys.modules.get("ctypes")
    return None if ctypes is None else ctypes.CDLL(None).fflush


def _is_stateful(name: str) -> bool:
    """Return whether a module is C code that may have buffers or exit handlers of its own."""
    module = sys.modules.get(name)
    spec = vars(module).get("__spec__") if isinstance(module, ModuleType) else None
    is_foreign = isinstance(getattr(spec, "loader", None), ExtensionFileLoader) and (
        os.path.basename(os.path.dirname(getattr(spec, "origin", None) or "")) != _STDLIB_FOLDER
    )
    return is_foreign or name in _STATEFUL_MODULES


def _have_effects(objects: List[Any]) -> bool:
    """Return whether one of these objects may do something when it is dropped."""
    kinds = set(map(type, objects))
    if any(map(_has_finalizer, kinds - _PLAIN_KINDS)):
        return True
    # The collector sees all objects with a finalizer, but for those of classes without any attributes.
    metaclasses = {kind for kind in kinds if issubclass(kind, type)}
    classes = [each for each in objects if type(each) in metaclasses] if metaclasses else []
    return any(_has_finalizer(kind) for kind in classes if not kind.__flags__ & _HAVE_GC)


def _has_finalizer(kind: type) -> bool:
    """Return whether objects of a class have a finalizer, in Python or in C, or belong to a C library."""
    # Other finalizers in C are also visible as `__del__`: of files, generators, coroutines, sockets.
    return any("__del__" in vars(base) or base.__module__ in _STATEFUL_CLASSES for base in kind.__mro__)
