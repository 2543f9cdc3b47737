"""The end of a task's process: all that a Python process does when it ends normally, at little cost where it can be.

An interpreter that ends waits for threads, calls what `atexit` has registered, flushes the standard streams, and
finalizes: it drops all objects, which writes the buffers of open files, runs the `finally` of generators, and so on.
Then the C library calls what C code has registered. Finalization takes longer than a small task, because it touches,
and so copies, the memory that a forked process shares. A forked task leaves it out if it could have no effect.

A warm task, which has been forked after its imports, would touch the memory of all its packages. It drops what belongs
to the component alone, and then leaves finalization out as well if nothing is left that could have an effect. For that,
C code has to be known: what has been measured (`c_packages.py`) writes only what an object of its classes has pending.
"""

from __future__ import annotations

import atexit
import gc
import io
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
from typing import TYPE_CHECKING, Any, Callable, List, Optional

from .c_packages import MEASURED, WRITERS, package_of
from .source import unload

if TYPE_CHECKING:  # a container does without it
    from .shelf import Shelf

#: The C modules of the standard library that have exit handlers or other state of their own, which Python does not see,
#: and those whose objects have buffers.
_STATEFUL_MODULES = frozenset(("_curses", "_tkinter", "readline"))
_BUFFERED_MODULES = frozenset(("_ctypes", "_dbm", "_gdbm", "_sqlite3"))

#: The folder of all other C modules of the standard library, unless they are built in.
_STDLIB_FOLDER = "lib-dynload"

#: The C++ streams with buffers that the standard library of GNU flushes at the end; the constructor that creates them
#: unless they exist, `std::ios_base::Init`; and `std::ostream::flush`.
_STREAMS_OF_CPP = ("_ZSt4cout", "_ZSt4clog")
_INIT_OF_CPP = "_ZNSt8ios_base4InitC1Ev"
_FLUSH_OF_CPP = "_ZNSo5flushEv"

#: The flag of types whose objects the garbage collector sees (`Py_TPFLAGS_HAVE_GC`).
_HAVE_GC = 1 << 14

#: The classes of most objects, of which none has a finalizer.
_PLAIN_KINDS = frozenset((dict, list, set, tuple, type, BuiltinFunctionType, CellType, FunctionType, ModuleType))

#: Classes that have a finalizer which writes nothing: all it does is close a descriptor.
_READERS = frozenset((io.BufferedReader, io.FileIO))


class Teardown:
    """The end of this process, from which it is known what there was before the user's code.

    Create it just before that runs: it hides the objects of then from the garbage collector.

    Args:
        shelf: the modules that were imported before this process was forked; None if none were. Those that are used
            are behind the others in `sys.modules`.
        is_measured: whether all C code that was loaded before the fork is of measured packages.
    """

    def __init__(self, shelf: Optional[Shelf] = None, *, is_measured: bool = True) -> None:
        gc.freeze()
        self._shelf = shelf
        self._is_warm = shelf is not None
        self._is_measured = is_measured
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
        is_complete = False
        with suppress(Exception):  # classes and streams of the user's may raise anything
            is_complete = self._end_without_finalization()
        if not is_complete:
            gc.unfreeze()  # finalization collects cycles, and what was here before may be in one with the user's
        return is_complete

    def warm_up(self) -> None:
        """Touch the memory that `run` touches."""
        self._needs_finalization()
        _flush()

    def _end_without_finalization(self) -> bool:
        """Flush what finalization would flush, and return whether it could have no other effect."""
        if self._needs_finalization():
            return False
        if self._is_warm:
            _flush_cpp()  # into the streams of C
        _flush()
        return True

    def _needs_finalization(self) -> bool:
        """Return whether finalization could have an effect, because of what was added to this process.

        It could if there is C code, which may have any buffers, or an object that does something when it is dropped.
        """
        # New modules are behind the others, all of which count as new if the user's code has removed the last one.
        added = takewhile(partial(operator.ne, self._last_module), reversed(sys.modules))
        if not self._is_measured or any(map(self._is_stateful, added)):
            return True
        if self._is_warm:
            unload()
        objects = gc.get_objects()
        if self._have_effects(objects):
            del objects
            gc.collect()  # it may have been part of an unused cycle, such as that of an exception and its traceback
            objects = gc.get_objects()
            if self._have_effects(objects):
                return True
        # If the user's code froze objects as well (`gc.freeze`), the collector does not see those.
        return not any(map(partial(operator.is_, self._mark), objects))

    def _is_stateful(self, name: str) -> bool:
        """Return whether a module is C code that may have buffers or exit handlers of its own."""
        if name in _STATEFUL_MODULES or (name in _BUFFERED_MODULES and not self._is_warm):
            return True
        if self._shelf and self._shelf.has_restored(name):
            return False  # all of them are measured, and pandas and scikit-learn have 1,500
        module = sys.modules.get(name)
        spec = vars(module).get("__spec__") if isinstance(module, ModuleType) else None
        file = getattr(spec, "origin", None) or ""
        is_foreign = isinstance(getattr(spec, "loader", None), ExtensionFileLoader) and (
            os.path.basename(os.path.dirname(file)) != _STDLIB_FOLDER
        )
        return is_foreign and not (self._is_warm and package_of(file) in MEASURED)

    def _have_effects(self, objects: List[Any]) -> bool:
        """Return whether one of these objects may do something when it is dropped."""
        kinds = set(map(type, objects))
        if self._is_warm:  # objects in C may have effects without being seen by the collector
            kinds |= set(filter(_is_hidden, map(type, gc.get_referents(*objects))))
        if any(map(_has_finalizer, kinds - _PLAIN_KINDS - _READERS)):
            return True
        # The collector sees all objects with a finalizer, but for those of classes without any attributes.
        metaclasses = {kind for kind in kinds if issubclass(kind, type)}
        classes = [each for each in objects if type(each) in metaclasses] if metaclasses else []
        return any(_has_finalizer(kind) for kind in classes if _is_hidden(kind))


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


def _flush_cpp() -> None:
    """Flush the streams of C++ that the standard library of GNU has, if it is loaded."""
    ctypes = sys.modules.get("ctypes")
    if ctypes is None or not hasattr(os, "RTLD_NOLOAD"):
        return
    try:
        library = ctypes.CDLL("libstdc++.so.6", mode=os.RTLD_NOLOAD)
    except OSError:
        return
    library[_INIT_OF_CPP](ctypes.create_string_buffer(8))
    for name in _STREAMS_OF_CPP:
        library[_FLUSH_OF_CPP](ctypes.byref(ctypes.c_char.in_dll(library, name)))


def _is_hidden(kind: type) -> bool:
    """Return whether the collector does not see objects of a class."""
    return not kind.__flags__ & _HAVE_GC


def _has_finalizer(kind: type) -> bool:
    """Return whether objects of a class have a finalizer, in Python or in C, or write when they are dropped."""
    # Other finalizers in C are also visible as `__del__`: of files, generators, coroutines, sockets.
    return any(
        "__del__" in vars(base) or f"{base.__module__}.{base.__qualname__}".startswith(WRITERS) for base in kind.__mro__
    )
