"""The end of a task's process: all that a Python process does when it ends normally, at little cost where it can be.

An interpreter that ends waits for threads, calls what `atexit` has registered, flushes the standard streams, and
finalizes: it drops all objects, which writes the buffers of open files, runs the `finally` of generators, and so on.
Then the C library calls what C code has registered. Finalization takes longer than a small task, because it touches,
and so copies, the memory that a forked process shares. A forked task leaves it out if it could have no effect.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import traceback
from contextlib import suppress
from importlib.machinery import ExtensionFileLoader
from types import ModuleType
from typing import Any, List

#: The C modules of the standard library that have buffers or exit handlers in C, which Python does not see.
_STATEFUL_MODULES = frozenset(("_ctypes", "_curses", "_dbm", "_gdbm", "_sqlite3", "_tkinter", "readline"))

#: The folder of all other C modules of the standard library, unless they are built in.
_STDLIB_FOLDER = "lib-dynload"

#: The flag of types whose objects the garbage collector sees (`Py_TPFLAGS_HAVE_GC`).
_HAVE_GC = 1 << 14


class Teardown:
    """The end of this process, from which it is known what there was before the user's code.

    Create it just before that runs: it hides the objects of then from the garbage collector.
    """

    def __init__(self) -> None:
        gc.freeze()
        self._frozen = gc.get_freeze_count()
        self._modules = frozenset(sys.modules)

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
        return not self._needs_finalization() and _flush()

    def _needs_finalization(self) -> bool:
        """Return whether finalization could have an effect, because of what was added to this process.

        It could if there is C code, which may have any buffers, or an object that does something when it is dropped.
        """
        if any(map(_is_stateful, sys.modules.keys() - self._modules)):
            return True
        if _have_effects(gc.get_objects()):
            gc.collect()  # it may have been part of an unused cycle, such as that of an exception and its traceback
            if _have_effects(gc.get_objects()):
                return True
        return gc.get_freeze_count() > self._frozen  # there may be objects that the collector does not see


def _flush() -> bool:
    """Flush the standard streams and those of C; return False if that fails, which the interpreter is to report."""
    try:
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            if stream is not None and not stream.closed:
                stream.flush()
    except Exception:  # noqa: BLE001  a stream of the user's may fail in any way
        return False
    # Without other C code, only `ctypes` can have written to the streams of the C library.
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None:
        ctypes.CDLL(None).fflush(None)
    return True


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
    # The collector sees all objects with a finalizer, but for those of classes without any attributes.
    classes = (each for each in objects if issubclass(type(each), type))
    return any(map(_has_finalizer, kinds)) or any(
        _has_finalizer(kind) for kind in classes if not kind.__flags__ & _HAVE_GC
    )


def _has_finalizer(kind: type) -> bool:
    """Return whether objects of a class have a finalizer, in Python or in C, or belong to a C library."""
    # Every finalizer in C is also visible as `__del__`: of files, generators, coroutines, sockets.
    return any("__del__" in vars(base) or base.__module__ in ("_ctypes", "ctypes") for base in kind.__mro__)
