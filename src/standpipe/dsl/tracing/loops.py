"""`ParallelFor`."""

from __future__ import annotations

from typing import Any

from standpipe.dsl.tracing.channels import (
    SDK_ATTRIBUTES,
    Collected,
    LoopArtifact,
    LoopField,
    LoopItem,
    LoopParameter,
    PipelineChannel,
    describe_channel,
    describe_type,
    describe_value,
    find_channels,
)
from standpipe.dsl.tracing.groups import TasksGroup
from standpipe.dsl.tracing.trace import Trace, require_trace
from standpipe.dsl.types import item_annotation, parse_annotation
from standpipe.errors import AuthoringError
from standpipe.model.json_values import check_depth, check_json
from standpipe.model.plan import RawItems
from standpipe.model.types import ArtifactType, ParameterType
from standpipe.model.values import ValueMismatch


class InvalidItems(AuthoringError, TypeError):
    """The items of a loop are not a list, or a list that cannot be compiled; the KFP SDK raises a TypeError."""


class ParallelFor(TasksGroup):
    """Runs its tasks once for each item of a list, in parallel.

    `with` returns the item. If it is a dict, `item.a` and `item["a"]` are a field of it.

    Args:
        items: a list of strings, numbers, bools, lists or dicts; an input of the pipeline or an output of a task that
            is a list of parameters or of artifacts; or a field of the item of another loop.
        name: the display name of the group.
        parallelism: the maximum number of iterations that run at the same time; 0 means no limit.

    Raises:
        AuthoringError: if the items are an empty list or a single value, or if `parallelism` is negative.
        InvalidItems: if the items are neither a list nor a value of the pipeline, or a list that contains one.
    """

    prefix = "for-loop"

    def __init__(self, items: Any, name: str | None = None, parallelism: int | None = None) -> None:
        super().__init__(name)
        trace = require_trace("ParallelFor")
        if parallelism is not None and (not isinstance(parallelism, int) or parallelism < 0):
            raise AuthoringError(
                f"dsl.ParallelFor expected parallelism to be a whole number, at least 0, got "
                f"{describe_value(parallelism)}."
            )
        self.parallelism = parallelism or 0
        self.item: LoopItem = (
            _create_channel_item(items) if isinstance(items, PipelineChannel) else _create_list_item(items, trace)
        )

    def __enter__(self) -> Any:
        super().__enter__()
        return self.item


def _create_channel_item(items: PipelineChannel) -> LoopItem:
    """Return the item of a loop over a value that is known only when the pipeline runs."""
    if isinstance(items, Collected):
        raise InvalidItems(
            "dsl.ParallelFor cannot loop over a dsl.Collected, because KFP has no such loop. Pass the dsl.Collected to "
            "a task or a pipeline, and loop over its list there."
        )
    name = f"{items.name}-loop-item"
    if isinstance(items.declared_type, ArtifactType):
        if not items.is_artifact_list:
            raise AuthoringError(
                f"dsl.ParallelFor expected a list, and the {describe_channel(items)} is a single artifact."
            )
        return LoopArtifact(name, items.declared_type, items, items.task)
    if items.declared_type is not ParameterType.LIST and not isinstance(items, LoopField):
        raise AuthoringError(
            f"dsl.ParallelFor expected a list, and the {describe_channel(items)} is of type {describe_type(items)}."
        )
    annotation = item_annotation(items.type_annotation)
    return LoopParameter(name, parse_annotation(annotation), items, items.task, annotation)


def _create_list_item(items: Any, trace: Trace) -> LoopItem:
    """Return the item of a loop over a list in the pipeline's code."""
    if not isinstance(items, (list, tuple)) or not items:
        error = AuthoringError if isinstance(items, (list, tuple)) else InvalidItems
        raise error(
            "dsl.ParallelFor expected a list with at least one item, an output of a task or an input of the pipeline, "
            f"got {describe_value(items)}."
        )
    raw_items = list(items)
    try:
        check_depth(raw_items, "the list of items")
    except ValueMismatch as mismatch:
        raise AuthoringError(f"dsl.ParallelFor cannot loop over the list: {mismatch}.") from mismatch
    for channel in find_channels(raw_items, "dsl.ParallelFor"):
        raise InvalidItems(
            f"dsl.ParallelFor: the list of items contains the {describe_channel(channel)}. KFP writes the list into "
            "the compiled file, where its value is not known. Create the list in a component, and loop over its output."
        )
    try:
        check_json(raw_items, "items")
    except ValueMismatch as mismatch:
        raise AuthoringError(f"dsl.ParallelFor cannot loop over the list: {mismatch}.") from mismatch
    first = raw_items[0]
    annotation = type(first).__name__
    for key in first if isinstance(first, dict) else ():
        if not key.isidentifier() or key in SDK_ATTRIBUTES or key.startswith("__"):
            raise AuthoringError(
                f"dsl.ParallelFor: the items are dicts with the key {key!r}. Keys are used as item.key, so they must "
                f"be Python names, and different from the attributes of items: {', '.join(sorted(SDK_ATTRIBUTES))}."
            )
    if isinstance(first, dict) and first:
        key, value = next(iter(first.items()))
        annotation = f"Dict[{type(key).__name__}, {type(value).__name__}]"
    name = f"loop-item-param-{trace.next_group_number()}"
    return LoopParameter(name, parse_annotation(annotation), RawItems(tuple(raw_items)), type_annotation=annotation)
