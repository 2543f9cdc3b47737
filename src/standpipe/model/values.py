"""Values that tasks pass on, and the rules of what fits where.

The rules are those of the KFP backend's driver (`resolve.go`): a STRING takes anything, as text; any other mismatch
is an error that names both types; null only where optional. Numbers keep their kind: protobuf's `Value` knows only
doubles, so a whole number that arrives as `3.0` for an integer becomes 3 again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Union

from standpipe.errors import StandpipeError
from standpipe.model.frozen import frozen
from standpipe.model.types import ArtifactType, Json, ParameterType


class ValueMismatch(StandpipeError, TypeError):
    """A value does not fit the declared type. The caller adds where that was."""


@frozen
class Seal:
    """What an artifact's payload was when its task had left it.

    `digest` is `sha256:` and the hexadecimal digest of the file, or of a listing of the folder with the digests of its
    files; `size` is in bytes. `signature` is what the file system said of the payload (sizes, times of change): as long
    as it says the same, the content is the same, and need not be read again. It is empty where it would prove nothing,
    as the payload had changed so short a time before that another change would leave the same times behind.
    """

    digest: str
    size: int
    signature: str


@frozen
class ArtifactValue:
    """An artifact as tasks see it: KFP's RuntimeArtifact. `custom_path` is where its payload is, if not at the URI.

    `seal` is None where there is no payload on this machine, or nobody has looked at it. Tasks are not told of it.
    """

    name: str
    type: ArtifactType
    uri: str
    metadata: Mapping[str, Json] = field(default_factory=dict)
    custom_path: str = ""
    seal: Seal | None = field(default=None, compare=False)

    @property
    def place(self) -> str:
        """Where the payload is: a path of this machine, or a URI."""
        return self.custom_path or self.uri


class Collected(list[Json]):
    """The values of a parameter in the iterations of a loop, in order: a list that knows that a loop gathered it.

    A loop in a loop gives `Collected` in `Collected`. In JSON it is a list like any other.
    """


#: What an input or output holds at run time: JSON, an artifact, or a list of artifacts.
Value = Union[Json, ArtifactValue, "list[ArtifactValue]"]


def artifacts_in(values: Iterable[Value]) -> Iterator[ArtifactValue]:
    """The artifacts among values, those in lists included."""
    for value in values:
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, ArtifactValue))


_PYTHON_TYPES: dict[ParameterType, tuple[type, ...]] = {
    ParameterType.NUMBER_INTEGER: (int,),
    ParameterType.NUMBER_DOUBLE: (int, float),
    ParameterType.BOOLEAN: (bool,),
    ParameterType.LIST: (list,),
    ParameterType.STRUCT: (dict,),
    ParameterType.TASK_FINAL_STATUS: (dict,),
    ParameterType.TASK_CONFIG: (dict,),
}

#: What Go's `strconv.ParseBool` accepts, which is what KFP's launcher reads boolean output files with.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def as_text(value: Json) -> str:
    """A value as text, as it stands in a command, in text with placeholders and in a STRING parameter.

    >>> [as_text(value) for value in ("a", 3, 3.5, True, None, [1, {"k": "é"}])]
    ['a', '3', '3.5', 'true', '', '[1, {"k": "é"}]']
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False)


def kind_of(value: Value) -> str:
    """The name of a value's type, in KFP's words where it has one.

    >>> [kind_of(value) for value in (1, 1.5, True, "a", [], {}, None)]
    ['NUMBER_INTEGER', 'NUMBER_DOUBLE', 'BOOLEAN', 'STRING', 'LIST', 'STRUCT', 'null']
    """
    if value is None:
        return "null"
    if isinstance(value, ArtifactValue):
        return str(value.type)
    if isinstance(value, bool):
        return ParameterType.BOOLEAN.value
    if isinstance(value, str):
        return ParameterType.STRING.value
    for parameter_type, python_types in _PYTHON_TYPES.items():
        if isinstance(value, python_types):
            return parameter_type.value
    return type(value).__name__


def flattened(value: Value, levels: int = 1) -> Value:
    """What loops gathered, as a plain list in which so many levels of loops are left; any other value as it is.

    The outer levels are those that stay. Lists that are values of a single iteration are never taken apart.

    >>> gathered = Collected([Collected([1, [2]]), Collected([3])])
    >>> flattened(gathered), flattened(gathered, levels=2)
    ([1, [2], 3], [[1, [2]], [3]])
    """
    if not isinstance(value, Collected):
        return value
    if levels > 1:
        return [flattened(item, levels - 1) for item in value]
    items: list[Json] = list(value)
    while any(isinstance(item, Collected) for item in items):
        items = [inner for item in items for inner in (item if isinstance(item, Collected) else (item,))]
    return items


def fit(value: Json, to: ParameterType) -> Json:
    """The value as a parameter of the type `to` holds it.

    Raises:
        ValueMismatch: if it does not fit; the message names both types.
    """
    if to is ParameterType.STRING:
        return as_text(value)
    if to is ParameterType.NUMBER_INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    if to is ParameterType.NUMBER_DOUBLE and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = isinstance(value, _PYTHON_TYPES[to])
    if fits and isinstance(value, bool) and to is not ParameterType.BOOLEAN:
        fits = False  # a bool is an int to Python, not to KFP
    if not fits:
        raise ValueMismatch(f"{preview(value)} is {kind_of(value)}, and {to} is wanted")
    return value


def not_allowed(value: Json, literals: tuple[Json, ...]) -> str:
    """What is wrong with a value that is none of those that the author named; empty where nothing is."""
    if not literals or value in literals:
        return ""
    return f"is {preview(value)}, and only these are allowed: {', '.join(map(repr, literals))}"


def from_text(text: str, to: ParameterType) -> Json:
    """The value that a task wrote as text into an output parameter's file.

    Raises:
        ValueMismatch: if the text does not hold a value of that type.
    """
    if to is ParameterType.STRING:
        return text
    stripped = text.strip()
    if to is ParameterType.BOOLEAN:
        if stripped in _BOOLEANS:
            return _BOOLEANS[stripped]
        raise ValueMismatch(f"the text {preview(text)} is no {to}: it should be true or false")
    try:
        return fit(json.loads(stripped), to)
    except ValueError as error:
        raise ValueMismatch(f"the text {preview(text)} is no {to}: {error}") from error


def check_json(value: object, path: str = "the value") -> None:
    """Raises ValueMismatch, naming the path of the offender, unless `value` can be written as JSON and read back."""
    if value is None or isinstance(value, (str, bool, int)):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueMismatch(f"{path} is {value}, and JSON has no such number")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            check_json(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueMismatch(f"{path} has the key {key!r}, and the keys of a JSON object are text")
            check_json(item, f"{path}[{key!r}]")
    else:
        raise ValueMismatch(f"{path} is a {type(value).__name__}, which JSON cannot hold")


def preview(value: object, limit: int = 80) -> str:
    """A value for a message: its repr, cut in the middle where it is long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 20]}…{text[-16:]}"
