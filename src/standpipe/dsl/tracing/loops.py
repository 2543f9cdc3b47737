"""`ParallelFor`."""

from __future__ import annotations

from typing import Any

from standpipe.dsl.tracing.channels import (
    Collected,
    LoopArtifact,
    LoopField,
    LoopItem,
    LoopParameter,
    PipelineChannel,
    channels_in,
    item_annotation,
    written_type,
)
from standpipe.dsl.tracing.groups import TasksGroup, the_trace
from standpipe.dsl.tracing.trace import Trace
from standpipe.errors import AuthoringError
from standpipe.model.plan import RawItems
from standpipe.model.types import ArtifactType, ParameterType
from standpipe.model.values import ValueMismatch, check_json, preview


class ParallelFor(TasksGroup):
    """Runs its tasks once for each item, side by side. `with` gives the item, `item.a` a field of it.

    Args:
        items: a list (of text, numbers, bools, lists, or dicts), an input of the pipeline or output of a task that is
            a list of parameters or of artifacts, or a field of the item of another loop.
        name: the name under which the group is shown.
        parallelism: how many iterations may run at once; 0 is no limit.

    Raises:
        AuthoringError: if the items are no list, or an empty one, or `parallelism` is negative.
    """

    prefix = "for-loop"

    def __init__(self, items: Any, name: str | None = None, parallelism: int | None = None) -> None:
        super().__init__(name)
        trace = the_trace("ParallelFor")
        if parallelism is not None and (not isinstance(parallelism, int) or parallelism < 0):
            raise AuthoringError(f"dsl.ParallelFor: parallelism={parallelism!r} must be a whole number, at least 0.")
        self.parallelism = parallelism or 0
        self.item: LoopItem = _over_channel(items) if isinstance(items, PipelineChannel) else _over_list(items, trace)

    def __enter__(self) -> Any:
        super().__enter__()
        return self.item


#: Attributes of items, which no field can be called: those that are not attributes of the class.
_TAKEN = ("name", "channel_type", "is_artifact_list", "task", "written", "loop_items")


def _over_channel(items: PipelineChannel) -> LoopItem:
    if isinstance(items, Collected):
        raise AuthoringError(
            "dsl.ParallelFor cannot loop over a dsl.Collected: KFP has no such loop. Pass the dsl.Collected to a task "
            "or a pipeline, and loop over its list there."
        )
    name = f"{items.name}-loop-item"
    if isinstance(items.channel_type, ArtifactType):
        if not items.is_artifact_list:
            raise AuthoringError(f"dsl.ParallelFor loops over lists, and the {items.described} is a single artifact.")
        return LoopArtifact(name, items.channel_type, items, items.task)
    if items.channel_type is not ParameterType.LIST and not isinstance(items, LoopField):
        raise AuthoringError(
            f"dsl.ParallelFor loops over lists, and the {items.described} is of type {items.shown_type}."
        )
    written = item_annotation(items.written)
    return LoopParameter(name, written_type(written), items, items.task, written)


def _over_list(items: Any, trace: Trace) -> LoopItem:
    if not isinstance(items, (list, tuple)) or not items:
        raise AuthoringError(
            f"dsl.ParallelFor got {preview(items)}, and a list with at least one item is wanted, or a list that a task "
            "gives or the pipeline takes."
        )
    raw = list(items)
    for channel in channels_in(raw, "dsl.ParallelFor"):
        raise AuthoringError(
            f"dsl.ParallelFor: the {channel.described} stands in the list of items, which KFP writes into the compiled "
            "file as it is. Make the list in a component, and loop over its output."
        )
    try:
        check_json(raw, "items")
    except ValueMismatch as mismatch:
        raise AuthoringError(f"dsl.ParallelFor cannot loop over the list: {mismatch}.") from mismatch
    first = raw[0]
    written = type(first).__name__
    for key in first if isinstance(first, dict) else ():
        if not key.isidentifier() or key in _TAKEN or hasattr(LoopParameter, key):
            raise AuthoringError(
                f"dsl.ParallelFor: the items are dicts with the key {key!r}. Keys are used as item.key, so they must "
                "be Python names, and none of the attributes that items have."
            )
    if isinstance(first, dict) and first:
        key, value = next(iter(first.items()))
        written = f"Dict[{type(key).__name__}, {type(value).__name__}]"
    name = f"loop-item-param-{trace.next_number()}"
    return LoopParameter(name, written_type(written), RawItems(tuple(raw)), written=written)
