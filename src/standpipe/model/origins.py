"""Where the value of a task's input comes from: from another task, or from the caller and the author."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.model.plan import Binding, Constant, Dag, FinalStatus, FromInput, FromTask, InputItems, Node, Plan
from standpipe.model.refs import TaskRef
from standpipe.model.templates import InputParameter, Template
from standpipe.model.types import Json


def comes_from_task(plan: Plan, task: TaskRef, name: str) -> bool:
    """Return whether another task has made the value of an input, or a part of it.

    Args:
        plan: the Plan of the run.
        task: the task.
        name: the name of its input.
    """
    nodes = list(_find_nodes(plan, task))
    pending, seen = [(len(nodes) - 1, name)], set[tuple[int, str]]()
    while pending:
        depth, name = each = pending.pop()
        if depth < 0 or each in seen:  # an argument of the run
            continue
        seen.add(each)
        node = nodes[depth]
        if node.loop and node.loop.item_input == name and isinstance(node.loop.items, InputItems):
            pending.append((depth, node.loop.items.input))
            continue
        binding = node.inputs.get(name)
        if isinstance(binding, (FromTask, FinalStatus)):
            return True
        pending += [(depth - 1, binding.input)] if isinstance(binding, FromInput) else []
        pending += [(depth, other) for other in _find_names(binding)]
    return False


def _find_nodes(plan: Plan, task: TaskRef) -> Iterator[Node]:
    """Yield the nodes from one of the root DAG down to that of a task."""
    body = plan.root.body
    for name, _ in task.path:
        assert isinstance(body, Dag), "only DAGs have tasks"
        yield body.nodes[name]
        body = plan.components[body.nodes[name].component].body


def _find_names(binding: Binding | None) -> Iterator[str]:
    """Yield the inputs of the same task that the placeholders in a constant name."""
    pending: list[Json] = [binding.value] if isinstance(binding, Constant) else []
    while pending:
        value = pending.pop()
        if isinstance(value, Template):
            yield from (part.name for part in value.parts if isinstance(part, InputParameter))
        elif isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, (list, tuple)):
            pending += value
