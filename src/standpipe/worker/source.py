"""Functions from the source that a component is shipped as."""

from __future__ import annotations

import importlib
import linecache
import sys
from functools import lru_cache
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any, Callable, Dict, Mapping

#: KFP's name of the module that holds a component's source.
MODULE_NAME = "ephemeral_component"

#: The names that the source of an artifact class may use, besides its own imports.
_PREAMBLE = "import kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n"

#: The file names of such source in tracebacks.
_COMPONENT_FILE = "<component {}>"
_CLASS_FILE = "<artifact class {}>"


def load_function(source: str, name: str, artifact_classes: Mapping[str, str]) -> Callable[..., Any]:
    """Execute the source as a module, and return the function of that name.

    Args:
        source: the program.
        name: the function's name.
        artifact_classes: by `module.Name`, the sources of classes that the program imports and that may be missing.

    Raises:
        Exception: whatever the program raises.
    """
    for qualified, text in artifact_classes.items():
        if "<locals>" not in qualified:  # those are in the program itself
            _provide_class(qualified, text)
    module = ModuleType(MODULE_NAME)
    sys.modules[MODULE_NAME] = module
    exec(compiled(source, name), module.__dict__)  # noqa: S102  the user's program
    function: Callable[..., Any] = getattr(module, name)
    return function


@lru_cache(maxsize=64)
def compiled(source: str, name: str) -> CodeType:
    """Return the code of a program whose function `name` is called, compiled once for all tasks of a fork server."""
    return _compile(source, _COMPONENT_FILE.format(name))


def _compile(source: str, filename: str) -> CodeType:
    """Compile source so that tracebacks show its lines."""
    # Without a modification time, linecache does not look for the file.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    return compile(source, filename, "exec", dont_inherit=True)


def is_user_file(filename: str) -> bool:
    """Return whether a file name in a traceback stands for source that was compiled here."""
    return filename.startswith((_COMPONENT_FILE.split("{")[0], _CLASS_FILE.split("{")[0]))


def _provide_class(qualified: str, source: str) -> None:
    """Make `module.Name` importable from its source, if it is not importable already."""
    module_name, _, name = qualified.rpartition(".")
    try:
        if hasattr(importlib.import_module(module_name), name):
            return
    except ImportError:
        _make_modules(module_name)
    namespace: Dict[str, Any] = dict(vars(sys.modules[module_name]))
    exec(_PREAMBLE, namespace)  # noqa: S102  a constant
    exec(_compile(source, _CLASS_FILE.format(qualified)), namespace)  # noqa: S102  the user's class
    setattr(sys.modules[module_name], name, namespace[name])


def _make_modules(name: str) -> None:
    """Make an empty module of that name importable, and the packages above it that are missing."""
    parent, _, last = name.rpartition(".")
    if parent:
        try:
            importlib.import_module(parent)
        except ImportError:
            _make_modules(parent)
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__path__ = []
    sys.modules[name] = module
    if parent:
        setattr(sys.modules[parent], last, module)
