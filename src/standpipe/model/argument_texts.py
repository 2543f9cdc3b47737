"""Inputs as text: how they are declared, and what a person types for them, on a command line or into a form."""

from __future__ import annotations

import json

from standpipe.model.json_values import InvalidJson, parse_json, parse_text
from standpipe.model.types import ArtifactInput, Input, Json
from standpipe.model.values import ValueMismatch, preview

#: What is expected for an input, by the name of its type. All other types are JSON objects.
_NOTATIONS = {
    "NUMBER_INTEGER": "an integer",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a JSON list such as [1, 2]",
    "STRUCT": 'a JSON object such as {"a": 1}',
}

#: The longest default value that is shown.
_LONGEST_DEFAULT = 60


def parse_argument(text: str, declared: Input) -> Json:
    """Return the value that a text is for an input: a string, JSON for other types, a path or URI for an artifact.

    The value of an input that is a list of artifacts is whatever the JSON is.

    Raises:
        ValueMismatch: if it is not a value of that type. The message begins with what was expected.
    """
    if isinstance(declared, ArtifactInput):
        return _parse_locations(text) if declared.is_list else text
    try:
        return parse_text(text, declared.type)
    except ValueMismatch as mismatch:
        kind = _NOTATIONS.get(declared.type.value, "a JSON object")
        raise ValueMismatch(
            f"expected {kind} ({declared.type.label}), got {preview(text)}.{_explain(mismatch)}"
        ) from mismatch


def describe_input(name: str, declared: Input) -> str:
    """Return an input as its author would declare it, such as `epochs: int = 3`."""
    label = describe_type(declared)
    if isinstance(declared, ArtifactInput) or declared.default is None:
        return f"{name}: {label} = None" if declared.optional else f"{name}: {label}"
    default = json.dumps(declared.default, ensure_ascii=False)
    return f"{name}: {label} = {default if len(default) <= _LONGEST_DEFAULT else default[:_LONGEST_DEFAULT] + '…'}"


def describe_type(declared: Input) -> str:
    """Return the type of an input as authors write it, such as `int` or `list[Model]`."""
    if isinstance(declared, ArtifactInput):
        return f"list[{declared.type.label}]" if declared.is_list else declared.type.label
    if declared.literals:
        return f"Literal[{', '.join(map(repr, declared.literals))}]"
    return declared.type.label


def _parse_locations(text: str) -> Json:
    try:
        return parse_json(text)
    except InvalidJson as error:
        raise ValueMismatch(f"expected a JSON list of paths or URIs: {error}.") from error


def _explain(mismatch: ValueMismatch) -> str:
    """Return a sentence with the reason why a text is not JSON, or not JSON that a task may get; empty for others."""
    cause = mismatch.__cause__
    return f" {str(cause).replace('the text', 'The text', 1)}." if isinstance(cause, InvalidJson) else ""
