"""The state of this process that a task gets for itself: what it changes is restored after it."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import ModuleType

from standpipe.model.plan import OwnModule
from standpipe.worker import artifacts
from standpipe.worker.own_modules import remove_modules
from standpipe.worker.source import MODULE_NAME

#: The modules of KFP, which are others in a task than in a script that defines pipelines.
_KFP = "kfp"


class ProcessState:
    """Sets up this process for one task at a time, and restores it.

    Modules that a task imports stay imported, as those of packages with C code can only be loaded once in a process.
    """

    def __init__(self) -> None:
        self._kfp_modules: dict[str, ModuleType] = {}  # as tasks see them

    @contextmanager
    def for_task(self, folder: str, variables: Mapping[str, str], own: Collection[OwnModule] = ()) -> Iterator[None]:
        """Give a task its working directory, environment variables, arguments, modules and `sys.path` in a block.

        Args:
            folder: the working directory, which comes first in `sys.path`, as `python -m` has it.
            variables: the environment variables that it has besides those of this process.
            own: the author's modules that it gets, in place of those that this process has imported.
        """
        with (
            _directory(folder),
            _variables(variables),
            _arguments(),
            _shown_files(),
            _root_logger(),
            _task_root(),
            self._modules(folder, own),
        ):
            yield

    @contextmanager
    def _modules(self, folder: str, own: Collection[OwnModule]) -> Iterator[None]:
        path, modules = list(sys.path), dict(sys.modules)
        sys.path.insert(0, folder)
        for name in filter(_is_kfp, modules):
            del sys.modules[name]
        sys.modules.update(self._kfp_modules)
        for name in [each.name for each in own if _is_same(modules.get(each.name), each)]:
            del sys.modules[name]
        names = {each.name for each in own}
        try:
            yield
        finally:
            remove_modules()
            self._kfp_modules = {name: module for name, module in sys.modules.items() if _is_kfp(name)}
            folders = tuple(f"{entry}{os.sep}" for entry in {folder, *sys.path} - set(path) if entry)
            sys.path[:] = path
            for name, module in list(sys.modules.items()):
                is_own = name == MODULE_NAME or name in names or _is_kfp(name) or _file_of(module).startswith(folders)
                if is_own and name not in modules:
                    del sys.modules[name]
            sys.modules.update(modules)


def _is_kfp(name: str) -> bool:
    return name == _KFP or name.startswith(f"{_KFP}.")


def _is_same(module: object, own: OwnModule) -> bool:
    """Return whether a module that this process has imported is one of the author's, and not another of that name."""
    file = _file_of(module)
    return module is not None and (os.path.realpath(file) if file else "") == own.file


def _file_of(module: object) -> str:
    """Return the file of a module; empty if it has none."""
    return str(getattr(module, "__file__", None) or "")


@contextmanager
def _task_root() -> Iterator[None]:
    """Forget the folder of outputs that a task has, as `dsl.get_uri` is for tasks only."""
    try:
        yield
    finally:
        artifacts.CONTAINER_TASK_ROOT = None


@contextmanager
def _directory(folder: str) -> Iterator[None]:
    before = None
    with suppress(OSError):  # it was removed
        before = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        yield
    finally:
        if before is not None:
            os.fchdir(before)
            os.close(before)


@contextmanager
def _variables(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@contextmanager
def _arguments() -> Iterator[None]:
    before, sys.argv = sys.argv, list(sys.argv)
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _shown_files() -> Iterator[None]:
    """Drop the lines of shipped programs after the block: this process may show the files as they are then."""
    before = dict(linecache.cache)
    try:
        yield
    finally:
        for name in [name for name, entry in linecache.cache.items() if before.get(name) is not entry]:
            del linecache.cache[name]
        linecache.cache.update(before)


@contextmanager
def _root_logger() -> Iterator[None]:
    """Undo what the task does to the root logger, whose handlers may write to the streams of the task."""
    import logging  # most programs have imported it, and the authors of others do not wait for it

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
