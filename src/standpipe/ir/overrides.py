"""Overrides of a Plan by the arguments of `Compiler.compile`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from standpipe.errors import ArgumentError, AuthoringError, UnsupportedError
from standpipe.model.plan import Plan
from standpipe.model.types import ArtifactInput, Input, Json, ParameterInput, ParameterType
from standpipe.model.values import ValueMismatch, coerce, preview, type_name

_NUMBERS = (ParameterType.NUMBER_INTEGER, ParameterType.NUMBER_DOUBLE)


def override(
    plan: Plan,
    name: str | None = None,
    display_name: str | None = None,
    parameters: Mapping[str, Json] | None = None,
) -> Plan:
    """Return a copy of a Plan with overrides.

    Args:
        plan: the Plan.
        name: the name of the pipeline; None to keep it.
        display_name: the display name of the pipeline; None to keep it.
        parameters: defaults of parameters of the pipeline, by name.

    Raises:
        AuthoringError: if the pipeline has no such parameter.
        ArgumentError: if a value does not have the type of its parameter.
        UnsupportedError: if the input is an artifact, which cannot have a default.
    """
    inputs = {**plan.root.inputs}
    for key, value in (parameters or {}).items():
        inputs[key] = _with_default(plan, key, value)
    return replace(
        plan,
        name=plan.name if name is None else name,
        display_name=plan.display_name if display_name is None else display_name,
        root=replace(plan.root, inputs=inputs),
    )


def _with_default(plan: Plan, name: str, value: Json) -> Input:
    declared = plan.root.inputs.get(name)
    if declared is None:
        known = ", ".join(key for key, item in plan.root.inputs.items() if isinstance(item, ParameterInput)) or "none"
        raise AuthoringError(f"Unknown parameter {name!r} of the pipeline {plan.name!r}: expected one of {known}.")
    if isinstance(declared, ArtifactInput):
        raise UnsupportedError(
            f"The input {name!r} of the pipeline {plan.name!r} is an artifact, and only parameters can have a default. "
            "Pass the artifact when the pipeline runs."
        )
    return declared if value is None else replace(declared, default=_convert_default(plan, name, value, declared))


def _convert_default(plan: Plan, name: str, value: Json, declared: ParameterInput) -> Json:
    try:
        return _convert(value, declared.type)
    except ValueMismatch as mismatch:
        raise ArgumentError(
            f"The parameter {name!r} of the pipeline {plan.name!r} does not fit: {mismatch}."
        ) from mismatch


def _convert(value: Json, declared: ParameterType) -> Json:
    """Convert a default by the rules of the SDK's compiler, which converts booleans to numbers and back."""
    if declared in _NUMBERS and isinstance(value, bool):
        return coerce(int(value), declared)
    if declared is ParameterType.BOOLEAN and isinstance(value, int):
        return bool(value)
    if declared is ParameterType.STRING and not isinstance(value, str):
        raise ValueMismatch(f"expected {declared.label}, got {preview(value)} ({type_name(value)})")
    return coerce(value, declared)
