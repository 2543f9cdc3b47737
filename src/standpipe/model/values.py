"""Values that tasks pass to each other, and the rules of their conversion.

The rules are those of the KFP backend's driver (`resolve.go`): a STRING accepts any value, as text; any other mismatch
is an error that names both types; null is accepted only by optional inputs. Protobuf's `Value` has only doubles, so a
value of `3.0` for an integer becomes 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Union

from standpipe.errors import StandpipeError
from standpipe.model.frozen import field, frozen
from standpipe.model.types import ArtifactType, Json, ParameterType


class ValueMismatch(StandpipeError, TypeError):
    """A value does not have the declared type. The caller adds the location to the message."""


@frozen
class Checksum:
    """The checksum of an artifact's payload, taken when its task ended.

    `digest` is the name of an algorithm, such as `sha256`, a colon, and the hexadecimal digest of the file, or of a
    listing of the folder with the digests of its files. Only digests of one algorithm can be compared. `size` is in
    bytes. `signature` is the metadata of the payload in the file system (sizes, modification times): as long as it is
    the same, the content is the same, and need not be read. It is empty if the payload was modified so recently that a
    later change could leave the same times.

    Without a digest, which makes it false, nobody can know whether the payload changes: a link in it leads out of the
    folders of the run.
    """

    digest: str
    size: int
    signature: str

    def __bool__(self) -> bool:
        return bool(self.digest)

    @property
    def algorithm(self) -> str:
        """The name of the algorithm; empty without a digest."""
        return self.digest.partition(":")[0]


@frozen
class ArtifactValue:
    """An artifact as tasks see it: KFP's RuntimeArtifact.

    `custom_path` is the path of the payload, if that is not at the URI. `checksum` is that of the payload, None if
    the payload is not on this machine or was not read. `registration` is what the task that produced a model requested
    of a model registry: the arguments of `dsl.Model.register`, None if it did not. Tasks receive neither of the two.
    """

    name: str
    type: ArtifactType
    uri: str
    metadata: Mapping[str, Json] = field(default_factory=dict)
    custom_path: str = ""
    checksum: Checksum | None = field(default=None, compare=False)
    registration: Mapping[str, Json] | None = field(default=None, compare=False)

    @property
    def location(self) -> str:
        """The location of the payload: a path on this machine, or a URI."""
        return self.custom_path or self.uri


class Collected(list[Json]):
    """The values of a parameter in the iterations of a loop, in order.

    The type distinguishes them from a list that a task returned. Nested loops produce nested `Collected` lists. In JSON
    it is a list like any other.
    """


#: The value of an input or output at run time: JSON, an artifact, or a list of artifacts.
Value = Union[Json, ArtifactValue, "list[ArtifactValue]"]


def find_artifacts(values: Iterable[Value]) -> Iterator[ArtifactValue]:
    """Yield the artifacts among values, including those in lists."""
    for value in values:
        if isinstance(value, ArtifactValue):
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, ArtifactValue))


#: How deeply a preview shows lists and dicts, and from which number on it leaves out an integer: Python refuses to
#: write one of more than 4300 digits.
_SHOWN_DEPTH = 20
_SHOWN_INTEGER = 10**400

#: The types of values that need no conversion.
_EXACT_TYPES: dict[ParameterType, type] = {
    ParameterType.NUMBER_INTEGER: int,
    ParameterType.NUMBER_DOUBLE: float,
    ParameterType.STRING: str,
    ParameterType.BOOLEAN: bool,
    ParameterType.LIST: list,
    ParameterType.STRUCT: dict,
}

_PYTHON_TYPES: dict[ParameterType, tuple[type, ...]] = {
    ParameterType.NUMBER_INTEGER: (int,),
    ParameterType.NUMBER_DOUBLE: (int, float),
    ParameterType.BOOLEAN: (bool,),
    ParameterType.LIST: (list,),
    ParameterType.STRUCT: (dict,),
    ParameterType.TASK_FINAL_STATUS: (dict,),
    ParameterType.TASK_CONFIG: (dict,),
}


def to_text(value: Json) -> str:
    """Return a value as text, for a command, for text with placeholders or for a STRING parameter, as a cluster does.

    >>> [to_text(value) for value in ("a", 3, 3.0, 1e-7, True, None, [1, {"k": "é"}])]
    ['a', '3', '3', '0.0000001', 'true', '', '[1,{"k":"é"}]']
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    from standpipe.model import go_text  # here, as most programs write no other value as text

    return go_text.format_double(value) if isinstance(value, float) else go_text.format_json(value)


