"""The shelf of a template process: modules that it has imported, and that its tasks have not imported yet.

A task that is forked from a template finds in `sys.modules` what a fresh process has. When it imports a module that is
on the shelf, the module comes back, with all modules that its import brings in a fresh process, and with all that their
imports do besides: what they print, the variables that they set, their exit handlers, their filters of warnings.
"""

from __future__ import annotations

import sys
import threading
from importlib.machinery import ModuleSpec
from operator import attrgetter, itemgetter
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from .random_state import reseed

#: Something that an import did: its number in the order of all of them, and a function that repeats it.
Effect = Tuple[int, Callable[[], Any]]


class ShelvedModule:
    """A module for the shelf, as a template has recorded its import.

    Args:
        name: its name in `sys.modules`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.module: Any = None  # usually a module; a module can put any object in its place
        self.needs: Set[str] = set()  # the modules that it imported, whether or not these were loaded already
        self.effects: List[Effect] = []  # what its import did, other than to make the module
        self.printed = False

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
        modules: the modules; they are taken out of `sys.modules`, and out of packages that every process has.
        imports: those that the template was told to import.
    """

    def __init__(self, modules: Dict[str, ShelvedModule], imports: Sequence[str]) -> None:
        self._imports = imports
        self._restored: Dict[str, _Entry] = {}
        self._lock = threading.RLock()  # tasks import in threads, too
        for recorded in modules.values():
            recorded.module = sys.modules.pop(recorded.name)
        entries = [_Entry(number, recorded) for number, recorded in enumerate(modules.values())]
        self._modules = {entry.name: entry for entry in entries}
        for entry, recorded in zip(entries, modules.values()):
            needed = (*recorded.needs, recorded.parent)
            entry.needs = tuple(self._modules[name] for name in needed if name in self._modules)
        for entry, recorded in zip(entries, modules.values()):
            self._settle(entry, recorded, modules.get(recorded.parent))

    def find(self, name: str) -> Optional[ModuleSpec]:
        """Return a spec that gives a module of that name back; None if there is none."""
        with self._lock:
            # Another thread may have restored it after this import had looked for it in `sys.modules`.
            is_here = name in self._modules or self.has_restored(name)
        return ModuleSpec(name, _ShelfLoader(self)) if is_here else None  # type: ignore[arg-type]

    def has_restored(self, name: str) -> bool:
        """Return whether the module that is imported under a name came from here."""
        entry = self._restored.get(name)
        return entry is not None and sys.modules.get(name) is entry.module

    def unused(self) -> List[str]:
        """Return the imports of the template that the task has not used."""
        return [name for name in self._imports if name in self._modules]

    def prints(self, name: str) -> bool:
        """Return whether the import of a module prints something."""
        return any(entry.printed for entry in self._closure(name))

    def restore(self, name: str) -> None:
        """Make a module, and all that its import brings, imported."""
        with self._lock:
            if name in self._restored:
                sys.modules[name] = self._restored[name].module
                return
            closure = self._closure(name)
            entries = sorted(closure, key=attrgetter("number"))
            for entry in entries:
                for submodule in entry.submodules:
                    if submodule not in closure:
                        submodule.leave(entry.module)
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
        reseed(self._find_module)

    def touch(self) -> None:
        """Write to the memory that `restore` writes to, so that it is copied for this process now and not then."""
        sys.modules.update({name: entry.module for name, entry in self._modules.items()})
        for name in self._modules:
            del sys.modules[name]

    def _settle(self, entry: _Entry, recorded: ShelvedModule, package: Optional[ShelvedModule]) -> None:
        """Decide about a module that is an attribute of its package because some other module has imported it.

        It stays one if nobody sees the package yet: mostly both come back together, and then nothing is to be done.
        """
        if package is not None and recorded.name in package.needs:
            return
        where = sys.modules.get(recorded.parent) if package is None else package.module
        if isinstance(where, ModuleType) and vars(where).get(entry.own_name) is entry.module:
            if package is None:
                entry.leave(where)
            else:
                self._modules[package.name].submodules += (entry,)

    def _find_module(self, name: str) -> Any:
        return self._modules[name].module if name in self._modules else None

    def _closure(self, name: str) -> Set[_Entry]:
        """Return what is on the shelf of the modules that the import of one of them brings, itself included."""
        closure = {self._modules[name]} if name in self._modules else set()
        pending = list(closure)
        while pending:
            for entry in pending.pop().needs:
                if entry not in closure and entry.name in self._modules:
                    closure.add(entry)
                    pending.append(entry)
        return closure


class _Entry:
    """What a task reads of a module on the shelf, made one after another in a template.

    A forked process gets a copy of each page of memory with an object that it refers to. So the entries, with their
    names, are beside each other, where those that were made between the imports are all over the memory.

    `submodules` are attributes of this package because others have imported them; `package` is where this one is to
    become such an attribute again.
    """

    __slots__ = ("effects", "module", "name", "needs", "number", "own_name", "package", "printed", "submodules")

    def __init__(self, number: int, recorded: ShelvedModule) -> None:
        self.number = number
        self.name = "".join((recorded.name[:1], recorded.name[1:]))  # a copy
        self.own_name = recorded.own_name
        self.module = recorded.module
        self.package: Optional[ModuleType] = None
        self.printed = recorded.printed
        self.effects = tuple(recorded.effects)
        self.needs: Tuple[_Entry, ...] = ()
        self.submodules: Tuple[_Entry, ...] = ()

    def leave(self, package: ModuleType) -> None:
        """Be no attribute of a package until this module comes back."""
        delattr(package, self.own_name)
        self.package = package


class _ShelfLoader:
    """Gives a module back. The import system makes an empty one first, which is forgotten."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        del sys.modules[module.__name__]
        self._shelf.restore(module.__name__)
