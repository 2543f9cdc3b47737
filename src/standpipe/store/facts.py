"""Facts as text: the kind and the body that the run store keeps of each, and back.

A body is a JSON object of the fact's fields; those that have their default value are left out. A reference to a task is
the list of its steps, an enum stands by name, and a failure, a report or needs are objects of their own fields. How a
field is written follows from its annotation, so that a new class of facts needs nothing here as long as `_FIELDS` has
the types of its fields.

Values that tasks pass on are JSON as they are, with these exceptions. An object with nothing but `$collected` in it,
which is a list, is what a loop gathered (`model.values.Collected`); its items are values like these. An object that has
the fields of an artifact is an artifact, and a list of nothing else is a list of artifacts. JSON that only looks like
one of those is put into an object with nothing but `$value` in it. The first stores had no `$value`: what looked like
`$collected` was put into another `$collected`, and what looked like an artifact was not told from one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, NamedTuple, get_args

from standpipe.errors import StorageError
from standpipe.model.events import Fact, Failure, Report, TaskFailed
from standpipe.model.refs import TaskRef
from standpipe.model.resources import Needs
from standpipe.model.states import TaskState
from standpipe.model.types import ArtifactType, Json
from standpipe.model.values import ArtifactValue, Collected, Seal, Value

_COLLECTED = "$collected"
_VALUE = "$value"


def encode(fact: Fact) -> tuple[str, str]:
    """The kind and the body of a fact.

    Raises:
        TypeError: if the fact holds what JSON cannot.
    """
    kind: type = type(fact)
    return kind.__name__, _dump(_form(kind).write(fact))


def decode(kind: str, body: str) -> Fact:
    """The fact that was encoded.

    Raises:
        StorageError: if there is no such kind of fact or field, as in the store of a newer Standpipe, or the body is
            damaged.
    """
    known = _kinds().get(kind)
    if known is None:
        raise StorageError(
            f"The run store holds a fact of the kind {kind!r}, which this Standpipe does not know: a newer one wrote "
            "it. Upgrade Standpipe to read this run."
        )
    try:
        fact: Fact = _form(known).read(json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StorageError(
            f"The run store holds a {kind} that cannot be read: {error}. Either a newer Standpipe wrote it, and "
            f"upgrading helps, or the store is damaged. It begins with {body[:80]!r}."
        ) from error
    return fact


def _refuse(value: object) -> Json:
    raise TypeError(f"a fact cannot hold {value!r}")


# In ASCII: a lone surrogate, as in the name of a file that is no UTF-8, is text to Python and not to SQLite.
_dump = json.JSONEncoder(separators=(",", ":"), default=_refuse).encode


@cache
def _kinds() -> Mapping[str, type]:
    return {cls.__name__: cls for cls in get_args(Fact)}


class _Form(NamedTuple):
    """How values of one type are written as JSON, and read again."""

    write: Callable[[Any], Json]
    read: Callable[[Any], Any]


@cache
def _form(cls: type) -> _Form:
    """The form of a dataclass: an object of its fields."""
    declared = [(field.name, _FIELDS[str(field.type)], field.default) for field in fields(cls)]
    readers = [(name, form.read) for name, form, _ in declared if form is not _PLAIN]

    def write(value: Any) -> Json:
        return {
            name: form.write(item)
            for name, form, default in declared
            if (item := getattr(value, name)) is not default and (default is MISSING or item != default)
        }

    def read(told: dict[str, Any]) -> Any:
        for name, reader in readers:
            if name in told:
                told[name] = reader(told[name])
        return cls(**told)

    return _Form(write, read)


# --- values that tasks pass on ----------------------------------------------------------------------------------------

_ARTIFACT_FIELDS = {field.name for field in fields(ArtifactValue)}
_ARTIFACT_ALWAYS = {field.name for field in fields(ArtifactValue) if field.default is field.default_factory is MISSING}


def _write_value(value: Value) -> Json:
    if isinstance(value, ArtifactValue):
        return _form(ArtifactValue).write(value)
    if isinstance(value, Collected):
        return {_COLLECTED: [_write_value(item) for item in value]}
    if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
        return [_write_value(item) for item in value]
    is_misleading = _mark_of(value) or _looks_like_artifacts(value)
    return {_VALUE: value} if is_misleading else value


def _read_value(told: Json) -> Value:
    mark = _mark_of(told)
    if mark == _COLLECTED and isinstance(told[mark], list):
        return Collected(map(_read_value, told[mark]))
    if mark:
        return told[mark]
    if not _looks_like_artifacts(told):
        return told
    read = _form(ArtifactValue).read
    return [read(item) for item in told] if isinstance(told, list) else read(told)


def _mark_of(value: Json) -> str:
    """The mark that a value has, or that it only looks like; empty for others."""
    if isinstance(value, dict) and len(value) == 1:
        (key,) = value
        return key if key in (_COLLECTED, _VALUE) else ""
    return ""


def _looks_like_artifacts(value: Json) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) and _looks_like_artifacts(item) for item in value)
    return (
        isinstance(value, dict)
        and _ARTIFACT_ALWAYS <= value.keys() <= _ARTIFACT_FIELDS
        and isinstance(value["type"], dict)
        and "schema_title" in value["type"]
    )


# --- fields -----------------------------------------------------------------------------------------------------------


def _object(cls: type) -> _Form:
    """The form of a dataclass, made when it is first needed."""
    return _Form(lambda value: _form(cls).write(value), lambda told: _form(cls).read(told))


def _optional(form: _Form) -> _Form:
    return _Form(
        lambda value: None if value is None else form.write(value),
        lambda told: None if told is None else form.read(told),
    )


def _several(form: _Form) -> _Form:
    return _Form(lambda values: [form.write(value) for value in values], lambda told: tuple(map(form.read, told)))


_PLAIN = _Form(lambda value: value, lambda told: told)
_ANY_VALUE = _Form(_write_value, _read_value)
_VALUES = _Form(
    lambda values: {name: _write_value(value) for name, value in values.items()},
    lambda told: {name: _read_value(value) for name, value in told.items()},
)
_TASK = _Form(lambda task: task.path, lambda steps: TaskRef(tuple(map(tuple, steps))))

#: The form of a field by its annotation.
_FIELDS: dict[str, _Form] = {
    **dict.fromkeys(("bool", "int", "float", "str", "int | None", "float | None", "Mapping[str, Json]"), _PLAIN),
    "tuple[str, ...]": _several(_PLAIN),
    "Value": _ANY_VALUE,
    "tuple[Value, ...]": _several(_ANY_VALUE),
    "Mapping[str, Value]": _VALUES,
    "TaskRef": _TASK,
    "TaskRef | None": _optional(_TASK),
    "tuple[TaskRef, ...]": _several(_TASK),
    "TaskState": _Form(lambda state: state.name, TaskState.__getitem__),
    "ArtifactType": _object(ArtifactType),
    "Seal | None": _optional(_object(Seal)),
    "Needs": _object(Needs),
    "Report | None": _optional(_object(Report)),
    "Failure": _object(Failure),
    "tuple[TaskFailed, ...]": _several(_object(TaskFailed)),
}
