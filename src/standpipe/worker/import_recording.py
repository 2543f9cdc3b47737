"""What imports do, recorded module by module in a template process."""

from __future__ import annotations

import atexit
import builtins
import os
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from .import_system import ReportingLoader, call_without_frames, find_with_others, is_loading, unseen
from .process_state import raw_environ
from .shelf import Effect, ShelvedModule

#: The lists of the import system that imports extend: `six`, for instance, adds a finder.
_LISTS = ("meta_path", "path_hooks", "path")

#: How many modules are made at once.
_MODULES_AT_ONCE = 500

#: The file of the code that imports, in warnings about that code.
IMPORTING_FILE = "<template>"


class ImportRecorder:
    """Records which modules each module imports, and what else its import does, while the context lasts.

    Args:
        output: the descriptor of the file that gets what is printed meanwhile.
    """

    def __init__(self, output: int) -> None:
        self._output = output
        self._before = frozenset(sys.modules)
        self._loaded: Dict[str, ShelvedModule] = {}
        self._outside = ShelvedModule("")
        self._stack = [self._outside]
        self._thread = threading.get_ident()
        self._import = builtins.__import__
        self._register = atexit.register
        self._active = False
        self._modules = _NeighbouringModules()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record for the length of the block, and leave the process afterwards as it was before."""
        self._active = True
        builtins.__import__ = _make_import(self._import, self.note_import)
        atexit.register = self.register_exit  # type: ignore[assignment]
        sys.meta_path.insert(0, self)
        self._state = _Effects(self._output)
        try:
            yield
            self._attribute_effects()
        finally:
            self._active = False
            builtins.__import__ = self._import
            atexit.register = self._register
            self._state.undo()

    @property
    def problem(self) -> str:
        """Why what the imports do cannot be repeated in a task, as a sentence; empty if it can be."""
        return self._state.problem

    def modules(self) -> Dict[str, ShelvedModule]:
        """Return what was loaded, and is still in `sys.modules`, in the order of that."""
        return {name: self._loaded.setdefault(name, ShelvedModule(name)) for name in self._new_names()}

    # --- called by the import system

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Find a module with the other finders, and record its import if it is for one."""
        if not is_loading() or not self._active:
            return None
        spec = find_with_others(self, name, path, target)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = ReportingLoader(spec.loader, self.loading, self._modules.make)  # type: ignore[assignment]
        return spec

    @contextmanager
    def loading(self, name: str) -> Iterator[None]:
        """Attribute what is done in the block to the import of a module."""
        if threading.get_ident() != self._thread:
            yield
            return
        self._attribute_effects()
        self._stack[-1].needs.add(name)
        entry = self._loaded.setdefault(name, ShelvedModule(name))
        self._stack.append(entry)
        try:
            yield
        finally:
            self._attribute_effects()
            self._stack.pop()
            self._adopt_others(entry)

    def note_import(self, name: str, package: str, items: Sequence[str], level: int) -> None:
        """Note that the module which is loading has imported another one, perhaps not for the first time."""
        if not self._active or threading.get_ident() != self._thread:
            return
        if level:
            base = package.rsplit(".", level - 1)[0] if level > 1 else package
            name = f"{base}.{name}" if name else base
        needs = self._stack[-1].needs
        needs.add(name)
        for item in items:
            full = f"{name}.{item}"
            if full in sys.modules:
                needs.add(full)

    def register_exit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Register an exit handler: stands in for `atexit.register`, also where a module has imported that by name."""
        if self._active and threading.get_ident() == self._thread:
            self._state.add(self._stack[-1].effects, partial(self._register, function, *args, **kwargs))
        else:
            self._register(function, *args, **kwargs)
        return function

    # --- effects

    def _attribute_effects(self) -> None:
        """Attribute what was done since the last call to the module that is loading."""
        self._stack[-1].printed |= self._state.collect(self._stack[-1].effects)

    def _adopt_others(self, entry: ShelvedModule) -> None:
        """Note the modules that a module made without the import system, under names of its own."""
        if len(sys.modules) - len(self._before) > len(self._loaded):
            for name in self._new_names():
                if name not in self._loaded:
                    self._loaded[name] = ShelvedModule(name)
                    self._loaded[name].needs.add(entry.name)
                    entry.needs.add(name)

    def _new_names(self) -> List[str]:
        return [name for name in sys.modules if name not in self._before]


class _NeighbouringModules:
    """Makes modules that are beside each other in memory.

    A task refers to all modules that it gets from the template, which writes to each of them, and so copies its page.
    Where the imports themselves made them, these would be three times as many pages with pandas and scikit-learn.
    """

    def __init__(self) -> None:
        self._blank: List[ModuleType] = []

    def make(self, name: str) -> ModuleType:
        """Return an empty module, as the import system makes them."""
        if not self._blank:
            self._blank = [ModuleType.__new__(ModuleType) for _ in range(_MODULES_AT_ONCE)]
        module = self._blank.pop()
        module.__init__(name)  # type: ignore[misc] # as the call of the class does
        return module


class _Effects:
    """The changes of this process by imports, other than modules: collected as functions that repeat them."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._lists = {name: list(getattr(sys, name)) for name in _LISTS}
        self._filters = list(warnings.filters)
        self._environ = dict(raw_environ())
        self._position = 0
        self._count = 0
        self.problem = ""  # why these changes cannot be repeated in a task
        self._start = (dict(self._lists), self._filters, self._environ)

    def add(self, effects: List[Effect], repeat: Callable[[], Any]) -> None:
        """Append a change, which a function repeats."""
        self._count += 1
        effects.append((self._count, repeat))

    def collect(self, effects: List[Effect]) -> bool:
        """Append the changes since the last call; return whether something was printed."""
        if raw_environ() != self._environ:
            self.add(effects, partial(_change_variables, _difference(self._environ, raw_environ())))
            self._environ = dict(raw_environ())
        for name, known in self._lists.items():
            now = getattr(sys, name)
            if now != known:
                self._add_additions(effects, partial(_extend, now), _additions(known, now))
                self._lists[name] = list(now)
        if warnings.filters != self._filters:
            self._add_additions(effects, _add_filters, _additions(self._filters, list(warnings.filters)))
            self._filters = list(warnings.filters)
        return self._collect_output(effects)

    def undo(self) -> None:
        """Undo all changes."""
        lists, filters, environ = self._start
        for name, value in lists.items():
            getattr(sys, name)[:] = [each for each in value if not isinstance(each, ImportRecorder)]
        _set_filters(filters)
        _change_variables(_difference(raw_environ(), environ))

    def _add_additions(
        self, effects: List[Effect], repeat: Callable[..., Any], additions: Optional[Tuple[List[Any], List[Any]]]
    ) -> None:
        if additions is None:
            self.problem = "its imports remove or reorder finders of modules, paths or filters of warnings"
        else:
            self.add(effects, partial(repeat, *additions))

    def _collect_output(self, effects: List[Effect]) -> bool:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        end = os.lseek(self._output, 0, os.SEEK_CUR)
        if end == self._position:
            return False
        printed = os.pread(self._output, end - self._position, self._position)
        if IMPORTING_FILE.encode() in printed:
            self.problem = "its imports warn about the line that imports them"
        self.add(effects, partial(_print, printed))
        self._position = end
        return True


