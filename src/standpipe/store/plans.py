"""Plans as JSON, whole: with what compiled files have no place for, such as artifact classes of the author's own.

A frozen class of the model is an object with its name at `$` and its fields beside it, those that have their default
value left out. So are what else JSON lacks: tuples, members of enums, and objects that have a key `$` of their own.
Expressions are kept as text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

from standpipe.errors import StorageError
from standpipe.model import plan as plans
from standpipe.model import templates, types
from standpipe.model.expressions import Expression, parse
from standpipe.model.plan import Plan
from standpipe.model.types import Json
from standpipe.support.redaction import NO_SECRETS, Redactor

_MARK = "$"

#: The classes that a Plan is made of, by name.
_CLASSES: dict[str, Any] = {
    name: found
    for module in (plans, templates, types)
    for name, found in vars(module).items()
    if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum))
}

#: What else has a mark, and how it is read back.
_OTHERS: dict[str, Callable[[Json], Any]] = {
    "tuple": lambda told: tuple(_decoded(item) for item in told["of"]),
    "object": lambda told: {key: _decoded(item) for key, item in told["of"]},
    "Expression": lambda told: parse(told["text"]),
}


def dump(plan: Plan, redactor: Redactor = NO_SECRETS) -> tuple[str, str]:
    """A Plan as text, without secrets, and the SHA-256 of that in hexadecimal, which names it in the run store."""
    body = json.dumps(redactor.json(_encoded(plan)), separators=(",", ":"))
    return body, hashlib.sha256(body.encode()).hexdigest()


def load(body: str) -> Plan:
    """The Plan that was dumped.

    Raises:
        StorageError: if the text is no Plan, or one of a newer Standpipe.
    """
    try:
        plan = _decoded({**json.loads(body), _MARK: "Plan"})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(
            f"The pipeline of the run cannot be read from the run store ({type(error).__name__}: {error}). It may have "
            "been written by a newer Standpipe: upgrade, or run the pipeline anew."
        ) from error
    assert isinstance(plan, Plan)
    return plan


def _encoded(value: object) -> Json:
    if isinstance(value, Expression):
        return {_MARK: "Expression", "text": value.text}
    if isinstance(value, Enum):
        return {_MARK: type(value).__name__, "name": value.name}
    if is_dataclass(value):
        defaults = vars(type(value))  # where a dataclass keeps those of its fields
        told = {
            field.name: _encoded(item)
            for field in fields(value)
            if (item := getattr(value, field.name)) is not defaults.get(field.name, MISSING)
        }
        return {_MARK: type(value).__name__, **told}
    if isinstance(value, tuple):
        return {_MARK: "tuple", "of": [_encoded(item) for item in value]}
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    if isinstance(value, Mapping):
        plain = {key: _encoded(item) for key, item in value.items()}
        return {_MARK: "object", "of": list(plain.items())} if _MARK in plain else plain
    return value


def _decoded(told: Json) -> Any:
    if isinstance(told, list):
        return [_decoded(item) for item in told]
    if not isinstance(told, dict):
        return told
    kind = told.get(_MARK)
    if kind is None:
        return {key: _decoded(item) for key, item in told.items()}
    if kind in _OTHERS:
        return _OTHERS[kind](told)
    made = _CLASSES[kind]
    if issubclass(made, Enum):
        return made[told["name"]]
    return made(**{name: _decoded(item) for name, item in told.items() if name != _MARK})
