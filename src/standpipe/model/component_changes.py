"""Changes of a component that can change its results: comparison of the components of two Plans."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from functools import cache, lru_cache

from standpipe.model.plan import Component, Container, Executor, ExecutorRef, Plan, PythonFunction
from standpipe.model.python_source import parse_source


@lru_cache(maxsize=1024)
def code_digest(source: str) -> str:
    """Return a digest of Python code as the compiler sees it: comments and formatting make no difference.

    >>> code_digest("x = 1  # one") == code_digest("x  =  1")
    True
    >>> code_digest("x = 1") == code_digest("x = 2")
    False
    """
    try:
        meaning = ast.dump(parse_source(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        meaning = source  # for another version of Python, or nested too deeply for this one
    return hashlib.sha256(meaning.encode(errors="surrogatepass")).hexdigest()


def compare_components(then: Plan, now: Plan) -> Callable[[str, str], str]:
    """Return a function that compares a component of one Plan with a component of another.

    The function takes the keys of the two components. It returns what has changed, as a sentence without a full stop;
    empty if nothing has changed that can change a result. Results are cached.

    Args:
        then: the earlier Plan.
        now: the later Plan.
    """

    @cache
    def between(old: str, new: str) -> str:
        was, is_now = then.components[old], now.components[new]
        if not isinstance(was.body, ExecutorRef) or not isinstance(is_now.body, ExecutorRef):
            return "its kind of component has changed"
        if _interface(was) != _interface(is_now):
            return "its inputs or outputs have changed"
        if then.kubernetes_settings(was.body.label) != now.kubernetes_settings(is_now.body.label):
            return "its Kubernetes settings have changed"
        return _compare_executors(then.executors[was.body.label], now.executors[is_now.body.label])

    return between


def _compare_executors(was: Executor, now: Executor) -> str:
    if not isinstance(was, Container) or not isinstance(now, Container):
        return "" if was == now else "what it imports has changed"
    if was.image != now.image:
        return f"its image has changed to {now.image}"
    if was.env != now.env:
        return "its environment variables have changed"
    if not isinstance(was.program, PythonFunction) or not isinstance(now.program, PythonFunction):
        return "" if was.program == now.program else "its command has changed"
    if _code(was.program) != _code(now.program):
        return "its code has changed"
    if changed := _changed_modules(was.program, now.program):
        return f"a module of yours that it imports has changed: {changed[0]}"
    return "" if _packages(was.program) == _packages(now.program) else "its packages have changed"


def _code(function: PythonFunction) -> object:
    classes = {name: code_digest(source) for name, source in function.artifact_classes.items()}
    return function.name, code_digest(function.source), classes


def _changed_modules(was: PythonFunction, now: PythonFunction) -> list[str]:
    """Return the names of the modules that only one of two programs imports, or that differ."""
    changed = set(describe_modules(was)) ^ set(describe_modules(now))
    return sorted({name for name, _, _ in changed})


def describe_modules(function: PythonFunction) -> list[tuple[str, bool, str]]:
    """Return what counts of the modules of the author that a program imports: name, kind and code, in order."""
    return sorted((each.name, each.is_package, code_digest(each.source)) for each in function.modules)


def _packages(function: PythonFunction) -> object:
    return sorted(function.packages), function.index_urls, function.trusted_hosts


def _interface(component: Component) -> object:
    return component.inputs, component.outputs, component.task_config_passthroughs
