"""Loops: the iterators of a task, and the limit of their parallelism."""

from __future__ import annotations

import json

from standpipe.errors import SpecError
from standpipe.ir.section import Section
from standpipe.model.json_values import check_json
from standpipe.model.plan import InputItems, Loop, RawItems
from standpipe.model.types import Json
from standpipe.model.values import ValueMismatch, preview

_PARAMETERS, _ARTIFACTS, _POLICY = "parameterIterator", "artifactIterator", "iteratorPolicy"


def emit_loop(loop: Loop, of_artifacts: bool, path: str) -> dict[str, Json]:
    """Return the fields of `PipelineTaskSpec` for a loop.

    Args:
        loop: the loop.
        of_artifacts: whether the items are artifacts.
        path: the path of the task.

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
        raise SpecError(f"{path}: expected an input with a list of artifacts, got constants")
    raw = list(items.items)
    _check_items(raw, f"{path}.raw")
    return {"raw": json.dumps(raw, sort_keys=True)}


def load_loop(section: Section) -> Loop | None:
    """Return the loop of the task with these fields; None if it has none.

    Raises:
        SpecError: if the items are not a list, or a field is missing.
    """
    iterator = next((field for field in (_PARAMETERS, _ARTIFACTS) if field in section), None)
    if iterator is None:
        return None
    fields, policy = section.take_section(iterator), section.take_section(_POLICY)
    loop = Loop(
        items=_load_items(fields.take_section("items")),
        item_input=fields.take_text("itemInput"),
        parallelism=policy.take("parallelismLimit", 0),
    )
    if loop.parallelism < 0:
        raise SpecError(f"{policy.path_of('parallelismLimit')}: expected 0 (no limit) or more, got {loop.parallelism}")
    fields.check_all_taken()
    policy.check_all_taken()
    return loop


def _load_items(section: Section) -> RawItems | InputItems:
    items: RawItems | InputItems
    if "raw" in section:
        items = RawItems(tuple(_parse_items(section.take("raw"), section.path_of("raw"))))
    elif "inputArtifact" in section:
        items = InputItems(section.take_text("inputArtifact"))
    else:
        items = InputItems(section.take_text("inputParameter"))
    section.check_all_taken()
    return items


def _parse_items(text: str, path: str) -> list[Json]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: expected a JSON list as text, got {preview(text)}: {error}") from error
    if not isinstance(items, list):
        raise SpecError(f"{path}: expected a JSON list as text, got {preview(text)}")
    _check_items(items, path)
    return items


def _check_items(items: list[Json], path: str) -> None:
    """Check that items are JSON. They are stored as text, so integers of any size are allowed."""
    try:
        check_json(items, path)
    except (ValueMismatch, RecursionError) as error:
        raise SpecError(f"{path}: the items are not JSON: {error}") from error
