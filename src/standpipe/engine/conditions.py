"""Conditions of tasks: whether they hold, and the messages about them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from standpipe.model.cluster_differences import SP121, SP126, decides
from standpipe.model.evaluation import holds
from standpipe.model.expressions import Expression, ExpressionError
from standpipe.model.types import ArtifactInput, Input, Json, ParameterType
from standpipe.model.values import Value, flatten, preview, to_text

#: The notation of the KFP compiler for an input; read for messages only.
_REFERENCE = r"inputs\.parameter_values\['([^']*)'\]"

#: The maximum number of characters of a condition in a message.
_MAX_LENGTH = 200


def select_parameters(inputs: Mapping[str, Value], declared: Mapping[str, Input]) -> dict[str, Json]:
    """Return the inputs that a condition can refer to: the parameters that are not null, with their declared types."""
    parameters = {}
    for name, value in inputs.items():
        declaration = declared.get(name)
        if value is not None and not isinstance(declaration, ArtifactInput):
            is_text = declaration is not None and declaration.type is ParameterType.STRING
            parameters[name] = to_text(flatten(value)) if is_text else flatten(value)
    return parameters


@decides(SP121, SP126)
def explain_skip(condition: Expression, parameters: Mapping[str, Json]) -> str:
    """Return why a condition skips its task; empty if the condition holds.

    Raises:
        ExpressionError: if the condition cannot be evaluated, or is neither true nor false. The message holds the
            values of its inputs.
    """
    try:
        if holds(condition, parameters):
            return ""
    except ExpressionError as error:
        raise ExpressionError(
            f"its condition cannot be evaluated: {error}{_list_values(condition, parameters)}"
        ) from error
    text = re.sub(_REFERENCE, lambda reference: _shorten(reference[1]), condition.exact_text or condition.text)
    if len(text) > _MAX_LENGTH:
        text = f"{text[:_MAX_LENGTH]}…"
    return f"its condition is false: {text}{_list_values(condition, parameters)}"


def _list_values(condition: Expression, parameters: Mapping[str, Json]) -> str:
    """Return the values of the inputs that a condition names: `, where n is 3 and s is 'a'`."""
    named = dict.fromkeys(re.findall(_REFERENCE, condition.text))
    shown = [f"{_shorten(name)} is {preview(parameters[name])}" for name in named if name in parameters]
    return ", where " + " and ".join(shown) if shown else ""


def _shorten(name: str) -> str:
    return name.removeprefix("pipelinechannel--")
