"""What programs say of the author's modules: which ones they import, and which of those read files."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from standpipe.model.plan import PythonFunction
from standpipe.model.python_source import parse_source

#: How a module can read what is beside it: its own paths, and the functions for data of packages.
_READS_FILES = re.compile(r"\b(?:__file__|__path__|__spec__|__loader__|pkgutil|importlib_resources)\b|\bresources\b")

#: Functions that import the module of the name in their first argument.
_IMPORT_FUNCTIONS = ("__import__", "import_module")


@lru_cache(maxsize=4096)
def find_imports(source: str, package: str = "", provided: Collection[str] = frozenset()) -> tuple[str, ...]:
    """Return the full names of the modules that a program may import, in the order of the text.

    `from a import b` may import the module `a.b`, so that it is one of them. `from a import *` is `a.*`. Names that are
    computed when the program runs are unknown.

    Args:
        source: the program, or the source of a module.
        package: the package that relative imports start from; empty for a program, which has none.
        provided: modules whose imports at the top level do not count, as what they import is provided otherwise.

    Returns:
        Nothing if the source is invalid.
    """
    try:
        tree = parse_source(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    left_out = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module in provided]
    names = (name for node in ast.walk(tree) if node not in left_out for name in _imports_of(node, package))
    return tuple(dict.fromkeys(names))


def _imports_of(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _resolve(node.module or "", node.level, package)
        if base:
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and node.args and _last_name(node.func) in _IMPORT_FUNCTIONS:
        argument = node.args[0]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            name = argument.value
            yield _resolve(name.lstrip("."), len(name) - len(name.lstrip(".")), package)


def _resolve(name: str, level: int, package: str) -> str:
    """Return the full name of a module that is imported relatively; empty if there is no such package."""
    if not level:
        return name
    parts = package.split(".") if package else []
    if level > len(parts):
        return ""
    return ".".join((*parts[: len(parts) - level + 1], *filter(None, [name])))


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def files_readers(function: PythonFunction) -> list[str]:
    """Return the modules of the author that may read files beside them, on which a result then depends."""
    return [each.name for each in function.modules if _READS_FILES.search(each.source)]
