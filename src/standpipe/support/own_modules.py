"""The modules of the author that programs import from a folder, the source root."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator
from importlib.machinery import PathFinder
from importlib.util import decode_source
from pathlib import Path

from standpipe.errors import StorageError
from standpipe.model.own_modules import find_imports
from standpipe.model.plan import OwnModule, PythonFunction
from standpipe.support.properties import cached_property

#: Modules that tasks always get from the worker or their environment, whatever is in the source root.
_PROVIDED = frozenset({"kfp", "standpipe", "standpipe_worker", "ephemeral_component", "__main__"})

#: The most characters of all modules of a component: each of its tasks gets them.
_MAX_SIZE = 32 * 1024**2

_WORD = re.compile(r"[^\W\d]\w*")


class SourceRoot:
    """A folder with modules of the author.

    Each instance reads a file once, so that all components of a run get the same content.

    Args:
        folder: the folder, without links.
        script: the script that runs, which no task may import, as it would run the pipeline; empty if there is none.
    """

    def __init__(self, folder: Path, script: str = "") -> None:
        self.folder = folder
        self.script = os.path.realpath(script) if script else ""
        self._modules: dict[str, OwnModule | None] = {}

    def collect(self, function: PythonFunction) -> tuple[OwnModule, ...]:
        """Return the modules that a program imports, with those that these import, by name.

        Raises:
            StorageError: if one of them cannot be read, or they are too large.
        """
        words = set(_WORD.findall(function.source))
        if words.isdisjoint(self.names):
            return ()  # most programs import none, and need not be parsed
        classes = frozenset(name.rpartition(".")[0] for name in function.artifact_classes)
        found: dict[str, OwnModule] = {}
        names = list(find_imports(function.source, "", classes))
        while names:
            for module in self._chain(names.pop()):
                if module.name not in found:
                    found[module.name] = module
                    names += self._imports_of(module)
        if sum(len(module.source) for module in found.values()) > _MAX_SIZE:
            raise StorageError(
                f"Component {function.name!r} imports modules of more than {_MAX_SIZE // 1024**2} MiB from "
                f"{self.folder}. Pass data as artifacts, or install your project with packages_to_install."
            )
        return tuple(found[name] for name in sorted(found))

    def find_shadowed(self, function: PythonFunction) -> list[str]:
        """Return the modules of Python that a program imports, and that files in the folder hide from a script."""
        words = {*_WORD.findall(function.source)}
        names = words & self._entries & sys.stdlib_module_names
        return [name for name in sorted(names) if name in find_imports(function.source) and self.file_of(name)]

    def imports_script(self, function: PythonFunction) -> str:
        """Return the name by which a program or its modules import the script; empty if they do not.

        A package of that name, which tasks get from their environment, may be meant instead.
        """
        name = self._script_module
        if not name:
            return ""
        sources = [function.source, *(each.source for each in function.modules)]
        if not any(name in find_imports(each) for each in sources if name in each):
            return ""
        is_package = any(name in package for package in function.packages) or self._is_installed(name)
        return "" if is_package else name

    def file_of(self, name: str) -> str:
        """Return the file of a module by its full name; empty if there is none."""
        return str(_find_file(self.folder.joinpath(*name.split("."))) or "")

    @cached_property
    def names(self) -> frozenset[str]:
        """The names at the top level that modules in the folder can have."""
        return self._entries - _PROVIDED - sys.stdlib_module_names

    @cached_property
    def _script_module(self) -> str:
        """The name by which modules in the folder can import the script; empty if they cannot."""
        script = Path(self.script)
        return script.stem if self.script and script.parent == self.folder and script.stem in self.names else ""

    @cached_property
    def _entries(self) -> frozenset[str]:
        try:
            names = {name.removesuffix(".py") for name in os.listdir(self.folder)}
        except OSError:  # it was removed: nothing can be imported
            names = set()
        return frozenset(filter(str.isidentifier, names))

    def _is_installed(self, name: str) -> bool:
        folders = [entry for entry in sys.path if os.path.realpath(entry) != str(self.folder)]
        spec = PathFinder.find_spec(name, folders)
        return spec is not None and spec.origin is not None

    def _imports_of(self, module: OwnModule) -> Iterator[str]:
        package = module.name if module.is_package else module.name.rpartition(".")[0]
        return iter(find_imports(module.source, package))

    def _chain(self, name: str) -> Collection[OwnModule]:
        """Return a module with its packages, as far as they exist: all that an import of it loads."""
        modules: list[OwnModule] = []
        parts = name.split(".")
        if parts[0] not in self.names:
            return ()
        for number in range(1, len(parts) + 1):
            if parts[number - 1] == "*":
                return [*modules, *self._submodules(".".join(parts[: number - 1]))]
            module = self._read(".".join(parts[:number]))
            if module is None:
                break
            modules.append(module)
        return modules if any(each.file for each in modules) else ()  # a folder alone may be anything

    def _submodules(self, package: str) -> Iterator[OwnModule]:
        """Yield the modules in a package that `from package import *` may import: those that its `__all__` may name."""
        module = self._read(package)
        if module is not None and "__all__" in module.source:
            folder = Path(module.file).parent
            names = [entry.name.removesuffix(".py") for entry in sorted(folder.iterdir())]
            for name in names:
                if name.isidentifier() and name in module.source:
                    submodule = self._read(f"{package}.{name}")
                    yield from [submodule] if submodule is not None and submodule.file else []

    def _read(self, name: str) -> OwnModule | None:
        if name not in self._modules:
            self._modules[name] = self._read_file(name)
        return self._modules[name]

    def _read_file(self, name: str) -> OwnModule | None:
        path = self.folder.joinpath(*name.split("."))
        file = _find_file(path)
        if file is None:
            return OwnModule(name, is_package=True) if path.is_dir() else None
        if self.script and os.path.realpath(file) == self.script:
            return None
        try:
            source = decode_source(file.read_bytes())
        except (OSError, UnicodeDecodeError, SyntaxError, LookupError) as error:
            raise StorageError(
                f"Module {name!r}, which a component imports, cannot be read: {file}: {error}. Tasks get the modules "
                "that they import from the source root; save it as UTF-8, or pass another one: "
                "local.init(..., source_root=...)."
            ) from error
        return OwnModule(name, source, str(file), is_package=file.name == "__init__.py" and file.parent == path)


def _find_file(path: Path) -> Path | None:
    """Return the file of the module at a path without ending, as Python looks for it."""
    files = (path / "__init__.py", path.with_name(f"{path.name}.py"))
    return next((file for file in files if file.is_file()), None)
