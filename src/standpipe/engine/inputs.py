"""The inputs of a task: constants, outputs of other tasks of its DAG, inputs of its DAG.

The order is the KFP backend's: a value is looked up, a selector takes a part of it, and the result is fitted to the
declared type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from standpipe.errors import StandpipeError
from standpipe.model.cluster_differences import SP106, SP109, SP114, SP117, SP124, decides
from standpipe.model.evaluation import select
from standpipe.model.expressions import ExpressionError
from standpipe.model.plan import Binding, Constant, FromInput, FromTask
from standpipe.model.templates import InputParameter, JobField, Template, parse_value
from standpipe.model.types import ArtifactInput, Input, Json, ParameterInput, ParameterType
from standpipe.model.values import (
    ArtifactValue,
    Value,
    ValueMismatch,
    coerce,
    describe_disallowed,
    flatten,
    preview,
    to_text,
    type_name,
)

#: The prefix of the inputs that the compiler adds to conditions, loops and exit handlers.
_COMPILER_PREFIX = "pipelinechannel--"


class InputError(StandpipeError):
    """An input, or a resource request, cannot be resolved. The message names it and says why."""


class Scope(Protocol):
    """The values that a task can refer to. A missing value is None."""

    def get_input(self, name: str) -> Value:
        """Return the value of an input of the DAG."""

    def declares_input(self, name: str) -> bool:
        """Return whether the component of the DAG declares an input."""

    def get_output(self, task: str, output: str) -> Value:
        """Return the value of an output of a task."""

    def get_final_status(self, task: str) -> Json:
        """Return KFP's `PipelineTaskFinalStatus` of a task as JSON."""

    def describe_end(self, task: str) -> str:
        """Return how a task ended, as a verb phrase: `failed`, `was skipped`."""


def resolve_inputs(
    bindings: Mapping[str, Binding],
    declared: Mapping[str, Input],
    scope: Scope,
    get_field: Callable[[str], str],
    *,
    is_group: bool = False,
) -> dict[str, Value]:
    """Return the values of all inputs of a task, fitted to their declared types.

    Inputs that are bound but not declared are kept: a command may refer to them. Inputs that the compiler has added to
    a group are kept as they are where they are declared as text: the compiler declares the items of an untyped list as
    text, and the tasks that use them declare better types.

    Args:
        bindings: where the value of each input comes from.
        declared: the inputs that the component declares.
        scope: the values that the task can refer to.
        get_field: returns the value of a placeholder about the run or the task.
        is_group: whether the task is a DAG, or a loop over one.

    Raises:
        InputError: if a required input has no value, a value has the wrong type, or a selector fails.
    """
    values: dict[str, Value] = {}
    constants: dict[str, Json] = {}
    for name, binding in bindings.items():
        if isinstance(binding, Constant):
            constants[name] = binding.value
        else:
            values[name] = _look_up(name, binding, scope)
    for name, constant in constants.items():  # which may refer to the others
        values[name] = render_constant(constant, values, get_field)

    def explain(name: str) -> str:
        return _explain_missing(name, bindings.get(name), scope)

    fitted = fit_inputs(values, declared, get_field, explain)
    if is_group:
        fitted.update(_find_untyped(values, declared))
    return fitted if fitted.keys() >= values.keys() else {**values, **fitted}


def _find_untyped(values: Mapping[str, Value], declared: Mapping[str, Input]) -> Iterator[tuple[str, Value]]:
    """Yield the values of inputs that the compiler has added and declared as text, although they are not text."""
    for name, value in values.items():
        if value is not None and not isinstance(value, str) and name.startswith(_COMPILER_PREFIX):
            declaration = declared.get(name)
            if isinstance(declaration, ParameterInput) and declaration.type is ParameterType.STRING:
                yield name, value


def fit_inputs(
    values: Mapping[str, Value],
    declared: Mapping[str, Input],
    get_field: Callable[[str], str],
    explain_missing: Callable[[str], str] = lambda _: "nothing was passed",
) -> dict[str, Value]:
    """Return the declared inputs: their values, or else their defaults; null only for optional inputs.

    Values are data. In defaults, which are constants of the author, placeholders about the run and the task are
    replaced, as in `kfp.local` (`local/placeholder_utils.py`, 2.17.3).

    Args:
        values: the values by the names of inputs.
        declared: the inputs that the component declares.
        get_field: returns the value of a placeholder about the run or the task.
        explain_missing: returns why an input has no value, for the error.

    Raises:
        InputError: if a required input has no value, or a value has the wrong type.
    """
    return {
        name: _fit_input(name, values.get(name), declaration, get_field, explain_missing)
        for name, declaration in declared.items()
    }


