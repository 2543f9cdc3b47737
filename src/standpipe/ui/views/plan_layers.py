"""The layers of a Plan that nobody has run, and what it says of its tasks in words: loops, order, exit handlers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from standpipe.model.plan import (
    Constant,
    FromInput,
    FromTask,
    InputItems,
    Node,
    Plan,
    RawItems,
    TriggerStrategy,
)
from standpipe.ui.views.conditions import describe_condition, describe_source
from standpipe.ui.views.layers import Crumb, Layer, Member
from standpipe.ui.views.values import format_json

#: The most characters of the items of a loop, or of a constant.
_MAX_ITEMS = 40


def plan_layer(plan: Plan) -> Layer:
    """Return the outermost layer of a Plan: the pipeline."""
    name = plan.display_name or plan.name
    return Layer(Member("", name, component=plan.root), (Crumb("", name),), plan, (), {})


def inner_layer(layer: Layer, member: Member) -> Layer | None:
    """Return the layer of the tasks in a member, for a loop those of one iteration; None if it has no tasks.

    Args:
        layer: the layer that it is in.
        member: the member.
    """
    opened = layer.open(member)
    if opened.is_loop:
        iteration = replace(opened.iteration(0), path=f"{opened.path}/*")
        opened = replace(opened.open(iteration), crumbs=opened.crumbs)
    return opened if opened.dag else None


def walk_layers(plan: Plan) -> Iterator[Layer]:
    """Yield all layers of a Plan, each before those in it."""
    pending = [plan_layer(plan)]
    while pending:
        layer = pending.pop(0)
        yield layer
        inner = (inner_layer(layer, member) for member in layer.members.values())
        pending = [*filter(None, inner), *pending]


def in_order(layer: Layer) -> list[Member]:
    """Return the members of a layer, each after those that it depends on, otherwise in the order of the Plan."""
    members = layer.members
    ordered: dict[str, Member] = {}
    pending = list(members)
    while pending:
        ready = [name for name in pending if not _upstream(layer, members[name]) - ordered.keys()] or pending
        ordered.update((name, members[name]) for name in ready)
        pending = [name for name in pending if name not in ordered]
    return list(ordered.values())


def _upstream(layer: Layer, member: Member) -> set[str]:
    return set(member.node.upstream) & layer.members.keys() if member.node else set()


def describe_start(layer: Layer, member: Member) -> Iterator[str]:
    """Yield when and how often a task runs: its condition, its loop, and the tasks that it waits for."""
    node = member.node
    if node is None:
        return
    if condition := describe_condition(node, layer.dag.nodes.values() if layer.dag else ()):
        yield condition
    if node.loop:
        yield describe_loop(node)
    upstream = [layer.members[name].title for name in node.upstream if name in layer.members]
    if upstream:
        however = node.trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
        yield f"after {', '.join(upstream)}{', whether or not it succeeds' if however else ''}"


def describe_loop(node: Node) -> str:
    """Return what a loop iterates over, such as `for each item of make.items, at most 2 at a time`."""
    assert node.loop is not None, "only loops have items"
    at_most = f", at most {node.loop.parallelism} at a time" if node.loop.parallelism else ""
    if isinstance(node.loop.items, RawItems):
        items = node.loop.items.items
        return f"for each of {len(items)} {'item' if len(items) == 1 else 'items'}: {_list_items(node)}{at_most}"
    return f"for each item of {_describe_source(node, node.loop.items)}{at_most}"


def _list_items(node: Node) -> str:
    assert node.loop and isinstance(node.loop.items, RawItems), "other items are not known"
    text = ", ".join(" ".join(format_json(item).split()) for item in node.loop.items.items)
    return text if len(text) <= _MAX_ITEMS else f"{text[:_MAX_ITEMS]}…"


def _describe_source(node: Node, items: InputItems) -> str:
    binding = node.inputs.get(items.input)
    if isinstance(binding, (FromInput, FromTask)):
        return describe_source(binding)
    if isinstance(binding, Constant):
        text = " ".join(format_json(binding.value).split())
        return text if len(text) <= _MAX_ITEMS else f"{text[:_MAX_ITEMS]}…"
    return describe_source(FromInput(items.input))