def _additions(before: Sequence[Any], after: Sequence[Any]) -> Optional[Tuple[List[Any], List[Any]]]:
    """Return what was added at the front and at the end of a list; None if something else was done to it."""
    for front in range(len(after) - len(before) + 1):
        if list(after[front : front + len(before)]) == list(before):
            return list(after[:front]), list(after[front + len(before) :])
    return None


def _extend(listed: List[Any], front: Sequence[Any], end: Sequence[Any]) -> None:
    ours = 1 if listed and hasattr(listed[0], "is_observer") else 0  # our finder stays the first one
    listed[ours:ours] = front
    listed.extend(end)


def _add_filters(front: Sequence[Any], end: Sequence[Any]) -> None:
    kept = [entry for entry in warnings.filters if entry not in front]
    _set_filters([*front, *kept, *end])


def _set_filters(filters: Sequence[Any]) -> None:
    if list(warnings.filters) != list(filters):
        warnings.filters[:] = filters  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined] # as the functions of `warnings` do


def _difference(before: Dict[Any, Any], after: Dict[Any, Any]) -> Dict[Any, Any]:
    """Return the variables that differ, in bytes; None for those that were removed."""
    return {name: after.get(name) for name in {*before, *after} if before.get(name) != after.get(name)}


def _change_variables(changes: Dict[Any, Any]) -> None:
    for name, value in changes.items():
        if value is not None:
            os.environb[name] = value
        else:
            os.environb.pop(name, None)


def _print(data: bytes) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the task has closed it, or put something else in its place
            stream.flush()
    with suppress(OSError):
        while data:
            data = data[os.write(1, data) :]


def _make_import(real: Callable[..., Any], note: Callable[[str, str, Sequence[str], int], None]) -> Callable[..., Any]:
    """Return a function in the place of `builtins.__import__` that notes what is imported."""

    @unseen
    def import_and_note(
        name: str,
        globals: Any = None,  # noqa: A002
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        module = call_without_frames(real, name, globals, locals, fromlist, level)
        note(name, (globals or {}).get("__package__") or "", fromlist or (), level)
        return module

    return import_and_note
