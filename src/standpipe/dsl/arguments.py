"""The arguments of a component's call, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from standpipe.dsl.functions.interface import SYSTEM_TYPES
from standpipe.dsl.tracing.channels import LoopField, LoopParameter, PipelineChannel, has_marks
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.dsl.types import are_compatible, artifact_type, constant_type
from standpipe.errors import AuthoringError, AuthoringTypeError, InconsistentTypeException
from standpipe.inside.artifacts import Artifact
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Input,
    Output,
    ParameterInput,
    ParameterType,
)
from standpipe.model.values import ValueMismatch, check_json, not_allowed, preview

if TYPE_CHECKING:
    from standpipe.dsl.components import BaseComponent


def check_arguments(
    component: BaseComponent, args: Sequence[Any], kwargs: Mapping[str, Any], *, traced: bool
) -> dict[str, Any]:
    """The arguments of a call, without those that are None for an optional input (the same as leaving them out).

    Args:
        component: what is called.
        args: positional arguments, of which there must be none.
        kwargs: the arguments by name.
        traced: whether the call makes a task of a pipeline; otherwise artifacts may be passed as objects.

    Raises:
        AuthoringTypeError: if an argument is positional, unknown or missing.
        InconsistentTypeException: if it is of another type than the input.
        AuthoringError: if it is nothing that KFP can pass.
    """
    name = component.name
    if args:
        raise AuthoringTypeError(
            f"Component {name!r} was called with {len(args)} positional arguments: KFP takes named arguments only."
        )
    public = {key: declared for key, declared in component.inputs.items() if declared.type not in SYSTEM_TYPES}
    _check_names(name, kwargs, public)
    given = {key: value for key, value in kwargs.items() if value is not None or not public[key].optional}
    for key, value in given.items():
        _check(f"Component {name!r}, input {key!r}", value, public[key], traced)
    return given


def _check_names(component: str, given: Iterable[str], public: Mapping[str, Input]) -> None:
    for key in given:
        if key not in public:
            raise AuthoringTypeError(
                f"Component {component!r} has no input {key!r}. Its inputs are: {', '.join(public) or 'none'}."
            )
    missing = [key for key, declared in public.items() if key not in given and _is_required(declared)]
    if missing:
        raise AuthoringTypeError(
            f"Component {component!r} is missing {len(missing)} required input{'s'[: len(missing) > 1]}: "
            f"{', '.join(missing)}."
        )


def _is_required(declared: Input) -> bool:
    """Whether an argument must be given. What got its default from `Compiler.compile` need not be called optional."""
    return not declared.optional and getattr(declared, "default", None) is None


def _check(where: str, value: Any, declared: Input, traced: bool) -> None:
    if isinstance(value, PipelineChannel):
        if not traced:
            raise AuthoringError(
                f"{where}: the {value.described} was passed to it, which has a value only when its pipeline runs, and "
                "this call is in no pipeline. Make the call in the pipeline's function."
            )
        check_channel(where, value, declared)
    elif isinstance(declared, ArtifactInput):
        _check_artifacts(where, value, declared, traced)
    else:
        _check_constant(where, value, declared, traced)


def check_channel(where: str, given: PipelineChannel, wanted: Input | Output) -> None:
    """Raises InconsistentTypeException unless the channel's type is the wanted one.

    What a loop gives whose items' type nobody wrote passes for everything, as with the KFP SDK.
    """
    if isinstance(given, (LoopParameter, LoopField)) and not given.written:
        return
    wants_list = isinstance(wanted, (ArtifactInput, ArtifactOutput)) and wanted.is_list
    fits = (
        are_compatible(given.channel_type, wanted.type) and given.is_artifact_list == wants_list
        if isinstance(given.channel_type, ArtifactType) and isinstance(wanted.type, ArtifactType)
        else given.channel_type == wanted.type
    )
    if not fits:
        raise InconsistentTypeException(
            f"{where} is of type {f'List[{wanted.type}]' if wants_list else wanted.type}, "
            f"and {given.described}, which is of type {given.shown_type}, was passed to it."
        )


def _check_constant(where: str, value: Any, declared: ParameterInput, traced: bool) -> None:
    given = constant_type(value)
    if given is None:
        raise AuthoringError(
            f"{where} is of type {declared.type}, and {preview(value)}, a {type(value).__name__}, was passed to it. "
            f"{_how_to_pass(value)}"
        )
    if (given, declared.type) == (ParameterType.NUMBER_INTEGER, ParameterType.NUMBER_DOUBLE) and not traced:
        return  # the KFP SDK compiles no such pipeline, but a run's arguments are as exact as JSON is
    if given != declared.type:
        raise InconsistentTypeException(
            f"{where} is of type {declared.type}, and {preview(value)}, which is of type {given}, was passed to it."
        )
    if refused := not_allowed(value, declared.literals):
        raise AuthoringError(f"{where} {refused}.")
    if isinstance(value, (list, dict, float)):
        try:
            check_json(_without_channels(value))
        except ValueMismatch as mismatch:
            raise AuthoringError(f"{where} cannot be passed on: {mismatch}.") from mismatch


def _how_to_pass(value: object) -> str:
    if isinstance(value, PipelineTask):
        return "Pass one of the task's outputs: .output or .outputs['name']."
    return "Convert it: arguments are of the types str, int, float, bool, list and dict, and of no subclass of them."


def _without_channels(value: Any) -> Any:
    """The value with text in place of the channels in it; the keys of its dicts are no place for them."""
    if isinstance(value, PipelineChannel):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_without_channels(item) for item in value]
    if isinstance(value, dict):
        for key in value:
            if isinstance(key, PipelineChannel) or (isinstance(key, str) and has_marks(key)):
                raise ValueMismatch("the key of a dict is a value that is known only when the pipeline runs")
        return {key: _without_channels(item) for key, item in value.items()}
    return value


def _check_artifacts(where: str, value: Any, declared: ArtifactInput, traced: bool) -> None:
    wanted = f"a list of {declared.type}" if declared.is_list else str(declared.type)
    if traced:
        error = AuthoringError if constant_type(value) is None else InconsistentTypeException
        raise error(
            f"{where} wants {wanted}, and {preview(value)}, a {type(value).__name__}, was passed to it. "
            "In a pipeline an artifact comes from another task or from an input of the pipeline."
        )
    given = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, (list, tuple)) != declared.is_list or not all(isinstance(item, Artifact) for item in given):
        raise InconsistentTypeException(
            f"{where} wants {wanted}, and {preview(value)}, a {type(value).__name__}, was passed to it."
        )
    for artifact in given:
        if not are_compatible(artifact_type(type(artifact), where), declared.type):
            raise InconsistentTypeException(
                f"{where} wants {wanted}, and an artifact of type {artifact.schema_title} was passed to it."
            )
