"""Read the source of Python components, which is shipped to where the component runs."""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from standpipe.dsl.functions.definitions import Definition, read_class, read_function
from standpipe.dsl.types import hints_of
from standpipe.errors import AuthoringTypeError
from standpipe.model.frozen import frozen
from standpipe.model.plan import SourceSection
from standpipe.model.python_source import parse_source
from standpipe.worker import annotations as kfp_annotations
from standpipe.worker import artifacts
from standpipe.worker.models import is_model

_IMPORTS = ("import kfp", "from kfp import dsl", "from kfp.dsl import *", "from typing import *")


@frozen
class Program:
    """The program of a component.

    `source` is its text, `sections` are the parts of it that come from the author's files, and `artifact_classes` are
    the sources of the artifact classes in the signature of the component's function, by `module.Name`.
    """

    source: str
    sections: tuple[SourceSection, ...]
    artifact_classes: Mapping[str, str]


def build_program(
    function: Callable[..., Any],
    additional_functions: Sequence[Callable[..., Any]],
    embedded: str | os.PathLike[str] | None,
) -> Program:
    """Return a program that defines a function.

    Args:
        function: the function.
        additional_functions: functions that are defined in the program before it.
        embedded: a file or folder that is embedded in the program.

    Raises:
        AuthoringError: if a source cannot be read, or `embedded` does not exist.
    """
    classes = dict(_custom_artifact_classes(function))
    imports = [
        *dict.fromkeys(_define_class(function, cls, name) for name, cls in classes.items()),
        *dict.fromkeys(_import_model(function, model, name) for name, model in _models(function)),
    ]
    parts: list[str | Definition] = ["\n", "\n".join(_IMPORTS)]
    for statement in imports:
        parts += ["\n" if isinstance(statement, str) else "\n\n", statement]
    for helper in additional_functions:
        parts += ["\n\n", read_function(helper)]
    if embedded:
        from standpipe.dsl.functions.embedding import unpack_code  # few components embed files

        parts.append(f"\n\n{unpack_code(embedded)}\n")
    parts += ["\n\n", read_function(function), "\n"]
    sources = {f"{cls.__module__}.{cls.__qualname__}": read_class(cls).text for cls in classes.values()}
    return Program("".join(map(str, parts)), tuple(_locate_sections(parts)), sources)


def _locate_sections(parts: Iterable[str | Definition]) -> Iterator[SourceSection]:
    """Yield where the definitions are in the text that the parts make."""
    line = 1
    for part in parts:
        breaks = str(part).count("\n")
        if isinstance(part, Definition):
            yield SourceSection(line, breaks, part.location)
        line += breaks


def _custom_artifact_classes(function: Callable[..., Any]) -> Iterator[tuple[str, type]]:
    """Yield the artifact classes in the signature that are not KFP's, with the name of the argument."""
    for name, hint in _signature_hints(function):
        cls = kfp_annotations.artifact_class(hint)
        if cls is not None and cls.__module__ != artifacts.__name__:
            yield name, cls


def _signature_hints(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names of the arguments and their annotations; for what is returned, `return` or the names of fields."""
    hints = hints_of(function)
    returned = hints.pop("return", None)
    fields = hints_of(returned) if kfp_annotations.is_named_tuple(returned) else {"return": returned}
    yield from (*hints.items(), *fields.items())


def _models(function: Callable[..., Any]) -> Iterator[tuple[str, type]]:
    """Yield the Pydantic models in the signature, with the name of the argument, as `_custom_artifact_classes` does."""
    for name, hint in _signature_hints(function):
        if is_model(hint):
            yield name, hint


def _import_model(function: Callable[..., Any], model: type, name: str) -> str:
    """Return the statement that imports a model under its name in the function's signature.

    Only the name of its module is shipped, as in the KFP SDK after 2.17.3 (kubeflow/pipelines #13995).
    """
    problem = _find_import_problem(model)
    if problem:
        raise AuthoringTypeError(
            f"Component {function.__name__!r}: the Pydantic model {model.__qualname__} is {problem}, so that it cannot "
            "be imported where the component runs. Define it as a class of a module that is installed there, by "
            "packages_to_install or in the base_image."
        )
    return _import_statement(function, model, name, "Pydantic model")


def _find_import_problem(model: type) -> str:
    """Return why a model cannot be imported by its module and name, as a predicate; empty if it can."""
    if model.__module__ == "__main__":
        return "defined in the program that is started (`__main__`)"
    if "<locals>" in model.__qualname__:
        return "defined inside a function or method"
    return "" if model.__name__.isidentifier() else "a parametrized model without a name of its own"


def _define_class(function: Callable[..., Any], cls: type, name: str) -> str | Definition:
    """Return what defines an artifact class under its name in the function's signature: an import, or its source."""
    if "<locals>" in cls.__qualname__:
        return read_class(cls)  # it cannot be imported, so its source is shipped
    return _import_statement(function, cls, name, "artifact class")


def _import_statement(function: Callable[..., Any], cls: type, name: str, kind: str) -> str:
    """Return the statement that imports a class under its name in the function's signature."""
    qualified = f"{cls.__module__}.{cls.__qualname__}".split(".")
    annotation = _annotation(function, name)
    names = [name.split(".") for name in _dotted_names(annotation)]
    bases = [parts[0] for parts in names if parts[-1] == cls.__name__ and parts[0] in qualified]
    if not bases:
        raise AuthoringTypeError(
            f"Component {function.__name__!r}: `{ast.unparse(annotation)}` uses an alias of the {kind} "
            f"{'.'.join(qualified)}. Use the name that it is defined with: an alias cannot be imported where the "
            "component runs."
        )
    path = qualified[: qualified.index(bases[0]) + 1]
    return f"from {'.'.join(path[:-1])} import {path[-1]}" if len(path) > 1 else f"import {path[0]}"


def _annotation(function: Callable[..., Any], name: str) -> ast.expr:
    """Return the annotation of an argument, or of the function for other names: `return` and fields of a NamedTuple."""
    definition = parse_source(read_function(function).text).body[0]
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
