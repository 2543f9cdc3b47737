"""Whether the condition of a task holds, and how that is told."""

from __future__ import annotations

import re
from collections.abc import Mapping

from standpipe.model.expressions import Expression, ExpressionError, holds
from standpipe.model.types import ArtifactInput, Input, Json
from standpipe.model.values import Value, flattened, preview

#: How the KFP compiler refers to an input; read for messages only.
_REFERENCE = r"inputs\.parameter_values\['([^']*)'\]"

#: The most characters of a condition that a message holds.
_LONGEST = 200


def parameters_of(inputs: Mapping[str, Value], declared: Mapping[str, Input]) -> dict[str, Json]:
    """What a condition can speak of: a task's parameters; those that are null are not there."""
    return {
        name: flattened(value)
        for name, value in inputs.items()
        if value is not None and not isinstance(declared.get(name), ArtifactInput)
    }


def why_skipped(condition: Expression, parameters: Mapping[str, Json]) -> str:
    """Why a condition skips its task, in words; empty if it holds.

    Raises:
        ExpressionError: if it cannot be evaluated, or is neither true nor false; the message holds the values.
    """
    try:
        if holds(condition, parameters):
            return ""
    except ExpressionError as error:
        raise ExpressionError(f"its condition cannot be decided: {error}{_values(condition, parameters)}") from error
    words = re.sub(_REFERENCE, lambda reference: _short(reference[1]), condition.text)
    if len(words) > _LONGEST:
        words = f"{words[:_LONGEST]}…"
    return f"its condition is false: {words}{_values(condition, parameters)}"


def _values(condition: Expression, parameters: Mapping[str, Json]) -> str:
    """The values of the inputs that a condition names: `, where n is 3 and s is 'a'`."""
    named = dict.fromkeys(re.findall(_REFERENCE, condition.text))
    shown = [f"{_short(name)} is {preview(parameters[name])}" for name in named if name in parameters]
    return ", where " + " and ".join(shown) if shown else ""


def _short(name: str) -> str:
    return name.removeprefix("pipelinechannel--")
