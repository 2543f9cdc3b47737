"""Access to the import system: which finder has a module, and loaders and functions that leave no trace in tracebacks.

Python leaves out the frames of its own import system where it shows a traceback, and where a warning says which line is
to blame (`remove_importlib_frames` in Python/import.c, `is_internal_frame` in Python/_warnings.c). It knows them by
their file names, so a function that runs between an import and its module takes such a name.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, Callable, ContextManager, Optional, TypeVar

_F = TypeVar("_F")

#: The file name of Python's import system, as its frames have it.
_IMPORTLIB_FILE = "<frozen importlib._bootstrap>"

#: The function of Python's import system that looks for a module in order to load it.
_LOADING = "_find_and_load_unlocked"


def unseen(function: _F) -> _F:
    """Return a function after marking it, for tracebacks and warnings, as a part of Python's import system."""
    assert isinstance(function, FunctionType)
    function.__code__ = function.__code__.replace(co_filename=_IMPORTLIB_FILE)
    return function


def is_loading(depth: int = 2) -> bool:
    """Return whether a finder was called to load a module, and not by `importlib.util.find_spec` or `reload`.

    Args:
        depth: how many frames above this function `importlib._bootstrap._find_spec` is.
    """
    return sys._getframe(depth + 1).f_code.co_name == _LOADING


def find_with_others(finder: Any, name: str, path: Any, target: Any) -> Optional[ModuleSpec]:
    """Return the spec of a module that the other finders have."""
    for other in tuple(sys.meta_path):
        if other is not finder and hasattr(other, "find_spec"):
            spec: Optional[ModuleSpec] = other.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def call_without_frames(function: Any, *args: Any) -> Any:
    """Call a function as the import system does, which tells tracebacks to leave out the frames up to here."""
    return function(*args)


call_without_frames.__code__ = call_without_frames.__code__.replace(
    co_filename=_IMPORTLIB_FILE, co_name="_call_with_frames_removed"
)


class ReportingLoader:
    """Loads a module with its own loader, which the module then has as if this one had never been there.

    Args:
        loader: the loader of the module.
        loading: returns the context in which the module of a name is created and executed.
        make: makes an empty module of a name where the import system would; None to leave that to it.
    """

    def __init__(
        self,
        loader: Any,
        loading: Callable[[str], ContextManager[None]],
        make: Optional[Callable[[str], ModuleType]] = None,
    ) -> None:
        self._loader = loader
        self._loading = loading
        self._make = make

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        """Create the module of a spec; None if the import system has to, as of loaders without this method."""
        with self._loading(spec.name):
            module: Optional[ModuleType] = (
                self._loader.create_module(spec) if hasattr(self._loader, "create_module") else None
            )
        return self._make(spec.name) if module is None and self._make else module

    @unseen
    def exec_module(self, module: ModuleType) -> None:
        """Execute a module."""
        spec = module.__spec__
        assert spec is not None
        spec.loader = self._loader
        if module.__loader__ is self:
            module.__loader__ = self._loader
        with self._loading(spec.name):
            call_without_frames(self._loader.exec_module, module)
