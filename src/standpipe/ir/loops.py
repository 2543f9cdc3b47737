"""Loops: the iterators of a task, and how many iterations may run at once."""

from __future__ import annotations

import json

from standpipe.errors import SpecError
from standpipe.ir.section import Section
from standpipe.model.plan import InputItems, Loop, RawItems
from standpipe.model.types import Json
from standpipe.model.values import ValueMismatch, check_json, preview

_PARAMETERS, _ARTIFACTS, _POLICY = "parameterIterator", "artifactIterator", "iteratorPolicy"


def emit_loop(loop: Loop, of_artifacts: bool, path: str) -> dict[str, Json]:
    """The fields of `PipelineTaskSpec` for the task at `path`; `of_artifacts` says what its items are.

    Raises:
        SpecError: if the items are not JSON, or artifacts that the author wrote.
    """
    iterator = _ARTIFACTS if of_artifacts else _PARAMETERS
    items = _emit_items(loop.items, of_artifacts, f"{path}.{iterator}.items")
    policy: Json = {_POLICY: {"parallelismLimit": loop.parallelism}} if loop.parallelism else {}
    return {iterator: {"items": items, "itemInput": loop.item_input}, **policy}


def _emit_items(items: RawItems | InputItems, of_artifacts: bool, path: str) -> dict[str, Json]:
    if isinstance(items, InputItems):
        return {"inputArtifact" if of_artifacts else "inputParameter": items.input}
    if of_artifacts:
        raise SpecError(f"{path}: the items are artifacts, and only an input can hold a list of these")
    raw = list(items.items)
    _check_items(raw, f"{path}.raw")
    return {"raw": json.dumps(raw, sort_keys=True)}


def load_loop(section: Section) -> Loop | None:
    """The loop of the task whose fields these are, or None if it has none.

    Raises:
        SpecError: if the items are no list, or a field is missing.
    """
    iterator = next((field for field in (_PARAMETERS, _ARTIFACTS) if field in section), None)
    if iterator is None:
        return None
    fields, policy = section.section(iterator), section.section(_POLICY)
    loop = Loop(
        items=_load_items(fields.section("items")),
        item_input=fields.required("itemInput"),
        parallelism=policy.take("parallelismLimit", 0),
    )
    if loop.parallelism < 0:
        raise SpecError(f"{policy.at('parallelismLimit')}: it is {loop.parallelism}, and 0 is the least (no limit)")
    fields.end()
    policy.end()
    return loop


def _load_items(section: Section) -> RawItems | InputItems:
    items: RawItems | InputItems
    if "raw" in section:
        items = RawItems(tuple(_parse_items(section.take("raw"), section.at("raw"))))
    elif "inputArtifact" in section:
        items = InputItems(section.required("inputArtifact"))
    else:
        items = InputItems(section.required("inputParameter"))
    section.end()
    return items


def _parse_items(text: str, path: str) -> list[Json]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: it is {preview(text)}, and the text of a JSON list is wanted: {error}") from error
    if not isinstance(items, list):
        raise SpecError(f"{path}: it is {preview(text)}, and the items of a loop are a list")
    _check_items(items, path)
    return items


def _check_items(items: list[Json], path: str) -> None:
    """Items are kept as text, so integers of any size survive; what is no JSON does not."""
    try:
        check_json(items, path)
    except (ValueMismatch, RecursionError) as error:
        raise SpecError(f"{path}: the items are not JSON: {error}") from error
