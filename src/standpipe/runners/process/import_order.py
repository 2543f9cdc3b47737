"""Where a component's code changes what imports depend on, such as the environment variables."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

#: Functions that change what imports depend on, by their last name.
_CHANGING_CALLS = frozenset(
    ("putenv", "unsetenv", "chdir", "fchdir", "setlocale", "load_dotenv", "addsitedir", "invalidate_caches")
)

#: Objects that imports depend on, by their last name, and the methods that change them.
_OBJECTS = frozenset(("environ", "environb", "path", "meta_path", "path_hooks"))
_CHANGING_METHODS = frozenset(
    ("append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update")
)


def safe_imports(source: str, names: Iterable[str]) -> list[str]:
    """Return those of some modules that a program imports before it may change what their import depends on.

    An attempt that has not changed it says nothing about the next one: `if use_gpu: os.environ["…"] = "…"`. So what
    counts is the first place in the text that changes something, executed or not. Libraries import lazily: a module
    belongs to the first place that imports something of the same package.

    Args:
        source: the program.
        names: the modules.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # for another version of Python
        return []
    changes = [node.lineno for node in ast.walk(tree) if isinstance(node, (ast.expr, ast.stmt)) and _is_change(node)]
    if not changes:
        return list(names)
    first: dict[str, int] = {}
    for package, line in _imported_packages(tree):
        first[package] = min(line, first.get(package, line))
    return [name for name in names if first.get(name.partition(".")[0], max(changes)) < min(changes)]


def changes_imports(source: str) -> bool:
    """Return whether a module may change what imports depend on, when it is imported or later."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # for another version of Python
        return True
    return any(isinstance(node, (ast.expr, ast.stmt)) and _is_change(node) for node in ast.walk(tree))


def _imported_packages(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the packages that a program imports, each with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0], node.lineno


def _is_change(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = _last_name(node.func)
        is_method = isinstance(node.func, ast.Attribute) and _last_name(node.func.value) in _OBJECTS
        return name in _CHANGING_CALLS or (is_method and name in _CHANGING_METHODS)
    targets = _targets(node)
    return any(
        _last_name(target.value if isinstance(target, ast.Subscript) else target) in _OBJECTS
        for target in targets
        if isinstance(target, (ast.Subscript, ast.Attribute))
    )


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, (ast.Assign, ast.Delete)):
        return node.targets
    return [node.target] if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else []


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
