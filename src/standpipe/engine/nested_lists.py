"""Outputs of nested loops as inputs: flat lists, or nested as the annotations of a Python function say.

A compiled file declares every list as LIST. A function whose input is annotated with `List[List[int]]` gets one list
for each iteration of the outer loop; every other component gets one flat list, as on a cluster.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from standpipe.model.cluster_differences import SP120, decides
from standpipe.model.plan import Container, ExecutorRef, Plan, PythonFunction
from standpipe.model.python_source import parse_source
from standpipe.model.types import Json
from standpipe.model.values import Collected, Value, flatten

_LISTS = {"List", "list"}
_WRAPPERS = {"Optional", "Union", "Annotated"}  # their first argument that is not None counts


class ListFlattener:
    """Flattens the inputs of the components of a Plan. Each function is parsed once, when it is first needed."""

    def __init__(self, plan: Plan) -> None:
        self._executors = plan.executors
        self._levels: dict[str, dict[str, int]] = {}

    def flatten(self, executor: ExecutorRef, inputs: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return the inputs of an executor, with plain lists in place of what loops collected."""
        if Collected not in map(type, inputs.values()):
            return inputs
        return {name: self._flatten_value(executor, name, value) for name, value in inputs.items()}

    @decides(SP120)
    def _flatten_value(self, executor: ExecutorRef, name: str, value: Value) -> Value:
        if not isinstance(value, Collected):
            return value
        flat = flatten(value)
        if not any(isinstance(item, Collected) for item in value):
            return flat
        return flatten(value, max(1, self._get_levels(executor.label, name) - _count_levels(flat)))

    def _get_levels(self, label: str, name: str) -> int:
        if label not in self._levels:
            executor = self._executors[label]
            program = executor.program if isinstance(executor, Container) else None
            self._levels[label] = parse_list_levels(program) if isinstance(program, PythonFunction) else {}
        return self._levels[label].get(name, 1)


def parse_list_levels(function: PythonFunction) -> dict[str, int]:
    """Return the depth of the list in the annotation of each parameter: 2 for `List[List[int]]`."""
    try:
        tree = parse_source(function.source)
    except (SyntaxError, ValueError, RecursionError):
        return {}  # syntax of another Python version: flat lists, as on a cluster
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == function.name:
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            return {argument.arg: _count_annotated_levels(argument.annotation) for argument in arguments}
    return {}


def _count_annotated_levels(annotation: ast.expr | None) -> int:
    levels = 0
    while annotation is not None:
        name, arguments = _split_annotation(annotation)
        levels += name in _LISTS
        inner = [argument for argument in arguments if not (isinstance(argument, ast.Constant) and not argument.value)]
        annotation = inner[0] if inner and name in _LISTS | _WRAPPERS else None
    return levels


def _split_annotation(annotation: ast.expr) -> tuple[str, list[ast.expr]]:
    """Return the name of a type and its arguments. `X | None` is a Union."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError):
            return "", []
    if isinstance(annotation, ast.BinOp):
        return "Union", [annotation.left, annotation.right]
    arguments: list[ast.expr] = []
    if isinstance(annotation, ast.Subscript):
        arguments = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        annotation = annotation.value
    if isinstance(annotation, ast.Attribute):
        return annotation.attr, arguments
    return annotation.id if isinstance(annotation, ast.Name) else "", arguments


def _count_levels(items: Json) -> int:
    """Return the depth of the lists in a list."""
    levels = 0
    while inner := [item for item in items if isinstance(item, list)]:
        levels += 1
        items = [item for sublist in inner for item in sublist]
    return levels
