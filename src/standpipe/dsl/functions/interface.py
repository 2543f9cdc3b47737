"""Read the inputs and outputs of a component from the signature and docstring of its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

from standpipe.dsl.types import artifact_type, hints_of, parameter_type
from standpipe.errors import AuthoringError, AuthoringTypeError
from standpipe.model.frozen import frozen, replace
from standpipe.model.json_values import check_depth
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
from standpipe.model.values import ValueMismatch, coerce, describe_disallowed
from standpipe.worker import annotations as kfp_annotations
from standpipe.worker.annotations import strip_optional
from standpipe.worker.models import dump, is_model, models_in, plain_type

if TYPE_CHECKING:
    import inspect

#: The system passes parameters of these types; callers do not.
SYSTEM_TYPES = (ParameterType.TASK_FINAL_STATUS, ParameterType.TASK_CONFIG)


@frozen
class Interface:
    """The inputs and outputs of a component by name, in the order of the signature, and its description."""

    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]
    description: str = ""


def read_interface(function: Callable[..., Any], *, container: bool = False, subject: str = "Component") -> Interface:
    """Return the interface of a function.

    Args:
        function: the function.
        container: whether it returns a container spec: its return type is not an output then.
        subject: what the function defines, for messages.

    Raises:
        AuthoringTypeError: if an annotation is missing or is not a type that KFP can pass.
        AuthoringError: if a name or a default value is not allowed.
    """
    import inspect  # takes long to import, and programs that define no component do without

    location = f"{subject} {function.__name__!r}"
    signature = inspect.signature(function)
    hints = _plain_hints(hints_of(function), location)
    inputs: dict[str, Input] = {}
    outputs: dict[str, Output] = {}
    for parameter in signature.parameters.values():
        annotation = _annotation(parameter, hints, location)
        argument = f"{location}, argument {parameter.name!r}"
        if kfp_annotations.is_embedded(annotation):
            continue
        if kfp_annotations.is_output(annotation) or isinstance(annotation, kfp_annotations.OutputPath):
            outputs[parameter.name] = _create_output(annotation, argument)
            continue
        if container:
            _check_artifact_marker(annotation, argument)
        inputs[parameter.name] = _create_input(annotation, parameter, argument)
    returned = {} if container else _returned_outputs(hints.get("return"), location)
    for name in returned.keys() & outputs.keys():
        raise AuthoringError(f"{location} has two outputs with the name {name!r}. Rename one of them.")
    return _add_descriptions(Interface(inputs, outputs | returned), function)


def _plain_hints(hints: Mapping[str, Any], location: str) -> dict[str, Any]:
    """Return annotations with the type of its JSON in place of each Pydantic model."""
    try:
        plain = {name: strip_optional(plain_type(hint)) for name, hint in hints.items()}
    except TypeError as error:
        raise AuthoringTypeError(f"{location}: {error}") from error
    for name, hint in hints.items():
        if plain[name] is not hint and not is_model(hint):
            from standpipe.support.notices import warn  # few signatures have such an annotation

            (model, *_) = models_in(hint)
            warn(
                f"{location}: the annotation {hint} of {name!r} contains a Pydantic model. KFP passes plain dicts "
                f"there, and does not import {model.__name__} where the component runs. Define a model for the whole "
                f"value, such as `class Many(RootModel[list[{model.__name__}]]): ...`, or annotate plain dicts."
            )
    return plain


def _annotation(parameter: inspect.Parameter, hints: Mapping[str, Any], location: str) -> Any:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise AuthoringTypeError(
            f"{location} takes {'*' * (parameter.kind is parameter.VAR_KEYWORD)}*{parameter.name}: KFP passes named "
            "arguments only. Name each of them in the signature."
        )
    if parameter.name == SINGLE_OUTPUT:
        raise AuthoringError(f"{location}: {SINGLE_OUTPUT!r} is the name of the returned value. Rename the argument.")
    if parameter.name not in hints:
        raise AuthoringTypeError(f"{location}, argument {parameter.name!r}: the type annotation is missing.")
    return hints[parameter.name]


def _check_artifact_marker(annotation: Any, location: str) -> None:
    is_artifact = kfp_annotations.is_artifact_class(annotation) or kfp_annotations.is_artifact_list(annotation)
    if is_artifact and not kfp_annotations.is_input(annotation):
        raise AuthoringTypeError(
            f"{location}: a container component must declare whether an artifact is an input or an output. Write "
            "Input[...] or Output[...] around the class."
        )


def _parse_type(annotation: Any, location: str) -> tuple[ParameterType | ArtifactType, bool]:
    """Return the type, and whether it is a list of artifacts of that type."""
    is_path = isinstance(annotation, (kfp_annotations.InputPath, kfp_annotations.OutputPath))
    bare = annotation.type if is_path else kfp_annotations.strip_marker(annotation)
    if isinstance(bare, str) and "@" in bare:
        return ArtifactType(*bare.split("@", 1)), False
    if kfp_annotations.is_artifact_list(bare):
        return artifact_type(kfp_annotations.list_item(bare), location), True
    if kfp_annotations.is_artifact_class(bare):
        return artifact_type(bare, location), False
    parameter = parameter_type(bare)
    if parameter is None:
        raise AuthoringTypeError(
            f"{location}: KFP cannot pass {_type_name(bare)}. Use str, int, float, bool, list or dict, a Literal of "
            "values of one of these types, a Pydantic model, an artifact class such as Input[Dataset], or InputPath "
            "and OutputPath."
        )
    return parameter, False


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _create_input(annotation: Any, parameter: inspect.Parameter, location: str) -> Input:
    input_type, is_list = _parse_type(annotation, location)
    default = parameter.default
    optional = default is not parameter.empty
    if isinstance(input_type, ArtifactType):
        if optional and default is not None:
            raise AuthoringError(f"{location}: the default value of an artifact can only be None, got {default!r}.")
        return ArtifactInput(input_type, is_list, optional)
    if input_type in SYSTEM_TYPES:
        return ParameterInput(input_type, optional=True)
    declared = ParameterInput(
        input_type, optional, literals=_literals(annotation), annotation=_format_annotation(annotation)
    )
    if not optional or default is None:
        return declared
    return replace(declared, default=_convert_default(default, declared, location))


def _literals(annotation: Any) -> tuple[Json, ...]:
    return get_args(annotation) if kfp_annotations.is_literal(annotation) else ()


def _format_annotation(annotation: Any) -> str:
    """Return a parameter's type as text. Loops read the types of their items and fields from it."""
    return _type_name(annotation) if get_origin(annotation) is None else str(annotation)


