"""Rules for the sources that no tool knows: libraries with one user, forbidden calls, reasons beside imports.

Who may import whom inside of the package is checked by import-linter: `make lint`, with contracts in pyproject.toml.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "standpipe"
FILES = sorted(PACKAGE.rglob("*.py"))

#: Libraries that only some packages may import, because they are slow to import or have one purpose.
RESERVED = {
    "google": {"ir", "kfp_compat"},
    "kfp": {"ir"},
    "yaml": {"ir", "pods"},
    "docker": {"runners"},
    "sqlite3": {"store"},
}


#: The name of `worker` in the processes of tasks, which do not have the rest of the package.
OWN_NAMES = {"standpipe_worker"}


parse = cache(ast.parse)  # several rules read each file


class Import(NamedTuple):
    """One imported module: its absolute name, its line, and whether it was named relatively."""

    module: str
    line: int
    relative: bool


def functions_of(tree: ast.AST) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def imports_of(tree: ast.AST, package: str) -> Iterator[Import]:
    """Every import in a module whose package is `package`, `from a import b` as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, relative=False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            yield from (Import(f"{base}.{alias.name}", node.lineno, relative=bool(node.level)) for alias in node.names)


def unit_of(path: Path) -> str:
    """The package or module, right below `standpipe`, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def package_of(path: Path) -> str:
    return ".".join(["standpipe", *path.parent.relative_to(PACKAGE).parts])


def reserved_imports(source: str, unit: str, package: str) -> list[str]:
    return [
        f"line {found.line}: only {' and '.join(sorted(RESERVED[top]))} may import {found.module}"
        for found in imports_of(parse(source), package)
        if (top := found.module.split(".")[0]) in RESERVED and unit not in RESERVED[top]
    ]


def forbidden_things(source: str) -> list[str]:
    """Conditions are parsed and never evaluated as Python; what is stored is JSON and never a pickle."""
    tree = parse(source)
    evals = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "eval"
    ]
    pickles = [found.line for found in imports_of(tree, "") if found.module.split(".")[0] in ("pickle", "marshal")]
    return [f"line {line}: eval" for line in evals] + [f"line {line}: pickle" for line in pickles]


def unexplained_imports(source: str) -> list[str]:
    """The functions with imports where no comment, beside or above one of those imports, says why."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    found = []
    for function in functions_of(parse(source)):
        lines = {node.lineno for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))}
        if lines and not {line - above for line in lines for above in (0, 1)} & comments:
            found.append(f"line {min(lines)}: an import in a function says why beside it")
    return found


def foreign_imports(source: str, package: str) -> list[str]:
    return [
        f"line {found.line}: {found.module} is not in the standard library"
        for found in imports_of(parse(source), package)
        if not found.relative and found.module.split(".")[0] not in {*sys.stdlib_module_names, *OWN_NAMES}
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_follows_the_rules(path: Path) -> None:
    source, unit, package = path.read_text(encoding="utf-8"), unit_of(path), package_of(path)

    assert reserved_imports(source, unit, package) == []
    assert forbidden_things(source) == []
    assert unexplained_imports(source) == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "worker").rglob("*.py")), ids=lambda path: path.name)
def test_the_worker_package_needs_only_python_3_9(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    ast.parse(source, feature_version=(3, 9))
    assert foreign_imports(source, package_of(path)) == []


def test_reserved_imports_are_found() -> None:
    assert reserved_imports("import yaml", "dsl", "") == ["line 1: only ir and pods may import yaml"]
    assert reserved_imports("from google.protobuf import json_format", "ir", "") == []


def test_forbidden_calls_are_found() -> None:
    assert forbidden_things("import pickle\neval('1')\nmodel.eval()") == ["line 2: eval", "line 1: pickle"]


def test_unexplained_imports_are_found() -> None:
    bare = "def f():\n    import json\n"
    beside = "def g():\n    import rich  # costly\n    import rich.live\n"
    above = "def h():\n    # optional\n    import docker\n"

    assert unexplained_imports(bare + beside + above) == ["line 2: an import in a function says why beside it"]


def test_foreign_imports_are_found() -> None:
    source = "import json\nfrom . import executor\nimport yaml\nfrom standpipe import errors"

    assert foreign_imports(source, "standpipe.worker") == [
        "line 3: yaml is not in the standard library",
        "line 4: standpipe.errors is not in the standard library",
    ]


def test_one_module_has_the_hooks_for_forks() -> None:
    """The order of hooks matters, and so does that none is forgotten. `worker` runs in other processes."""
    users = [path for path in FILES if "register_at_fork" in path.read_text(encoding="utf-8")]

    assert [str(path.relative_to(PACKAGE)) for path in users if unit_of(path) != "worker"] == ["support/forking.py"]
