"""How deeply a component wants what loops gathered: as the annotations of its Python function say.

A compiled file says LIST for all lists. A function whose input is annotated with `List[List[int]]` gets the list of
each iteration of the outer loop by itself; everybody else gets one list, as on a cluster.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from standpipe.model.plan import Component, Container, ExecutorRef, Plan, PythonFunction
from standpipe.model.types import Json
from standpipe.model.values import Collected, Value, flattened

_LISTS = {"List", "list"}
_TRANSPARENT = {"Optional", "Union", "Annotated"}  # their first argument that is not None counts


class Consumers:
    """What the components of a Plan want; each function is parsed once, and only if somebody asks."""

    def __init__(self, plan: Plan) -> None:
        self._executors = plan.executors
        self._levels: dict[str, dict[str, int]] = {}

    def adapted(self, component: Component, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """The inputs of a component that has an executor, as plain lists where loops gathered them."""
        return {name: self._plain(component, name, value) for name, value in inputs.items()}

    def _plain(self, component: Component, name: str, value: Value) -> Value:
        if not isinstance(value, Collected):
            return value
        flat = flattened(value)
        if not any(isinstance(item, Collected) for item in value):
            return flat
        return flattened(value, max(1, self._annotated(component, name) - _levels_of(flat)))

    def _annotated(self, component: Component, name: str) -> int:
        assert isinstance(component.body, ExecutorRef)
        label = component.body.label
        if label not in self._levels:
            executor = self._executors[label]
            program = executor.program if isinstance(executor, Container) else None
            self._levels[label] = list_levels(program) if isinstance(program, PythonFunction) else {}
        return self._levels[label].get(name, 1)


def list_levels(function: PythonFunction) -> dict[str, int]:
    """How many lists are around each other in the annotation of each parameter: 2 for `List[List[int]]`."""
    try:
        tree = ast.parse(function.source)
    except (SyntaxError, ValueError, RecursionError):
        return {}  # written for another Python: its lists are flat, as on a cluster
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == function.name:
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            return {argument.arg: _annotation_levels(argument.annotation) for argument in arguments}
    return {}


def _annotation_levels(annotation: ast.expr | None) -> int:
    levels = 0
    while annotation is not None:
        name, arguments = _taken_apart(annotation)
        levels += name in _LISTS
        inner = [argument for argument in arguments if not (isinstance(argument, ast.Constant) and not argument.value)]
        annotation = inner[0] if inner and name in _LISTS | _TRANSPARENT else None
    return levels


def _taken_apart(annotation: ast.expr) -> tuple[str, list[ast.expr]]:
    """The name of a type and its arguments; `X | None` is a Union, too."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError):
            return "", []  # text that is no Python names no list
    if isinstance(annotation, ast.BinOp):
        return "Union", [annotation.left, annotation.right]
    arguments: list[ast.expr] = []
    if isinstance(annotation, ast.Subscript):
        arguments = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        annotation = annotation.value
    if isinstance(annotation, ast.Attribute):
        return annotation.attr, arguments
    return annotation.id if isinstance(annotation, ast.Name) else "", arguments


def _levels_of(items: Json) -> int:
    """How many lists are around each other within a list."""
    levels = 0
    while inner := [item for item in items if isinstance(item, list)]:
        levels += 1
        items = [item for sublist in inner for item in sublist]
    return levels
