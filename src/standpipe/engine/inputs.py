"""The inputs of a task, from where it stands: constants, outputs of its siblings, inputs of its DAG.

The order is the KFP backend's: a value is looked up, a selector takes its part of it, and that is fitted to the
declared type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from standpipe.errors import StandpipeError
from standpipe.model.expressions import ExpressionError, select
from standpipe.model.plan import Binding, Constant, FromInput, FromTask
from standpipe.model.templates import InputParameter, JobField, Template
from standpipe.model.types import ArtifactInput, Input, Json, ParameterInput, ParameterType
from standpipe.model.values import (
    ArtifactValue,
    Value,
    ValueMismatch,
    as_text,
    fit,
    flattened,
    kind_of,
    not_allowed,
    preview,
)

#: What the names of inputs begin with that the compiler gives to conditions, loops and exit handlers.
_MADE_BY_THE_COMPILER = "pipelinechannel--"


class BindingError(StandpipeError):
    """An input cannot be had; the message says which and why."""


class Scope(Protocol):
    """What a task can see: the inputs of its DAG, and its siblings. What has no value is None."""

    def component_input(self, name: str) -> Value: ...

    def takes(self, name: str) -> bool:
        """Whether the component that the DAG belongs to declares an input."""

    def task_output(self, task: str, output: str) -> Value: ...

    def final_status(self, task: str) -> Json: ...

    def how_ended(self, task: str) -> str:
        """A verb phrase: `failed`, `was skipped`."""


def bind(
    bindings: Mapping[str, Binding], declared: Mapping[str, Input], scope: Scope, field: Callable[[str], str]
) -> dict[str, Value]:
    """The values of all inputs of a task, fitted to their declared types.

    Names that are bound but not declared are kept: a command may refer to them. `field` gives the values of the
    placeholders about the run and the task.

    Raises:
        BindingError: if an input that is not optional has no value, or one has the wrong type, or a selector fails.
    """
    values = {
        name: _look_up(name, binding, scope) for name, binding in bindings.items() if not isinstance(binding, Constant)
    }
    for name, binding in bindings.items():
        if isinstance(binding, Constant):
            values[name] = rendered(binding.value, values, field)
    return {**values, **fit_inputs(values, declared, lambda name: _why_absent(name, bindings.get(name), scope))}


def fit_inputs(
    given: Mapping[str, Value],
    declared: Mapping[str, Input],
    why_absent: Callable[[str], str] = lambda _: "nothing was passed",
) -> dict[str, Value]:
    """The declared inputs, from what was given or their defaults; null only where optional.

    Raises:
        BindingError: if one is missing or has the wrong type.
    """
    return {name: _fit_input(name, given.get(name), declaration, why_absent) for name, declaration in declared.items()}


def _fit_input(name: str, value: Value, declaration: Input, why_absent: Callable[[str], str]) -> Value:
    if value is None and isinstance(declaration, ParameterInput):
        value = declaration.default
    if value is None:
        if declaration.optional:
            return None
        raise BindingError(f"its input {name!r} has no value: {why_absent(name)}, and it is not optional")
    if isinstance(declaration, ArtifactInput):
        return _fit_artifact(name, value, declaration)
    return _fit_parameter(name, value, declaration)


def _fit_parameter(name: str, value: Value, declaration: ParameterInput) -> Json:
    if isinstance(value, ArtifactValue):
        raise BindingError(f"its input {name!r} is a parameter of type {declaration.type}, and an artifact was passed")
    if declaration.type is not ParameterType.LIST:
        value = flattened(value)
    try:
        fitted = fit(value, declaration.type)
    except ValueMismatch as mismatch:
        raise BindingError(f"its input {name!r} does not fit: {mismatch}") from mismatch
    if refused := not_allowed(fitted, declaration.literals):
        raise BindingError(f"its input {name!r} {refused}")
    return fitted


def _fit_artifact(name: str, value: Value, declaration: ArtifactInput) -> Value:
    artifacts = value if isinstance(value, list) else [value]
    if declaration.is_list != isinstance(value, list) or not all(isinstance(a, ArtifactValue) for a in artifacts):
        wanted = f"a list of {declaration.type}" if declaration.is_list else str(declaration.type)
        raise BindingError(f"its input {name!r} wants {wanted}, and {kind_of(value)} was passed")
    return value


def _look_up(name: str, binding: Binding, scope: Scope) -> Value:
    if isinstance(binding, FromTask):
        value = scope.task_output(binding.task, binding.output)
    elif isinstance(binding, FromInput):
        value = scope.component_input(binding.input)
    else:
        assert not isinstance(binding, Constant), "constants were left out by the caller"
        return scope.final_status(binding.task)
    if value is None or not binding.selector:
        return value
    try:
        return select(binding.selector, flattened(value))
    except ExpressionError as error:
        whole = preview(flattened(value))
        raise BindingError(f"its input {name!r} is no part of {whole} that can be had: {error}") from error


def _why_absent(name: str, binding: Binding | None, scope: Scope) -> str:
    if isinstance(binding, FromTask):
        return (
            f"it comes from output {binding.output!r} of task {binding.task!r}, which {scope.how_ended(binding.task)}"
        )
    if isinstance(binding, FromInput) and not scope.takes(binding.input):
        return (
            f"it comes from input {binding.input!r} of what is around it, and there is none. The KFP SDK loses such a "
            "reference in compiling: run the pipeline itself, or compile it with Standpipe"
        )
    if isinstance(binding, FromInput) and scope.component_input(binding.input) is not None:
        return f"{binding.selector} of input {binding.input!r} is null"
    if isinstance(binding, FromInput):
        why = f"it comes from input {binding.input!r} of the pipeline around it, which has none"
        remedy = "; KFP passes no null into a condition, loop or exit handler: give that input a default"
        return why + remedy if name.startswith(_MADE_BY_THE_COMPILER) else why
    return "nothing was passed" if binding is None else "null was passed"


def rendered(value: Json, inputs: Mapping[str, Value], field: Callable[[str], str]) -> Json:
    """A constant with its placeholders replaced. One that is nothing but an input keeps that input's type."""
    if isinstance(value, Template):
        first, *rest = value.parts
        if isinstance(first, InputParameter) and first.name in inputs and not rest:
            return inputs[first.name]
        return "".join(_render_part(part, inputs, field) for part in value.parts)
    if isinstance(value, list):
        return [flattened(rendered(item, inputs, field)) for item in value]
    if isinstance(value, dict):
        return {key: flattened(rendered(item, inputs, field)) for key, item in value.items()}
    return value


def _render_part(part: object, inputs: Mapping[str, Value], field: Callable[[str], str]) -> str:
    if isinstance(part, InputParameter) and part.name in inputs:
        return as_text(flattened(inputs[part.name]))
    if isinstance(part, JobField):
        return field(part.name)
    return str(part)  # what names no input of the task, or means something in a command only, is text here
