"""Arguments of a run that a person types, on the command line or into a form: text becomes the value of an input."""

from __future__ import annotations

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


def _parse_locations(text: str) -> Json:
    try:
        return parse_json(text)
    except InvalidJson as error:
        raise ValueMismatch(f"expected a JSON list of paths or URIs: {error}.") from error


def _explain(mismatch: ValueMismatch) -> str:
    """Return a sentence with the reason why a text is not JSON, or not JSON that a task may get; empty for others."""
    cause = mismatch.__cause__
    return f" {str(cause).replace('the text', 'The text', 1)}." if isinstance(cause, InvalidJson) else ""
