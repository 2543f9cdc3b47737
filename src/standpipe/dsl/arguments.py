"""Check the arguments of a component's call, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from standpipe.dsl.functions.interface import SYSTEM_TYPES
from standpipe.dsl.tracing.channels import (
    LoopField,
    LoopParameter,
    PipelineChannel,
    describe_channel,
    describe_type,
    describe_value,
)
from standpipe.dsl.tracing.marks import has_marks
from standpipe.dsl.tracing.tasks import PipelineTask, TaskComponent
from standpipe.dsl.types import are_compatible, artifact_type, constant_type
from standpipe.errors import AuthoringError, AuthoringTypeError, InconsistentTypeException
from standpipe.model.json_values import check_depth, check_json
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Input,
    Output,
    ParameterInput,
    ParameterType,
    is_required,
)
from standpipe.model.values import ValueMismatch, describe_disallowed
from standpipe.worker.artifacts import Artifact
from standpipe.worker.models import dump


def check_arguments(
    component: TaskComponent, args: Sequence[Any], kwargs: Mapping[str, Any], *, traced: bool
) -> dict[str, Any]:
    """Return the arguments of a call, without those that are None for an optional input (as if they were left out).

    Pydantic models become the JSON that they are dumped to.

    Args:
        component: the component that is called.
        args: the positional arguments, of which there must be none.
        kwargs: the arguments by name.
        traced: whether the call creates a task of a pipeline. Otherwise, artifacts may be passed as objects.

    Raises:
        AuthoringTypeError: if an argument is positional, unknown or missing.
        InconsistentTypeException: if its type is not the type of the input.
        AuthoringError: if KFP cannot pass a value of its type.
    """
    subject = f"{'Pipeline' if component.executor is None else 'Component'} {component.name!r}"
    if args:
        raise AuthoringTypeError(
            f"{subject} was called with the positional argument {describe_value(args[0])}: KFP takes named arguments "
            "only."
        )
    inputs = {key: declared for key, declared in component.inputs.items() if declared.type not in SYSTEM_TYPES}
    for key in kwargs.keys() & (component.inputs.keys() - inputs.keys()):
        raise AuthoringTypeError(
            f"{subject}, input {key!r} cannot be passed: KFP fills in a {component.inputs[key].type.label} when the "
            "task runs. To pass on one that a pipeline has, declare the input as dict."
        )
    _check_names(subject, kwargs, inputs)
    arguments = {key: dump(value) for key, value in kwargs.items() if value is not None or not inputs[key].optional}
    for key, value in arguments.items():
        _check_argument(f"{subject}, input {key!r}", value, inputs[key], traced)
    return arguments


def _check_names(subject: str, names: Iterable[str], inputs: Mapping[str, Input]) -> None:
    for key in names:
        if key not in inputs:
            from standpipe.support.near_misses import suggest  # only a mistake needs it

            known = ", ".join(inputs) or "none"
            raise AuthoringTypeError(f"{subject} has no input {key!r}.{suggest(key, inputs)} Its inputs are: {known}.")
    missing = [key for key, declared in inputs.items() if key not in names and is_required(declared)]
    if missing:
        raise AuthoringTypeError(
            f"{subject} is missing {len(missing)} required input{'s'[: len(missing) > 1]}: {', '.join(missing)}."
        )


def _check_argument(location: str, value: Any, declared: Input, traced: bool) -> None:
    if isinstance(value, PipelineChannel):
        if not traced:
            raise AuthoringError(
                f"{location}: got the {describe_channel(value)}, which has a value only when its pipeline runs, and "
                "this call is outside of a pipeline. Move the call into the pipeline function."
            )
        check_channel(location, value, declared)
    elif isinstance(declared, ArtifactInput):
        _check_artifacts(location, value, declared, traced)
    else:
        _check_constant(location, value, declared, traced)


def check_channel(location: str, channel: PipelineChannel, declared: Input | Output) -> None:
    """Check that the type of a channel is that of an input or output.

    As in the KFP SDK (2.17.3, `dsl/types/type_utils.py`), items of loops whose type is not declared are accepted
    everywhere, and a final status or a TaskConfig that a pipeline passes on is a dict.

    Args:
        location: the location of the input or output, for the message.
        channel: the channel.
        declared: the input or output.

    Raises:
        InconsistentTypeException: if the types differ.
    """
    if isinstance(channel, (LoopParameter, LoopField)) and not channel.type_annotation:
        return
    channel_type = ParameterType.STRUCT if channel.declared_type in SYSTEM_TYPES else channel.declared_type
    expects_list = isinstance(declared, (ArtifactInput, ArtifactOutput)) and declared.is_list
    fits = (
        are_compatible(channel_type, declared.type) and channel.is_artifact_list == expects_list
        if isinstance(channel_type, ArtifactType) and isinstance(declared.type, ArtifactType)
        else channel_type == declared.type
    )
    if not fits:
        raise InconsistentTypeException(
            f"{location}: expected {f'List[{declared.type.label}]' if expects_list else declared.type.label}, got the "
            f"{describe_channel(channel)} of type {describe_type(channel)}."
        )


def _check_constant(location: str, value: Any, declared: ParameterInput, traced: bool) -> None:
    value_type = constant_type(value)
    if value_type is None:
        raise AuthoringError(
            f"{location}: expected {declared.type.label}, got {describe_value(value)} of type {type(value).__name__}. "
            f"{_suggest_argument(value)}"
        )
    # The KFP SDK does not compile such a pipeline, but in JSON, the arguments of a run, both are numbers.
    are_numbers = (value_type, declared.type) == (ParameterType.NUMBER_INTEGER, ParameterType.NUMBER_DOUBLE)
    if value_type != declared.type and (traced or not are_numbers):
        raise InconsistentTypeException(
            f"{location}: expected {declared.type.label}, got {describe_value(value)} of type {value_type.label}."
        )
    if problem := describe_disallowed(value, declared.literals):
        raise AuthoringError(f"{location} {problem}.")
    if isinstance(value, (list, dict, float, int)):
        try:
            check_depth(value)
            check_json(_replace_channels_with_text(value))
        except ValueMismatch as mismatch:
            raise AuthoringError(f"{location} cannot be passed: {mismatch}.") from mismatch


def _suggest_argument(value: object) -> str:
    if isinstance(value, PipelineTask):
        return "Pass one of the task's outputs: .output or .outputs['name']."
    return "Convert it to str, int, float, bool, list or dict; subclasses of these types cannot be passed."


def _replace_channels_with_text(value: Any) -> Any:
    """Return the value with text in place of the channels in it. Keys of dicts cannot be channels."""
    if isinstance(value, PipelineChannel):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_replace_channels_with_text(item) for item in value]
    if isinstance(value, dict):
        for key in value:
            if isinstance(key, PipelineChannel) or (isinstance(key, str) and has_marks(key)):
                raise ValueMismatch("the key of a dict is a value that is known only when the pipeline runs")
        return {key: _replace_channels_with_text(item) for key, item in value.items()}
    return value


def _check_artifacts(location: str, value: Any, declared: ArtifactInput, traced: bool) -> None:
    expected = f"a list of {declared.type.label}" if declared.is_list else declared.type.label
    problem = f"{location}: expected {expected}, got {describe_value(value)} of type {type(value).__name__}."
    if traced:
        error = AuthoringError if constant_type(value) is None else InconsistentTypeException
        raise error(f"{problem} In a pipeline, an artifact comes from another task or from an input of the pipeline.")
    items = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, (list, tuple)) != declared.is_list or not all(isinstance(item, Artifact) for item in items):
        raise InconsistentTypeException(
            f"{problem} Pass an output of an earlier call, or an artifact such as dsl.Dataset(uri='data.csv')."
        )
    for artifact in items:
        actual = artifact_type(type(artifact), location)
        if not are_compatible(actual, declared.type):
            raise InconsistentTypeException(f"{location}: expected {expected}, got an artifact of type {actual.label}.")