def _convert_default(default: Any, declared: ParameterInput, location: str) -> Json:
    try:
        check_depth(default)
        value = coerce(_convert_bool(dump(default), declared.type), declared.type)
    except ValueMismatch as mismatch:
        raise AuthoringTypeError(f"{location}: invalid default value: {mismatch}.") from mismatch
    if problem := describe_disallowed(value, declared.literals):
        raise AuthoringError(f"{location}: the default value {problem}.")
    return value


def _convert_bool(default: Any, to: ParameterType) -> Any:
    """Convert a default value that is a bool for a number, or an integer for a bool, as KFP does."""
    if isinstance(default, bool) and to in (ParameterType.NUMBER_INTEGER, ParameterType.NUMBER_DOUBLE):
        return int(default)
    return bool(default) if isinstance(default, int) and to is ParameterType.BOOLEAN else default


def _create_output(annotation: Any, location: str) -> Output:
    output_type, is_list = _parse_type(annotation, location)
    if isinstance(output_type, ArtifactType):
        return ArtifactOutput(output_type, is_list)
    return ParameterOutput(output_type, annotation=_format_annotation(annotation))


def _returned_outputs(annotation: Any, component: str) -> dict[str, Output]:
    location = f"{component}, returned value"
    if annotation is None or annotation is type(None):
        return {}
    if not kfp_annotations.is_named_tuple(annotation):
        return {SINGLE_OUTPUT: _returned_output(annotation, location)}
    hints = _plain_hints(hints_of(annotation), location)
    if not hints.keys() >= set(annotation._fields):
        raise AuthoringTypeError(
            f"{location}: the fields of {annotation.__name__} have no types. Use typing.NamedTuple, such as "
            "NamedTuple('Outputs', [('total', int)])."
        )
    return {name: _returned_output(hints[name], f"{location} {name!r}") for name in annotation._fields}


def _returned_output(annotation: Any, location: str) -> Output:
    if kfp_annotations.is_input(annotation) or kfp_annotations.is_output(annotation):
        raise AuthoringTypeError(f"{location}: write the artifact class without Input[...] or Output[...] around it.")
    return _create_output(annotation, location)


def _add_descriptions(interface: Interface, function: Callable[..., Any]) -> Interface:
    """Return the interface with the descriptions in the function's docstring."""
    from inspect import getdoc  # as above

    text = getdoc(function)
    if not text:
        return interface
    from docstring_parser import parse  # costs 10 ms, and only documented functions need it

    docstring = parse(text)
    arguments = {entry.arg_name: entry.description or "" for entry in docstring.params}
    # in KFP, the section of the returned value may describe several outputs by name
    returned = {entry.arg_name: entry.description or "" for entry in parse(_returns_as_args(text)).params}
    summary = [part for part in (docstring.short_description, docstring.long_description) if part]
    return Interface(
        {name: replace(item, description=arguments.get(name, "")) for name, item in interface.inputs.items()},
        {name: replace(item, description=returned.get(name, "")) for name, item in interface.outputs.items()},
        "\n".join(summary).strip(),
    )


def _returns_as_args(text: str) -> str:
    for heading in ("Returns:\n", "Returns\n", "Return:\n", "Return\n"):
        if heading in text:
            return text.replace(heading.strip(), "Args:")
    return ""
