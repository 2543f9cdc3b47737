"""The inputs and outputs of a component, read from the signature and docstring of its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args, get_origin

from standpipe.dsl.types import artifact_type, hints_of, parameter_type
from standpipe.errors import AuthoringError, AuthoringTypeError
from standpipe.inside import annotations as kfp_annotations
from standpipe.model.frozen import frozen
from standpipe.model.kfp import SINGLE_OUTPUT
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Input,
    Json,
    Output,
    ParameterInput,
    ParameterOutput,
    ParameterType,
)
from standpipe.model.values import ValueMismatch, fit, not_allowed

_EMPTY = inspect.Parameter.empty

#: Parameters of these types are filled in by the system; nobody passes them.
SYSTEM_TYPES = (ParameterType.TASK_FINAL_STATUS, ParameterType.TASK_CONFIG)


@frozen
class Interface:
    """What a component takes and gives, by name, in the order of the signature."""

    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]
    description: str = ""


def interface_of(function: Callable[..., Any], *, container: bool = False) -> Interface:
    """Reads a function's interface. `container` says that it describes a container: its return type says nothing then.

    Raises:
        AuthoringTypeError: if an annotation is missing or stands for nothing that KFP can pass.
        AuthoringError: if a name or a default is not allowed.
    """
    where = f"Component {function.__name__!r}"
    signature = inspect.signature(function)
    hints = hints_of(function)
    inputs: dict[str, Input] = {}
    outputs: dict[str, Output] = {}
    for parameter in signature.parameters.values():
        annotation = _annotation(parameter, hints, where)
        place = f"{where}, argument {parameter.name!r}"
        if kfp_annotations.is_embedded(annotation):
            continue
        if kfp_annotations.is_output(annotation) or isinstance(annotation, kfp_annotations.OutputPath):
            outputs[parameter.name] = _output(annotation, place)
            continue
        if container:
            _refuse_bare_artifact(annotation, place)
        inputs[parameter.name] = _input(annotation, parameter.default, place)
    returned = {} if container else _returned(hints.get("return", _EMPTY), where)
    for name in returned.keys() & outputs.keys():
        raise AuthoringError(f"{where} has two outputs called {name!r}. Give one of them another name.")
    return _described(Interface(inputs, outputs | returned), function)


def _annotation(parameter: inspect.Parameter, hints: Mapping[str, Any], where: str) -> Any:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise AuthoringTypeError(
            f"{where} takes {'*' * (parameter.kind is parameter.VAR_KEYWORD)}*{parameter.name}: KFP passes named "
            "arguments only. Name each of them in the signature."
        )
    if parameter.name == SINGLE_OUTPUT:
        raise AuthoringError(f"{where}: {SINGLE_OUTPUT!r} is the name of the returned value, and no argument's.")
    if parameter.name not in hints:
        raise AuthoringTypeError(f"{where}, argument {parameter.name!r}: it needs a type annotation.")
    return hints[parameter.name]


def _refuse_bare_artifact(annotation: Any, place: str) -> None:
    is_artifact = kfp_annotations.is_artifact_class(annotation) or kfp_annotations.is_artifact_list(annotation)
    if is_artifact and not kfp_annotations.is_input(annotation):
        raise AuthoringTypeError(
            f"{place}: a container component must say which way an artifact goes. "
            "Write Input[...] or Output[...] around the class."
        )


def _type(annotation: Any, place: str) -> tuple[ParameterType | ArtifactType, bool]:
    """The type, and whether it is a list of artifacts of that type."""
    is_path = isinstance(annotation, (kfp_annotations.InputPath, kfp_annotations.OutputPath))
    bare = annotation.type if is_path else kfp_annotations.strip_marker(annotation)
    if isinstance(bare, str) and "@" in bare:
        return ArtifactType(*bare.split("@", 1)), False
    if kfp_annotations.is_artifact_list(bare):
        return artifact_type(kfp_annotations.list_item(bare), place), True
    if kfp_annotations.is_artifact_class(bare):
        return artifact_type(bare, place), False
    found = parameter_type(bare)
    if found is None:
        raise AuthoringTypeError(
            f"{place}: {_name(bare)} is nothing that KFP can pass. Use str, int, float, bool, list or dict, a Literal "
            "of values of one of these types, an artifact class such as Input[Dataset], or InputPath and OutputPath."
        )
    return found, False


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _input(annotation: Any, default: Any, place: str) -> Input:
    kind, is_list = _type(annotation, place)
    optional = default is not _EMPTY
    if isinstance(kind, ArtifactType):
        if optional and default is not None:
            raise AuthoringError(f"{place}: the default of an artifact can only be None, not {default!r}.")
        return ArtifactInput(kind, is_list, optional)
    if kind in SYSTEM_TYPES:
        return ParameterInput(kind, optional=True)
    declared = ParameterInput(kind, optional, literals=_literals(annotation), annotation=_written(annotation))
    return (
        declared if not optional or default is None else replace(declared, default=_default(default, declared, place))
    )


def _literals(annotation: Any) -> tuple[Json, ...]:
    return get_args(annotation) if kfp_annotations.is_literal(annotation) else ()


def _written(annotation: Any) -> str:
    """A parameter's type as text, by which loops over it tell the types of its items and of their fields."""
    return _name(annotation) if get_origin(annotation) is None else str(annotation)


