"""The form of a new run: a field for each input of a pipeline, and the arguments that its fields are filled in with."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from standpipe.history import Artifact
from standpipe.model.argument_texts import parse_argument
from standpipe.model.frozen import field, frozen
from standpipe.model.types import ArtifactInput, Input, Json, ParameterInput, ParameterType, is_required
from standpipe.model.values import ValueMismatch, describe_disallowed

#: What precedes the name of an input in the names of fields.
PREFIX = "input:"

#: The inputs that the system fills in while the pipeline runs.
_SYSTEM_TYPES = (ParameterType.TASK_FINAL_STATUS, ParameterType.TASK_CONFIG)

_JSON_TYPES = (ParameterType.LIST, ParameterType.STRUCT)

#: A text that is longer, or has several lines, has a field of several lines.
_LONG = 80

#: The most characters of a value that a field shows.
_MAX_TEXT = 100_000

_MISSING = "A value is required."
_LOST = "The value of the earlier run held a secret, which the run store does not keep. Enter it again."
_KEPT = "The value of the earlier run is too long to show here. Leave the field empty to keep it."


@frozen
class Field:
    """A field of the form.

    `kind` is `text`, `lines`, `integer`, `number`, `checkbox`, `choice`, `json`, `location` or `locations`. `text` is
    what the field contains; that of a checkbox is `true` or `false`. `type` is the type as authors write it. `default`
    is shown unless the field contains it.
    """

    name: str
    number: int
    kind: str
    type: str
    text: str
    default: str = ""
    has_default: bool = False
    description: str = ""
    is_required: bool = False
    choices: tuple[str, ...] = ()
    note: str = ""
    error: str = ""

    @property
    def field_name(self) -> str:
        """The name of the field in the form."""
        return f"{PREFIX}{self.name}"


@frozen
class Earlier:
    """The inputs of an earlier run that a new one begins with, and the names of those that have lost a secret.

    The inputs are records of `history`.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    redacted: Collection[str] = ()