def type_name(value: Value) -> str:
    """Return the name of the type of a value, for messages.

    >>> [type_name(value) for value in (1, 1.5, True, "a", [], {}, None)]
    ['int', 'float', 'bool', 'str', 'list', 'dict', 'null']
    """
    if value is None:
        return "null"
    if isinstance(value, ArtifactValue):
        return value.type.label
    known = (bool, str, int, float, list, dict)  # of which the value may have a subclass
    return next((kind.__name__ for kind in known if isinstance(value, kind)), type(value).__name__)


def flatten(value: Value, levels: int = 1) -> Value:
    """Return the collected values of nested loops as a list with the given number of levels.

    The outer levels are kept. Lists that are the values of a single iteration are never flattened. A value that was not
    collected is returned as it is.

    >>> gathered = Collected([Collected([1, [2]]), Collected([3])])
    >>> flatten(gathered), flatten(gathered, levels=2)
    ([1, [2], 3], [[1, [2]], [3]])
    """
    if not isinstance(value, Collected):
        return value
    if levels > 1:
        return [flatten(item, levels - 1) for item in value]
    items: list[Json] = list(value)
    while any(isinstance(item, Collected) for item in items):
        items = [inner for item in items for inner in (item if isinstance(item, Collected) else (item,))]
    return items


def coerce(value: Json, to: ParameterType) -> Json:
    """Return a value converted to a parameter type.

    Raises:
        ValueMismatch: if the value cannot be converted; the message names both types.
    """
    if value.__class__ is _EXACT_TYPES.get(to):
        return value
    if to is ParameterType.STRING:
        return to_text(value)
    if to is ParameterType.NUMBER_INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    if to is ParameterType.NUMBER_DOUBLE and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueMismatch("expected a number that a double can hold, got a larger one") from None
    fits = isinstance(value, _PYTHON_TYPES[to])
    if fits and isinstance(value, bool) and to is not ParameterType.BOOLEAN:
        fits = False  # a bool is an int in Python, but not in KFP
    if not fits:
        raise ValueMismatch(f"expected {to.label}, got {preview(value)} ({type_name(value)})")
    return value


def describe_disallowed(value: Json, literals: tuple[Json, ...]) -> str:
    """Return the end of a message about a value that is not an allowed literal; empty if it is allowed."""
    if not literals or value in literals:
        return ""
    return f"is {preview(value)}, expected one of {', '.join(map(repr, literals))}"


def preview(value: object, limit: int = 80) -> str:
    """Return the `repr` of a value for a message, shortened in the middle if it is longer than `limit`.

    Of a large value, only so much is read as can be shown.
    """
    return shorten(repr(_trim(value, limit, _SHOWN_DEPTH, iter(range(4 * limit)))), limit)


def _trim(value: object, limit: int, depth: int, budget: Iterator[int]) -> object:
    """Return the beginning of a value, of each text in it, and as many of its parts as there is budget."""
    if isinstance(value, str):
        return value if len(value) <= 2 * limit else f"{value[:limit]}…{value[-limit:]}"
    if isinstance(value, int):
        return value if abs(value) < _SHOWN_INTEGER else _Text("…")
    if not isinstance(value, (list, tuple, dict)) or not value:
        return value
    if depth == 0 or next(budget, None) is None:
        return _Text("…")
    if isinstance(value, dict):
        keys = list(islice(value, limit))
        return {_trim(key, limit, 0, budget): _trim(value[key], limit, depth - 1, budget) for key in keys}
    items = [_trim(item, limit, depth - 1, budget) for item in islice(value, limit)]
    return items if isinstance(value, list) else tuple(items)


class _Text(str):
    """Text whose `repr` has no quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def shorten(text: str, limit: int = 80) -> str:
    """Return a text for a message, shortened in the middle if it is longer than `limit`."""
    return text if len(text) <= limit else f"{text[: limit - 20]}…{text[-16:]}"
