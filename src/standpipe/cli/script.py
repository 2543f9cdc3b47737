"""Runs a KFP script in this process, with Standpipe in place of the KFP SDK."""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.machinery import SourceFileLoader
from types import ModuleType

from standpipe.dsl.registry import only_definitions
from standpipe.errors import ArgumentError
from standpipe.kfp_compat.modules import install_as_kfp


def load(path: str, arguments: Sequence[str], name: str = "__main__", *, expected: str) -> ModuleType:
    """Run a script as `python path arguments…` does, except that `kfp` is Standpipe.

    `sys.argv`, `sys.path` and the module `name` stay changed, because threads and exit handlers of the script outlive
    this call.

    Under another name than `__main__` it is imported for its definitions: it ends where it would start a run.

    Args:
        path: the script.
        arguments: its arguments.
        name: its `__name__`.
        expected: what the command expects at `path`, for the message if it cannot be read.

    Raises:
        ArgumentError: if there is no such file, or it is binary.
        BaseException: whatever the script raises, `SystemExit` too, and SyntaxError.
    """
    file = os.path.abspath(path)
    try:
        with open(file, "rb") as opened:
            source = opened.read()
    except OSError as error:
        raise ArgumentError(
            f"{path or 'An empty path'} cannot be run: {error.strerror}. Expected {expected}."
        ) from error
    if b"\0" in source:  # Python's own error does not name the file
        raise ArgumentError(f"{path} cannot be run: it is a binary file. Expected {expected}.")
    module = ModuleType(name)
    module.__dict__.update(__file__=file, __loader__=SourceFileLoader(name, file), __builtins__=builtins)
    if name == "__main__":
        module.__dict__["__cached__"] = None
    sys.modules[name] = module
    sys.argv = [path, *arguments]
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):  # then Python has not put a folder there
        sys.path[0] = os.path.dirname(os.path.realpath(file))
    install_as_kfp()
    with nullcontext() if name == "__main__" else only_definitions():
        exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - running the user's script is the purpose
    return module


def find_pipelines(path: str) -> list[str]:
    """Return the names of the pipelines that a script defines at its top level, without running it.

    Args:
        path: the script. If it cannot be parsed, it has none.
    """
    import ast  # only a mistake needs it

    def is_pipeline(decorator: ast.expr) -> bool:
        name = decorator.func if isinstance(decorator, ast.Call) else decorator
        return "pipeline" in (getattr(name, "attr", ""), getattr(name, "id", ""))

    try:
        with open(path, "rb") as file:
            body = ast.parse(file.read()).body
    except (OSError, SyntaxError, ValueError):
        return []
    functions = [each for each in body if isinstance(each, ast.FunctionDef)]
    return [each.name for each in functions if any(map(is_pipeline, each.decorator_list))]


def load_module(name: str, arguments: Sequence[str]) -> None:
    """Import a module for its definitions, as `python -m` finds it: from the current folder first.

    Args:
        name: its name, with those of its packages.
        arguments: the arguments that it finds in `sys.argv`.

    Raises:
        ArgumentError: if the name is empty, or there is no such module.
        BaseException: whatever it raises.
    """
    if not name:
        raise ArgumentError("Invalid module '': expected the name of a module, as for `python -m`.")
    sys.argv = [name, *arguments]
    sys.path.insert(0, os.getcwd())
    install_as_kfp()
    try:
        with only_definitions():
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # a module that it imports
        raise ArgumentError(
            f"Cannot import module {name}: {error}. Expected the module with the pipeline of the run, as `python -m` "
            "finds it from this folder."
        ) from error
