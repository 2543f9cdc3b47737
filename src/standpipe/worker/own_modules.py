"""Modules of the author that a component imports, from the sources that were shipped with it.

They are found after what is built into Python or installed in the environment, as at the end of `sys.path`. Their code
bears the name of the author's file, of which nothing is read.

Child processes that start with a new interpreter, as those of joblib, have the `sys.path` of their parent but not its
finders: for them the modules are files in a folder at its end.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from .process_state import MODULES_FOLDER
from .source import show_lines

#: A module: its full name; its file, empty for a namespace package; whether it is a package; its source.
Entry = Tuple[str, str, bool, str]


def install_modules(entries: Iterable[Entry]) -> None:
    """Make modules importable, in place of those of an earlier task in this process."""
    remove_modules()
    finder = OwnModules(entries)
    positions = [number for number, each in enumerate(sys.meta_path) if each is PathFinder]
    sys.meta_path.insert(positions[0] if positions else len(sys.meta_path), finder)


def write_modules(entries: Iterable[Entry], folder: str) -> None:
    """Write modules into a new folder, for the child processes of this one.

    Raises:
        OSError: if they cannot be written.
    """
    for name, file, is_package, source in entries:
        path = os.path.join(folder, *name.split("."))
        os.makedirs(path if is_package else os.path.dirname(path), exist_ok=True)
        if file:
            target = os.path.join(path, "__init__.py") if is_package else f"{path}.py"
            with open(target, "w", encoding="utf-8", newline="", errors="surrogatepass") as opened:
                opened.write(source)
    sys.path.append(folder)


def remove_modules() -> None:
    """Make the modules of an earlier task in this process no longer importable."""
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, OwnModules)]


class OwnModules:
    """A finder of modules.

    It stands before the finder of `sys.path`, which may have the folder of the modules as they are now, and asks it for
    what the other folders have.

    Args:
        entries: the modules.
    """

    has_own_modules = True  # for those who look for changes of `sys.meta_path`

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._modules: Dict[str, Entry] = {entry[0]: entry for entry in entries}
        self._roots = {os.path.realpath(_root_of(entry)) for entry in self._modules.values() if entry[1]}
        self._imported: Set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Return the spec of a module; None if it is not one of these, or an installed one goes before it."""
        entry = self._modules.get(name)
        parent = name.rpartition(".")[0]
        if entry is None or (parent and parent not in self._imported) or (not parent and self._is_installed(name)):
            return None
        self._imported.add(name)
        _, file, is_package, source = entry
        loader = ShippedLoader(name, file, source) if file else None
        spec = ModuleSpec(name, loader, origin=file or None, is_package=is_package)
        spec.has_location = bool(file)
        # A package has no folder: what was not shipped, and may be another thing tomorrow, is not found there.
        return spec

    def _is_installed(self, name: str) -> bool:
        folders: List[str] = [
            entry
            for entry in sys.path
            if os.path.basename(entry) != MODULES_FOLDER and os.path.realpath(entry) not in self._roots
        ]
        spec = PathFinder.find_spec(name, folders)
        return spec is not None and spec.loader is not None and spec.origin is not None


def _root_of(entry: Entry) -> str:
    """Return the folder that a module is imported from."""
    name, file, is_package, _ = entry
    folder = file
    for _ in range(name.count(".") + 1 + is_package):
        folder = os.path.dirname(folder)
    return folder


class ShippedLoader(SourceFileLoader):
    """Loads a module from its source, as if its file held that.

    Args:
        name: its name.
        file: its file.
        source: its source.
    """

    def __init__(self, name: str, file: str, source: str) -> None:
        super().__init__(name, file)
        self._source = source

    def get_source(self, fullname: Optional[str] = None) -> str:
        """Return the source."""
        return self._source

    def get_code(self, fullname: Optional[str] = None) -> CodeType:
        """Compile the source; tracebacks show it.

        Raises:
            SyntaxError: with the author's file and line.
        """
        show_lines(str(self.path), self._source)
        return compile(self._source, self.path, "exec", dont_inherit=True)