def _default(default: Any, declared: ParameterInput, place: str) -> Json:
    try:
        fitted = fit(_as_python_would(default, declared.type), declared.type)
    except ValueMismatch as mismatch:
        raise AuthoringTypeError(f"{place}: its default does not fit: {mismatch}.") from mismatch
    if refused := not_allowed(fitted, declared.literals):
        raise AuthoringError(f"{place}: its default {refused}.")
    return fitted


def _as_python_would(default: Any, kind: ParameterType) -> Any:
    """A default that is a bool for a number, or an integer for a bool: KFP takes one for the other there."""
    if isinstance(default, bool) and kind in (ParameterType.NUMBER_INTEGER, ParameterType.NUMBER_DOUBLE):
        return int(default)
    return bool(default) if isinstance(default, int) and kind is ParameterType.BOOLEAN else default


def _output(annotation: Any, place: str) -> Output:
    kind, is_list = _type(annotation, place)
    if isinstance(kind, ArtifactType):
        return ArtifactOutput(kind, is_list)
    return ParameterOutput(kind, annotation=_written(annotation))


def _returned(annotation: Any, where: str) -> dict[str, Output]:
    place = f"{where}, returned value"
    if annotation is _EMPTY or annotation is None or annotation is type(None):
        return {}
    if not kfp_annotations.is_named_tuple(annotation):
        return {SINGLE_OUTPUT: _returned_output(annotation, place)}
    hints = hints_of(annotation)
    if not hints.keys() >= set(annotation._fields):
        raise AuthoringTypeError(
            f"{place}: the fields of {annotation.__name__} have no types. Make it with typing.NamedTuple, as in "
            "NamedTuple('Outputs', [('total', int)])."
        )
    return {name: _returned_output(hints[name], f"{place} {name!r}") for name in annotation._fields}


def _returned_output(annotation: Any, place: str) -> Output:
    if kfp_annotations.is_input(annotation) or kfp_annotations.is_output(annotation):
        raise AuthoringTypeError(
            f"{place}: write the artifact class alone, without Input[...] or Output[...] around it."
        )
    return _output(annotation, place)


def _described(interface: Interface, function: Callable[..., Any]) -> Interface:
    """The interface with what the docstring says of it."""
    text = inspect.getdoc(function)
    if not text:
        return interface
    from docstring_parser import parse  # costs 10 ms, and only documented functions need it

    docstring = parse(text)
    said = {entry.arg_name: entry.description or "" for entry in docstring.params}
    # KFP lets authors describe several outputs by name in the section of the returned value
    returned = {entry.arg_name: entry.description or "" for entry in parse(_returns_as_args(text)).params}
    summary = [part for part in (docstring.short_description, docstring.long_description) if part]
    return Interface(
        {name: replace(item, description=said.get(name, "")) for name, item in interface.inputs.items()},
        {name: replace(item, description=returned.get(name, "")) for name, item in interface.outputs.items()},
        "\n".join(summary).strip(),
    )


def _returns_as_args(text: str) -> str:
    for heading in ("Returns:\n", "Returns\n", "Return:\n", "Return\n"):
        if heading in text:
            return text.replace(heading.strip(), "Args:")
    return ""
