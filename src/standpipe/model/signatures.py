"""What of a component can change its result, and how two of them differ."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from functools import cache, lru_cache

from standpipe.model.plan import Component, Container, Executor, ExecutorRef, Plan, PythonFunction


@lru_cache(maxsize=1024)
def code_digest(source: str) -> str:
    """A digest of Python code as its compiler sees it: comments and formatting make no difference.

    >>> code_digest("x = 1  # one") == code_digest("x  =  1")
    True
    >>> code_digest("x = 1") == code_digest("x = 2")
    False
    """
    try:
        meaning = ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        meaning = source  # written for another Python perhaps, or nested deeper than this one takes
    return hashlib.sha256(meaning.encode(errors="surrogatepass")).hexdigest()


def difference(then: Plan, now: Plan) -> Callable[[str, str], str]:
    """Compares components of two Plans, named by their keys, that have an executor.

    What it gives says in words what is different; it is empty where nothing is that could change a result.
    """

    @cache
    def between(old: str, new: str) -> str:
        was, is_now = then.components[old], now.components[new]
        if not isinstance(was.body, ExecutorRef) or not isinstance(is_now.body, ExecutorRef):
            return "it is another kind of component now"
        if _interface(was) != _interface(is_now):
            return "its inputs or outputs are others now"
        if then.kubernetes_settings(was.body.label) != now.kubernetes_settings(is_now.body.label):
            return "its settings for Kubernetes are others now"
        return _between_executors(then.executors[was.body.label], now.executors[is_now.body.label])

    return between


def _between_executors(was: Executor, now: Executor) -> str:
    if not isinstance(was, Container) or not isinstance(now, Container):
        return "" if was == now else "what it imports is something else now"
    if was.image != now.image:
        return f"its image is {now.image} now"
    if was.env != now.env:
        return "its environment variables are others now"
    if not isinstance(was.program, PythonFunction) or not isinstance(now.program, PythonFunction):
        return "" if was.program == now.program else "its command is another one now"
    if _code(was.program) != _code(now.program):
        return "its code is another one now"
    return "" if _packages(was.program) == _packages(now.program) else "its packages are others now"


def _code(function: PythonFunction) -> object:
    classes = {name: code_digest(source) for name, source in function.artifact_classes.items()}
    return function.name, code_digest(function.source), classes


def _packages(function: PythonFunction) -> object:
    return sorted(function.packages), function.index_urls, function.trusted_hosts


def _interface(component: Component) -> object:
    return component.inputs, component.outputs, component.task_config_passthroughs