def make_fields(
    declared: Mapping[str, Input],
    earlier: Earlier,
    texts: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> tuple[Field, ...]:
    """Return the fields for the inputs of a pipeline.

    Args:
        declared: the inputs.
        earlier: those of the run that the new one begins with.
        texts: what the user has filled in, by the names of inputs; None before.
        errors: what is wrong with that, by the names of inputs.
    """
    return tuple(
        _make_field(
            name,
            number,
            each,
            text=_first_text(name, each, earlier) if texts is None else _sent_text(texts.get(name, ""), each),
            note=_note(name, each, earlier),
            error=(errors or {}).get(name, ""),
        )
        for number, (name, each) in enumerate(_askable(declared).items())
    )


def parse_fields(
    declared: Mapping[str, Input], texts: Mapping[str, str], earlier: Earlier
) -> tuple[dict[str, Json], dict[str, str]]:
    """Return the arguments that the user has filled in, and what is wrong, both by the names of inputs.

    Inputs that have their default, and optional ones that are empty, are left out.

    Args:
        declared: the inputs.
        texts: what the user has filled in, by the names of inputs.
        earlier: the inputs of the run that the new one begins with.
    """
    arguments: dict[str, Json] = {}
    errors: dict[str, str] = {}
    for name, each in _askable(declared).items():
        text = _sent_text(texts.get(name, ""), each)
        try:
            if _is_unchanged(text, name, each, earlier):
                arguments[name] = earlier.inputs[name]
                continue
            if not text and not _may_be_empty(each):
                if is_required(each) or name in earlier.redacted:
                    errors[name] = _LOST if name in earlier.redacted else _MISSING
                continue
            if not _is_default(text, each) or name in earlier.redacted:
                arguments[name] = _parse(text, each)
        except ValueMismatch as mismatch:
            errors[name] = _sentence(str(mismatch))
    return arguments, errors


def _sent_text(text: str, declared: Input) -> str:
    """Return the text of a field as a browser has sent it: with other ends of lines, and nothing for an empty box."""
    return text.replace("\r\n", "\n") or ("false" if _kind(declared) == "checkbox" else "")


def _askable(declared: Mapping[str, Input]) -> dict[str, Input]:
    """Return the inputs that a user can fill in, the required ones first."""
    inputs = {name: each for name, each in declared.items() if each.type not in _SYSTEM_TYPES}
    return dict(sorted(inputs.items(), key=lambda pair: not is_required(pair[1])))


def _make_field(name: str, number: int, declared: Input, *, text: str, note: str, error: str) -> Field:
    is_list = isinstance(declared, ArtifactInput) and declared.is_list
    kind = _kind(declared)
    return Field(
        name=name,
        number=number,
        kind="lines" if kind == "text" and (len(text) > _LONG or "\n" in text) else kind,
        type=f"list of {declared.type.label}" if is_list else declared.type.label,
        text=text,
        default="" if _is_default(text, declared) else _default_text(declared, is_compact=True),
        has_default=isinstance(declared, ParameterInput) and declared.default is not None,
        description=declared.description,
        is_required=is_required(declared) and kind != "checkbox",
        choices=_choices(declared),
        note=note,
        error=error,
    )


def _kind(declared: Input) -> str:
    if isinstance(declared, ArtifactInput):
        return "locations" if declared.is_list else "location"
    if declared.literals or _may_be_unset(declared):
        return "choice"
    kinds = {
        ParameterType.BOOLEAN: "checkbox",
        ParameterType.NUMBER_INTEGER: "integer",
        ParameterType.NUMBER_DOUBLE: "number",
        ParameterType.LIST: "json",
        ParameterType.STRUCT: "json",
    }
    return kinds.get(declared.type, "text")


def _may_be_unset(declared: ParameterInput) -> bool:
    """Return whether a boolean is neither true nor false by default, for which a checkbox has no state."""
    return declared.type is ParameterType.BOOLEAN and declared.optional and declared.default is None


def _choices(declared: Input) -> tuple[str, ...]:
    if not isinstance(declared, ParameterInput) or _kind(declared) != "choice":
        return ()
    values = declared.literals or (True, False)
    is_open = declared.default is None  # the user has to choose, or may leave it out
    return (*([""] if is_open else []), *(_text(value, declared) for value in values))


def _first_text(name: str, declared: Input, earlier: Earlier) -> str:
    if name in earlier.redacted or _is_too_long(name, declared, earlier):
        return ""
    value = earlier.inputs.get(name)
    return _default_text(declared) if value is None else _text(value, declared)


def _note(name: str, declared: Input, earlier: Earlier) -> str:
    if name in earlier.redacted:
        return _LOST
    return _KEPT if _is_too_long(name, declared, earlier) else ""


def _is_too_long(name: str, declared: Input, earlier: Earlier) -> bool:
    value = earlier.inputs.get(name)
    return isinstance(value, (str, list, dict)) and len(_text(value, declared)) > _MAX_TEXT


def _is_unchanged(text: str, name: str, declared: Input, earlier: Earlier) -> bool:
    """Return whether a parameter has the value of the earlier run, also one that no field can show."""
    if isinstance(declared, ArtifactInput) or name in earlier.redacted or earlier.inputs.get(name) is None:
        return False
    return text == _sent_text(_first_text(name, declared, earlier), declared)


def _default_text(declared: Input, *, is_compact: bool = False) -> str:
    if isinstance(declared, ArtifactInput) or declared.default is None:
        return ""
    if is_compact and not isinstance(declared.default, str):
        return json.dumps(declared.default, ensure_ascii=False)
    return _text(declared.default, declared)


def _is_default(text: str, declared: Input) -> bool:
    return isinstance(declared, ParameterInput) and declared.default is not None and text == _default_text(declared)


def _text(value: Any, declared: Input) -> str:
    """Return the text of a value, from which `parse_argument` makes the same value."""
    if isinstance(declared, ArtifactInput):
        if isinstance(value, list):
            return json.dumps([*map(_location, value)], indent=2, ensure_ascii=False)
        return _location(value)
    if isinstance(value, str) and declared.type is ParameterType.STRING:
        return value
    return json.dumps(value, indent=2 if value and declared.type in _JSON_TYPES else None, ensure_ascii=False)


def _location(value: Any) -> str:
    return str(value.path or value.uri) if isinstance(value, Artifact) else str(value)


def _may_be_empty(declared: Input) -> bool:
    """Return whether an empty field is the empty text, as it replaces a default."""
    is_text = isinstance(declared, ParameterInput) and declared.type is ParameterType.STRING and not declared.literals
    return is_text and bool(_default_text(declared))


def _parse(text: str, declared: Input) -> Json:
    value = parse_argument(text, declared)
    if isinstance(declared, ParameterInput):
        if problem := describe_disallowed(value, declared.literals):
            raise ValueMismatch(f"the value {problem}")
    elif declared.is_list and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        raise ValueMismatch('expected a JSON list of paths or URIs such as ["a.csv", "b.csv"]')
    return value


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")
