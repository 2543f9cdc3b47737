"""Read the source of Python components, which is shipped to where the component runs."""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from standpipe.dsl.functions.definitions import read_class, read_function
from standpipe.dsl.functions.embedding import unpack_code
from standpipe.dsl.types import hints_of
from standpipe.errors import AuthoringTypeError
from standpipe.worker import annotations as kfp_annotations
from standpipe.worker import artifacts

_IMPORTS = ("import kfp", "from kfp import dsl", "from kfp.dsl import *", "from typing import *")


def build_program(
    function: Callable[..., Any],
    additional_functions: Sequence[Callable[..., Any]],
    embedded: str | os.PathLike[str] | None,
) -> tuple[str, dict[str, str]]:
    """Return a program that defines a function, and the sources of the artifact classes in its signature.

    Args:
        function: the function.
        additional_functions: functions that are defined in the program before it.
        embedded: a file or folder that is embedded in the program.

    Returns:
        The text of the program, and the source of each artifact class by `module.Name`.

    Raises:
        AuthoringError: if a source cannot be read, or `embedded` does not exist.
    """
    classes = dict(_custom_artifact_classes(function))
    imports = "\n".join(
        (*_IMPORTS, *dict.fromkeys(_import_statement(function, cls, name) for name, cls in classes.items()))
    )
    helpers = "".join("\n\n" + read_function(helper).text for helper in additional_functions)
    if embedded:
        helpers += f"\n\n{unpack_code(embedded)}\n"
    sources = {f"{cls.__module__}.{cls.__qualname__}": read_class(cls).text for cls in classes.values()}
    return f"\n{imports}{helpers}\n\n{read_function(function).text}\n", sources


def _custom_artifact_classes(function: Callable[..., Any]) -> Iterator[tuple[str, type]]:
    """Yield the artifact classes in the signature that are not KFP's, with the name of the argument.

    The name of a returned artifact is `return`, or that of its field.
    """
    hints = hints_of(function)
    returned = hints.pop("return", None)
    fields = hints_of(returned) if kfp_annotations.is_named_tuple(returned) else {"return": returned}
    for name, hint in (*hints.items(), *fields.items()):
        cls = kfp_annotations.artifact_class(hint)
        if cls is not None and cls.__module__ != artifacts.__name__:
            yield name, cls


def _import_statement(function: Callable[..., Any], cls: type, name: str) -> str:
    """Return the statement that defines an artifact class under its name in the function's signature."""
    if "<locals>" in cls.__qualname__:
        return "\n" + read_class(cls).text  # it cannot be imported, so its source is shipped
    qualified = f"{cls.__module__}.{cls.__qualname__}".split(".")
    annotation = _annotation(function, name)
    names = [name.split(".") for name in _dotted_names(annotation)]
    bases = [parts[0] for parts in names if parts[-1] == cls.__name__ and parts[0] in qualified]
    if not bases:
        raise AuthoringTypeError(
            f"Component {function.__name__!r}: `{ast.unparse(annotation)}` uses an alias of the artifact class "
            f"{'.'.join(qualified)}. Use the name that it is defined with: an alias cannot be imported where the "
            "component runs."
        )
    path = qualified[: qualified.index(bases[0]) + 1]
    return f"from {'.'.join(path[:-1])} import {path[-1]}" if len(path) > 1 else f"import {path[0]}"


def _annotation(function: Callable[..., Any], name: str) -> ast.expr:
    """Return the annotation of an argument, or of the function for other names: `return` and fields of a NamedTuple."""
    definition = ast.parse(read_function(function).text).body[0]
    assert isinstance(definition, ast.FunctionDef), "the source begins with the function"
    arguments = definition.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == name and argument.annotation is not None:
            return argument.annotation
    assert definition.returns is not None, "the class was found in an annotation"
    return definition.returns


def _dotted_names(annotation: ast.expr) -> Iterator[str]:
    """Yield every `a.b.C` in an annotation, also in annotations that are strings."""
    for node in ast.walk(annotation):
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isprintable():
            with contextlib.suppress(SyntaxError):  # it may be any string, such as the name of a field
                yield from _dotted_names(ast.parse(node.value, mode="eval").body)
