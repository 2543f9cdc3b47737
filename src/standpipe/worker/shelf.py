"""The shelf of a template process: modules that it has imported, and that its tasks have not imported yet.

A task that is forked from a template finds in `sys.modules` what a fresh process has. When it imports a module that is
on the shelf, the module comes back, with all modules that its import brings in a fresh process, and with all that their
imports do besides: what they print, the variables that they set, their exit handlers, their filters of warnings.
"""

from __future__ import annotations

import sys
import threading
from importlib.machinery import ModuleSpec
from operator import itemgetter
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from .random_state import reseed

#: Something that an import did: its number in the order of all of them, and a function that repeats it.
Effect = Tuple[int, Callable[[], Any]]


class ShelvedModule:
    """A module on the shelf.

    Args:
        name: its name in `sys.modules`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.module: Any = None  # usually a module; a module can put any object in its place
        self.needs: Set[str] = set()  # the modules that it imported, whether or not these were loaded already
        self.effects: List[Effect] = []  # what its import did, other than to make the module
        self.printed = False
        self.package: Optional[ModuleType] = None  # where it is an attribute because others have imported it

    @property
    def parent(self) -> str:
        """The name of its package; empty for a module that is in none."""
        return self.name.rpartition(".")[0]

    @property
    def own_name(self) -> str:
        """Its name in its package."""
        return self.name.rpartition(".")[2]


class Shelf:
    """The modules that a template has imported, in the order in which `sys.modules` had them.

    Args:
        modules: the modules; they are taken out of `sys.modules`, and out of packages that have not imported them.
        imports: those that the template was told to import.
    """

    def __init__(self, modules: Dict[str, ShelvedModule], imports: Sequence[str]) -> None:
        self._modules = modules
        self._imports = imports
        self._restored: Dict[str, ShelvedModule] = {}
        self._lock = threading.RLock()  # tasks import in threads, too
        for entry in modules.values():
            entry.module = sys.modules.pop(entry.name)
        for entry in modules.values():
            self._unbind(entry)

    def find(self, name: str) -> Optional[ModuleSpec]:
        """Return a spec that gives a module of that name back; None if there is none."""
        with self._lock:
            # Another thread may have restored it after this import had looked for it in `sys.modules`.
            restored = self._restored.get(name)
            is_here = name in self._modules or (restored and sys.modules.get(name) is restored.module)
        return ModuleSpec(name, _ShelfLoader(self)) if is_here else None  # type: ignore[arg-type]

    def unused(self) -> List[str]:
        """Return the imports of the template that the task has not used."""
        return [name for name in self._imports if name in self._modules]

    def prints(self, name: str) -> bool:
        """Return whether the import of a module prints something."""
        return any(self._modules[each].printed for each in self._closure(name))

    def restore(self, name: str) -> None:
        """Make a module, and all that its import brings, imported."""
        with self._lock:
            if name in self._restored:
                sys.modules[name] = self._restored[name].module
                return
            needed = self._closure(name)
            entries = [entry for each, entry in self._modules.items() if each in needed]
            for entry in entries:
                sys.modules.setdefault(entry.name, entry.module)  # the task may have put another one there
                self._restored[entry.name] = self._modules.pop(entry.name)
            for entry in entries:
                if entry.package is not None:
                    setattr(entry.package, entry.own_name, entry.module)
            for _, effect in sorted((each for entry in entries for each in entry.effects), key=itemgetter(0)):
                effect()

    def renew(self) -> None:
        """Renew, in a process that was forked for a task, what fresh interpreters have different (`random_state`)."""
        reseed({name: entry.module for name, entry in self._modules.items()})

    def touch(self) -> None:
        """Write to the memory that `restore` writes to, so that it is copied for this process now and not then."""
        sys.modules.update({name: entry.module for name, entry in self._modules.items()})
        for name in self._modules:
            del sys.modules[name]

    def _closure(self, name: str) -> Set[str]:
        """Return the names of the modules on the shelf that the import of one of them brings, itself included."""
        closure: Set[str] = set()
        pending = [name]
        while pending:
            each = pending.pop()
            if each in self._modules and each not in closure:
                closure.add(each)
                pending += (*self._modules[each].needs, self._modules[each].parent)
        return closure

    def _unbind(self, entry: ShelvedModule) -> None:
        """Take a module out of its package, where it is an attribute because some other module has imported it."""
        shelved = self._modules.get(entry.parent)
        package = shelved.module if shelved else sys.modules.get(entry.parent)
        is_own = shelved is not None and entry.name in shelved.needs
        if not is_own and isinstance(package, ModuleType) and vars(package).get(entry.own_name) is entry.module:
            delattr(package, entry.own_name)
            entry.package = package


class _ShelfLoader:
    """Gives a module back. The import system makes an empty one first, which is forgotten."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        del sys.modules[module.__name__]
        self._shelf.restore(module.__name__)
