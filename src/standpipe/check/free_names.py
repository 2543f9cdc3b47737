"""Names that the program of a component uses and nothing defines.

Such a name is a NameError when its line is reached, which may be never. So the result is for a warning, and there is
none where a program can define names in ways that its text does not show.
"""

from __future__ import annotations

import ast
import builtins
import typing
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from standpipe.model.python_source import FILE, parse_source, without_warnings

if TYPE_CHECKING:
    from symtable import SymbolTable

#: Names with which a program defines others out of sight, or asks whether they are defined.
_DYNAMIC = {"NameError", "builtins", "exec", "globals", "locals", "vars"}

#: The modules that the lines at the top of each compiled program import all names from.
_HEADER = ("kfp.dsl", "typing")

#: Builtins of some versions of Python or systems only: the task may run on another one.
_OTHER_BUILTINS = {"BaseExceptionGroup", "ExceptionGroup", "EncodingWarning", "PythonFinalizationError", "WindowsError"}


@lru_cache(maxsize=256)
def find_free_names(source: str) -> tuple[tuple[str, str], ...]:
    """Return the names that nothing in a program defines, each with the first line that has it, without its indent.

    Args:
        source: the program of a component, as KFP compiles it.

    Returns:
        Nothing if the program is invalid, or defines names in ways that its text does not show.
    """
    try:
        if not _find_candidates(source):
            return ()
        tree = parse_source(source)
        _check_imports(tree)
        names = _find_candidates(_without_local_annotations(source, tree))
        return tuple((name, _find_line(name, tree, source)) for name in sorted(names))
    except (SyntaxError, ValueError, RecursionError, _Unknown):
        return ()


class _Unknown(Exception):
    """The names that a program defines are not known."""


def _find_candidates(source: str) -> set[str]:
    """Return the global names that a program uses and neither defines nor has as builtins."""
    import symtable  # costs 1 ms, which only runs need

    with without_warnings():
        table = symtable.symtable(source, FILE, "exec")
    used, defined = set(), set()
    for scope in _walk(table):
        for symbol in scope.get_symbols():
            # In a function named `top`, Python up to 3.12 takes local names for global, too.
            is_global = symbol.is_global() and not symbol.is_local()
            if scope is table or is_global or symbol.is_declared_global():
                if symbol.is_referenced():
                    used.add(symbol.get_name())
                if symbol.is_assigned() or symbol.is_imported():
                    defined.add(symbol.get_name())
    if _DYNAMIC & (used | defined):
        return set()
    known = defined | vars(builtins).keys() | _names_of_header() | _OTHER_BUILTINS
    return {name for name in used - known if not name.startswith("__")}


def _walk(table: SymbolTable) -> Iterator[SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _walk(child)


def _names_of_header() -> set[str]:
    """Return the names that the program imports from the modules of the header."""
    from standpipe.worker.kfp_shim import RUNTIME_NAMES  # only runs need it

    return {*typing.__all__, *RUNTIME_NAMES}


def _check_imports(tree: ast.Module) -> None:
    """Raise an error if the program imports all names of a module that is not one of the header's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module not in _HEADER and any(a.name == "*" for a in node.names):
            raise _Unknown


def _without_local_annotations(source: str, tree: ast.Module) -> str:
    """Return a program with `0` in place of the annotations of local variables, which Python does not evaluate."""
    lines = [line.encode() for line in source.split("\n")]
    for node in _find_local_annotations(tree):
        if node.end_lineno != node.lineno or node.end_col_offset is None:
            raise _Unknown
        line, width = lines[node.lineno - 1], node.end_col_offset - node.col_offset
        lines[node.lineno - 1] = line[: node.col_offset] + b"0".ljust(width) + line[node.end_col_offset :]
    return b"\n".join(lines).decode()


def _find_local_annotations(tree: ast.Module) -> Iterator[ast.expr]:
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside: list[ast.AST] = [*function.body]
            while inside:
                node = inside.pop()
                if isinstance(node, ast.AnnAssign):
                    yield node.annotation
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):  # scopes of their own
                    inside += ast.iter_child_nodes(node)


def _find_line(name: str, tree: ast.Module, source: str) -> str:
    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    return source.split("\n")[min(lines) - 1].strip()
