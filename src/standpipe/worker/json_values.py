"""Values that a task may output: JSON, by the rules of Python's encoder and of KFP's backend."""

from __future__ import annotations

import json
import math
from typing import Any, Dict

#: What JSON has as keys, by Python's encoder: it writes the others as text.
_KEYS = (str, int, float, bool, type(None))


def check_json(value: Any, what: str, path: str = "") -> None:
    """Check that a value can be written as JSON and read by a cluster.

    Keys of dicts may be numbers, booleans and None, which JSON has as text.

    Args:
        value: the value.
        what: names it in messages.
        path: the path of the part that is checked.

    Raises:
        TypeError: if a part of it is not JSON; the message names the part.
        ValueError: if a number is not finite, or two keys are the same text.
    """
    part = f"{what}, at {path}," if path else what
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{part} is {value!r}, and JSON has no such number: replace it, or leave it out")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            check_json(item, what, f"{path}[{index}]")
    elif isinstance(value, dict):
        text_keys(value, part)
        for key, item in value.items():
            check_json(item, what, f"{path}[{key!r}]")
    elif value is not None and not isinstance(value, (str, int)):
        raise TypeError(f"{part} is {describe_type(value)}, which JSON cannot hold{_remedy(value)}")


def describe_type(value: Any) -> str:
    """Describe the type of a value, with its module unless it is built in."""
    kind = type(value)
    if value is None:
        return "None"
    return f"a value of type {kind.__name__ if kind.__module__ == 'builtins' else f'{kind.__module__}.{kind.__name__}'}"


def text_keys(value: Dict[Any, Any], what: str) -> Dict[str, Any]:
    """Return a dict with its keys as they are in JSON.

    Raises:
        TypeError: if a key is neither text nor a number, a boolean or None.
        ValueError: if two keys are the same text.
    """
    if all(isinstance(key, str) for key in value):
        return value
    keys: Dict[str, Any] = {}
    for key in value:
        if not isinstance(key, _KEYS):
            raise TypeError(
                f"{what} has the key {key!r}, {describe_type(key)}: the keys of a JSON object are text, and only "
                f"numbers, booleans and None are converted to it{_remedy(key)}"
            )
        text = next(iter(json.loads(json.dumps({key: None}))))
        if text in keys:
            raise ValueError(
                f"{what} has the keys {keys[text]!r} and {key!r}, which are the same text in JSON: {text!r}"
            )
        keys[text] = key
    return {text: value[key] for text, key in keys.items()}


def _remedy(value: Any) -> str:
    """Return how to convert a value of NumPy, pandas or a similar package, whose methods have the same names."""
    is_scalar = getattr(value, "shape", None) == ()
    for method in ("item",) if is_scalar else ("tolist", "to_dict"):
        if hasattr(value, method):
            return f": convert it with .{method}()"
    return ""
