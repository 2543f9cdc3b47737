"""JSON as a tree that can be folded, of limited size."""

from __future__ import annotations

import json
from collections.abc import Iterator

from standpipe.model.frozen import frozen
from standpipe.model.types import Json
from standpipe.ui.views.charts import shorten

#: The most values that are shown, how deep, how many of one list, and how long.
_MAX_NODES = 2000
_MAX_DEPTH = 12
_MAX_ITEMS = 200
_MAX_TEXT = 2000

_NAMES = {dict: ("object", "key", "keys"), list: ("array", "item", "items")}


@frozen
class JsonNode:
    """One value of JSON.

    `key` is its name in the object that contains it, or its number in the list; `type` is that of JSON; `text` is the
    value as JSON, or for a list or an object how many items it has. `hidden` is how many of them are not shown.
    """

    key: str
    type: str
    text: str
    children: tuple[JsonNode, ...] = ()
    hidden: int = 0


def json_tree(value: Json, key: str = "") -> JsonNode:
    """Return a tree of a value, with the first of its items if there are very many.

    Args:
        value: JSON of any size and depth.
        key: its name.
    """
    return _node(value, key, 0, iter(range(_MAX_NODES)))


def _node(value: Json, key: str, depth: int, budget: Iterator[int]) -> JsonNode:
    if not isinstance(value, (dict, list)):
        return JsonNode(key, _type_of(value), _scalar(value))
    name, one, many = _NAMES[type(value)]
    count = f"{len(value):,} {one if len(value) == 1 else many}"
    items = value.items() if isinstance(value, dict) else enumerate(value)
    children: list[JsonNode] = []
    for inner_key, inner in items:
        if depth >= _MAX_DEPTH or len(children) >= _MAX_ITEMS or next(budget, None) is None:
            break
        children.append(_node(inner, str(inner_key), depth + 1, budget))
    return JsonNode(key, name, count, tuple(children), len(value) - len(children))


def _type_of(value: Json) -> str:
    if value is None or isinstance(value, bool):
        return "constant"
    return "string" if isinstance(value, str) else "number"


def _scalar(value: Json) -> str:
    text = value[: _MAX_TEXT + 1] if isinstance(value, str) else value
    return shorten(json.dumps(text, ensure_ascii=False), _MAX_TEXT)
