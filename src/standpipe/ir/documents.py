"""YAML and JSON text -> plain data. The text is not trusted: ambiguous and malicious documents are rejected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from standpipe.errors import SpecError
from standpipe.ir.yaml_reader import Unusual, read_yaml
from standpipe.model.json_values import refuse_constant, unique_keys
from standpipe.model.types import Json

#: The limit of protobuf for messages. Without a limit, the C parser of YAML would crash the process.
MAX_DEPTH = 100
#: The maximum number of characters that aliases add to a file. Nested aliases could otherwise exhaust the memory.
MAX_ALIASED = 10_000_000

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_TAG = "tag:yaml.org,2002:str"


def parse(text: str, origin: str) -> list[dict[str, Json]]:
    """Parse YAML or JSON text.

    Args:
        text: the text. If it begins with a brace, it is parsed as JSON first.
        origin: the name of the text in errors.

    Returns:
        The documents, each of them a mapping.

    Raises:
        SpecError: if it is neither YAML nor JSON, or has duplicate keys, keys that are not text, or aliases that
            expand to too much text.
    """
    documents = _parse_json(text, origin) if text.lstrip().startswith("{") else _parse_yaml(text, origin)
    for document in documents:
        if not isinstance(document, dict):
            raise SpecError(f"{origin} is not a compiled pipeline: expected a mapping, got {_describe(document)}.")
    return documents


def _describe(document: Json) -> str:
    if document is None:
        return "an empty document"
    return "a list" if isinstance(document, list) else "plain text"


def _parse_json(text: str, origin: str) -> list[Json]:
    try:
        return [json.loads(text, object_pairs_hook=unique_keys, parse_constant=refuse_constant)]
    except json.JSONDecodeError:
        return _parse_yaml(text, origin)  # YAML can begin with a brace, too
    except RecursionError:
        raise SpecError(f"{origin} is not a compiled pipeline: nested too deeply.") from None
    except ValueError as error:
        raise SpecError(f"{origin}: {error}") from error


class _Loader(_BaseLoader):  # type: ignore[misc]  # the class that YAML was built with
    """A safe loader whose keys are those of JSON: text, without duplicates."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag != _TEXT_TAG:
                raise _yaml_error("expected text as a key: put it in quotes (merge keys are not supported)", key)
            if key.value in seen:
                raise _yaml_error(f"duplicate key {key.value!r}", key)
            seen.add(key.value)
        result: dict[Any, Any] = super().construct_mapping(node, deep)
        return result


def _parse_yaml(text: str, origin: str) -> list[Json]:
    try:
        return read_yaml(text, _load_scalar)
    except (Unusual, yaml.YAMLError, ValueError):
        pass  # libyaml has the result, or the error with its place
    try:
        _check_size(yaml.parse(text, Loader=_BaseLoader), len(text))
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise SpecError(f"{origin} cannot be read as YAML: {_explain(error)}") from error
    except ValueError as error:  # such as a date that does not exist
        raise SpecError(f"{origin} cannot be read as YAML: {error}") from error


def _load_scalar(text: str) -> Json:
    value: Json = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe loader
    return value


def _check_size(events: Iterator[yaml.Event], written: int) -> None:
    """Raise a YAMLError if aliases expand to too much text, or if collections are nested too deeply.

    The check reads the events of the parser, so no object is built before it has passed.
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
                raise _yaml_error(f"anchor &{event.anchor} is not defined before this alias", event)
            size += anchors[event.anchor]
        if len(open_collections) > MAX_DEPTH:
            raise _yaml_error("nested too deeply", event)
        if size > written + MAX_ALIASED:
            raise _yaml_error(f"aliases expand to more than {MAX_ALIASED} characters", event)


def _yaml_error(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _explain(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    mark = error.problem_mark or error.context_mark
    position = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{error.problem or error.context}{position}"
