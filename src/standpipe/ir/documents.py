"""YAML and JSON text -> plain data, from anyone: what is ambiguous, hostile or no data at all is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from standpipe.errors import SpecError
from standpipe.model.types import Json

#: Protobuf's own limit for messages; the C parser of YAML would crash the process at some depth.
MAX_DEPTH = 100
#: How many characters aliases may add to a file. Nested aliases can otherwise fill any memory.
MAX_ALIASED = 10_000_000

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_TAG = "tag:yaml.org,2002:str"


def parse(text: str, origin: str) -> list[dict[str, Json]]:
    """The documents in YAML or JSON text, each of them a mapping.

    Args:
        text: the text; if it begins with a brace, it is taken for JSON first.
        origin: what to call it in errors.

    Raises:
        SpecError: if it is neither, or holds a key twice, keys that are no text, or aliases that blow it up.
    """
    documents = _parse_json(text, origin) if text.lstrip().startswith("{") else _parse_yaml(text, origin)
    for document in documents:
        if not isinstance(document, dict):
            raise SpecError(f"{origin} is no compiled pipeline: a mapping is wanted, and it holds {_kind(document)}.")
    return documents


def _kind(document: Json) -> str:
    if document is None:
        return "an empty document"
    return "a list" if isinstance(document, list) else "plain text"


def _parse_json(text: str, origin: str) -> list[Json]:
    try:
        return [json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)]
    except json.JSONDecodeError:
        return _parse_yaml(text, origin)  # YAML may begin with a brace, too
    except RecursionError:
        raise SpecError(f"{origin} is nested too deeply to be a compiled pipeline.") from None
    except ValueError as error:
        raise SpecError(f"{origin}: {error}") from error


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} stands twice in one mapping")
        result[key] = value
    return result


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is no number that JSON has")


class _Loader(_BaseLoader):  # type: ignore[misc]  # the class that YAML was built with
    """A safe loader that knows keys as JSON does: text, and once each."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag != _TEXT_TAG:
                raise _refusal("a key is not text: put it in quotes (merge keys are not supported)", key)
            if key.value in seen:
                raise _refusal(f"the key {key.value!r} stands twice in one mapping", key)
            seen.add(key.value)
        result: dict[Any, Any] = super().construct_mapping(node, deep)
        return result


def _parse_yaml(text: str, origin: str) -> list[Json]:
    try:
        _check_size(yaml.parse(text, Loader=_BaseLoader), len(text))
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise SpecError(f"{origin} cannot be read as YAML: {_explain(error)}") from error
    except ValueError as error:  # such as a date that does not exist
        raise SpecError(f"{origin} cannot be read as YAML: {error}") from error


def _check_size(events: Iterator[yaml.Event], written: int) -> None:
    """Raises a YAMLError for aliases that blow the text up and for collections that are nested too deeply.

    This looks at the parser's events, so that nothing has been built yet when it refuses.
    """
    size = 0
    open_collections: list[tuple[str | None, int]] = []
    anchors: dict[str | None, int] = {}
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            open_collections.append((event.anchor, size))
            size += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size_before = open_collections.pop()
            anchors[anchor] = size - size_before
        elif isinstance(event, yaml.ScalarEvent):
            anchors[event.anchor] = len(event.value)
            size += len(event.value)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise _refusal(f"no anchor &{event.anchor} ends before this alias", event)
            size += anchors[event.anchor]
        if len(open_collections) > MAX_DEPTH:
            raise _refusal("it is nested too deeply", event)
        if size > written + MAX_ALIASED:
            raise _refusal("its aliases make it far too large", event)


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _explain(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    mark = error.problem_mark or error.context_mark
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{error.problem or error.context}{where}"
