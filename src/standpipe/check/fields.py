"""Fields of the settings for Kubernetes, which are any JSON: what is not as expected is as if it were not there."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.model.types import Json


def dig(value: Json, *names: str) -> Json:
    """Return a field of a field of an object; None if there is none.

    >>> dig({"a": {"b": 1}}, "a", "b"), dig({"a": 3}, "a", "b"), dig([], "a")
    (1, None, None)
    """
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text_of(value: Json, *names: str) -> str:
    """Return a field of a field that is a text; empty if there is none.

    >>> text_of({"a": "b"}, "a"), text_of({"a": 3}, "a")
    ('b', '')
    """
    found = dig(value, *names)
    return found if isinstance(found, str) else ""


def entries(value: Json, *names: str) -> Iterator[dict[str, Json]]:
    """Yield the objects in the list that a field holds.

    >>> list(entries({"a": [{"b": 1}, 3]}, "a")), list(entries({"a": 3}, "a"))
    ([{'b': 1}], [])
    """
    found = dig(value, *names)
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict):
            yield each


def producer_of(mount: Json) -> tuple[str, str]:
    """Return the task and the output that the name of a mounted PVC comes from; empty texts for other names."""
    reference = dig(mount, "pvcNameParameter") or mount
    output = dig(reference, "taskOutputParameter")
    return text_of(output, "producerTask"), text_of(output, "outputParameterKey")
