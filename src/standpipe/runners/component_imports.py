"""Modules that a component imports first and that its task does not have, known before it runs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

from standpipe.model.plan import PythonFunction, SourceLocation
from standpipe.model.ports import Problem
from standpipe.model.python_source import parse_source
from standpipe.runners.missing_modules import advise_package, is_own_module

#: The statements beside the function of a component that make no modules importable.
_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

#: What else may help a component of a compiled file, whose own modules are nowhere in sight.
_OF_COMPILED_FILE = (
    " If it is code of yours, pass the folder that it is in: local.init(..., source_root=...), or --source-root."
)

#: The modules that each task has besides those of the standard library: the worker answers to `import kfp`.
_OF_WORKER = {"kfp"}


class Import(NamedTuple):
    """A module that a program imports, without the names after a dot, and the number of the line."""

    module: str
    line: int


def find_missing_modules(
    function: PythonFunction,
    has_module: Callable[[str], bool | None],
    advise: Callable[[str, SourceLocation | None], str] = advise_package,
) -> Iterator[Problem]:
    """Yield a problem for each module that the function of a component imports first, and that its task will not have.

    Only imports before all other statements count: they are certain to be executed, and nothing that the program does
    before can provide the module. Modules of the user's own are left out, with all that follows, as they may.

    Args:
        function: the component's program.
        has_module: returns whether the environment of the task has a module; None if that is not known.
        advise: returns what to do about a module that is missing for a component that is defined at a location.
    """
    known = {*sys.stdlib_module_names, *_OF_WORKER, *(name.partition(".")[0] for name in function.artifact_classes)}
    place = function.sections[0].location if function.sections else None
    shipped = {each.name.partition(".")[0] for each in function.modules}  # the author's own
    for module, line in find_first_imports(function.source, function.name):
        if module in known:
            continue
        if module in shipped or is_own_module(module, place):
            return
        if has_module(module) is False:
            message = f"it imports {module!r}, which its environment does not have"
            own = "" if place else _OF_COMPILED_FILE
            yield Problem(message, f"{advise(module, place)}{own}", line)


def is_importable(module: str) -> bool:
    """Return whether this process can import a module; it is not imported for that."""
    try:
        return module in sys.modules or find_spec(module) is not None
    except (ImportError, ValueError):  # an importer of the user's, or a module without a spec
        return True


@lru_cache(maxsize=256)
def find_first_imports(source: str, name: str) -> tuple[Import, ...]:
    """Return the modules that a function imports before it does anything else.

    Args:
        source: the program.
        name: the name of the function in it.
    """
    if "import" not in source[source.find("def ") :]:
        return ()  # most components; to parse them would take longer than the rest of the check
    try:
        tree = parse_source(source)
    except (SyntaxError, ValueError, RecursionError):  # for another version of Python
        return ()
    if not all(isinstance(each, _DEFINITIONS) for each in tree.body):
        return ()  # such as the code that unpacks embedded files, and adds their folder to the path
    bodies = [each.body for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name]
    return tuple(_imports_of(bodies[-1])) if bodies else ()


def _imports_of(body: list[ast.stmt]) -> Iterator[Import]:
    """Yield what the first statements of a function import, after its docstring."""
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (Import(alias.name.partition(".")[0], statement.lineno) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            if statement.module and not statement.level:
                yield Import(statement.module.partition(".")[0], statement.lineno)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            return