@decides(SP114, SP124)
def _fit_input(
    name: str,
    value: Value,
    declaration: Input,
    get_field: Callable[[str], str],
    explain_missing: Callable[[str], str],
) -> Value:
    if value is None:
        if isinstance(declaration, ParameterInput):
            value = render_constant(parse_value(declaration.default), {}, get_field)
        if value is None:
            if declaration.optional:
                return None
            raise InputError(f"its input {name!r} has no value: {explain_missing(name)}, and it is not optional")
    if isinstance(declaration, ArtifactInput):
        return _fit_artifact(name, value, declaration)
    return _fit_parameter(name, value, declaration)


@decides(SP117)
def _fit_parameter(name: str, value: Value, declaration: ParameterInput) -> Json:
    if isinstance(value, ArtifactValue):
        raise InputError(
            f"its input {name!r} is invalid: expected a parameter of type {declaration.type.label}, got an artifact"
        )
    if declaration.type is not ParameterType.LIST:
        value = flatten(value)
    try:
        fitted = coerce(value, declaration.type)
    except ValueMismatch as mismatch:
        raise InputError(f"its input {name!r} is invalid: {mismatch}") from mismatch
    if declaration.literals and (refused := describe_disallowed(fitted, declaration.literals)):
        raise InputError(f"its input {name!r} {refused}")
    return fitted


def _fit_artifact(name: str, value: Value, declaration: ArtifactInput) -> Value:
    artifacts = value if isinstance(value, list) else [value]
    if declaration.is_list != isinstance(value, list) or not all(isinstance(a, ArtifactValue) for a in artifacts):
        expected = f"a list of {declaration.type.label}" if declaration.is_list else declaration.type.label
        raise InputError(f"its input {name!r} is invalid: expected {expected}, got {type_name(value)}")
    return value


def _look_up(name: str, binding: Binding, scope: Scope) -> Value:
    if isinstance(binding, FromTask):
        value = scope.get_output(binding.task, binding.output)
    elif isinstance(binding, FromInput):
        value = scope.get_input(binding.input)
    else:
        assert not isinstance(binding, Constant), "the caller renders constants"
        return scope.get_final_status(binding.task)
    if value is None or not binding.selector:
        return value
    try:
        return select(binding.selector, flatten(value))
    except ExpressionError as error:
        whole = preview(flatten(value))
        raise InputError(f"its input {name!r} cannot be selected from {whole}: {error}") from error


def _explain_missing(name: str, binding: Binding | None, scope: Scope) -> str:
    if isinstance(binding, FromTask):
        end = scope.describe_end(binding.task)
        return f"it comes from output {binding.output!r} of task {binding.task!r}, which {end}"
    if isinstance(binding, FromInput) and not scope.declares_input(binding.input):
        return (
            f"it comes from input {binding.input!r} of the enclosing component, which does not declare it. The KFP SDK "
            "loses such a reference when it compiles: run the pipeline itself, or compile it with Standpipe"
        )
    if isinstance(binding, FromInput) and scope.get_input(binding.input) is not None:
        return f"{binding.selector} of input {binding.input!r} is null"
    if isinstance(binding, FromInput):
        why = f"it comes from input {binding.input!r} of the enclosing pipeline, which has no value"
        hint = "; KFP passes no null into a condition, loop or exit handler: give that input a default"
        return why + hint if name.startswith(_COMPILER_PREFIX) else why
    return "nothing was passed" if binding is None else "null was passed"


@decides(SP106, SP109)
def render_constant(value: Json, inputs: Mapping[str, Value], get_field: Callable[[str], str]) -> Json:
    """Return a constant with its placeholders replaced. A placeholder alone keeps the type of its input."""
    if isinstance(value, Template):
        first, *rest = value.parts
        if isinstance(first, InputParameter) and first.name in inputs and not rest:
            return inputs[first.name]
        return "".join(_render_part(part, inputs, get_field) for part in value.parts)
    if isinstance(value, list):
        return [flatten(render_constant(item, inputs, get_field)) for item in value]
    if isinstance(value, dict):
        return {key: flatten(render_constant(item, inputs, get_field)) for key, item in value.items()}
    return value


def _render_part(part: object, inputs: Mapping[str, Value], get_field: Callable[[str], str]) -> str:
    if isinstance(part, InputParameter) and part.name in inputs:
        return to_text(flatten(inputs[part.name]))
    if isinstance(part, JobField):
        return get_field(part.name) or str(part)  # such as the path of a workspace, in a run without one
    return str(part)  # any other placeholder is for commands only, and is text here
