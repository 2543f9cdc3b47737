"""Plans without secrets: their values are redacted, and what gives them their structure is not.

Names of tasks, components, inputs, outputs and variables, types, quantities and selectors stay as they are, even if one
equals a secret. So the stored Plan of a run can always be read, whatever the secrets are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass, replace
from operator import is_not
from typing import Any

from standpipe.model import plan as p
from standpipe.model import templates as t
from standpipe.model.expressions import Expression, ExpressionError, parse
from standpipe.model.redacted import REDACTED, RedactedText
from standpipe.model.types import ArtifactType, ParameterInput
from standpipe.support.redaction import Redactor

#: The classes whose objects are structure as a whole.
_STRUCTURE = (
    ArtifactType,
    *(p.ExecutorRef, p.FinalStatus, p.FromInput, p.FromTask, p.InputItems),
    *(p.Resources, p.Retry, p.TaskConfigPassthrough),
    *(t.ArtifactField, t.InputParameter, t.JobField, t.JsonEscape, t.OutputParameterFile),
)

#: The fields of other classes that are structure.
_NAMES = {
    p.Loop: {"item_input"},
    p.Node: {"name", "component", "after"},
    p.OwnModule: {"name"},
    p.Plan: {"name"},
    p.PythonFunction: {"name", "layout"},
    t.IfPresent: {"input"},
}

#: The fields whose values are JSON of the author: the keys of dicts, and numbers, may be secrets.
_JSON = {
    p.Constant: {"value"},
    p.Importer: {"metadata"},
    p.RawItems: {"items"},
    ParameterInput: {"default", "literals"},
}

#: The fields that no result depends on: a Plan that lacks a secret only there can be run again.
_DESCRIPTIONS = ("annotation", "description", "display_name", "file")

#: A key in brackets, or a string.
_STRING = re.compile(r"""\[\s*(?:'[^']*'|"[^"]*")\s*\]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")

#: What a string in an expression has escapes for; no name of an input has it.
_NEEDS_ESCAPES = re.compile(r"""['"\\]""")


def redact_plan(plan: p.Plan, redactor: Redactor) -> p.Plan:
    """Return a Plan without secrets. What has lost one is marked (`model.redacted`)."""
    redacted: p.Plan = _redact(plan, redactor)
    return redacted


def _redact(value: Any, redactor: Redactor) -> Any:
    """Return a value without secrets: the object itself if it has none, because a default itself is not stored."""
    if isinstance(value, str):
        return redactor.redact(value)
    if isinstance(value, Mapping):
        items = {key: _redact(item, redactor) for key, item in value.items()}
        return items if any(items[key] is not item for key, item in value.items()) else value
    if isinstance(value, (list, tuple)):
        parts = [_redact(item, redactor) for item in value]
        return type(value)(parts) if any(map(is_not, parts, value)) else value
    if isinstance(value, Expression):
        return _redact_expression(value, redactor)
    if not is_dataclass(value) or isinstance(value, _STRUCTURE):
        return value
    changes = {}
    for name, item in vars(value).items():
        if name in _DESCRIPTIONS:
            changes[name] = redactor.redact_text(item)
        elif name in _JSON.get(type(value), ()) and not is_dataclass(item):
            changes[name] = redactor.redact(item)
        elif name not in _NAMES.get(type(value), ()):
            changes[name] = _redact(item, redactor)
    is_changed = any(new is not getattr(value, name) for name, new in changes.items())
    return replace(value, **changes) if is_changed else value  # type: ignore[type-var]


def _redact_expression(expression: Expression, redactor: Redactor) -> Expression:
    """Return an expression without secrets in its strings; if that is not an expression, one of `***` alone."""

    def redact_string(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith("[") else redactor.redact_text(match[0])

    def redact_strings(text: str) -> str:
        for value in filter(_NEEDS_ESCAPES.search, _strings(expression.tree)):  # KFP has written it without them
            text = text.replace(value, redactor.redact_text(value))
        return _STRING.sub(redact_string, text)

    texts = [redact_strings(text) for text in (expression.text, expression.exact_text)]
    if texts == [expression.text, expression.exact_text]:
        return expression
    try:
        return parse(RedactedText(texts[0]), texts[1])
    except ExpressionError:
        return parse(RedactedText(f"'{REDACTED}'"))


def _strings(tree: Any) -> Iterator[str]:
    """Yield the strings in the tree of an expression."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, tuple) or is_dataclass(tree):
        for part in tree if isinstance(tree, tuple) else vars(tree).values():
            yield from _strings(part)
