"""Loops: their items, and what is gathered from their iterations."""

from __future__ import annotations

import json
from collections.abc import Mapping

from standpipe.engine.inputs import BindingError, fit_inputs
from standpipe.engine.tasks import Task
from standpipe.model.plan import Loop, RawItems
from standpipe.model.types import ArtifactOutput
from standpipe.model.values import ArtifactValue, Collected, Value, flattened, kind_of, preview


def items_of(loop: Loop, inputs: Mapping[str, Value]) -> tuple[Value, ...]:
    """What a loop goes over: what its author wrote, or a list or the text of a JSON list among its task's inputs.

    Raises:
        BindingError: if that is no list.
    """
    if isinstance(loop.items, RawItems):
        return loop.items.items
    given = flattened(inputs.get(loop.items.input))
    items = _parsed(given) if isinstance(given, str) else given
    if not isinstance(items, list):
        raise BindingError(
            f"its loop items are no list: its input {loop.items.input!r} is {preview(given)}, which is {kind_of(given)}"
        )
    return tuple(items)


def item_of(loop: Loop, iteration: Task) -> Value:
    """The item of an iteration. A DAG gets it as it is: the tasks in it say of which type they want it.

    For that type is the better one: of the items of an untyped list, the KFP compiler says that they are text.

    Raises:
        BindingError: if the item is null or, where no DAG but a task gets it, of the wrong type.
    """
    declared = iteration.component.inputs.get(loop.item_input)
    if declared is None or (iteration.dag and iteration.item is not None):
        return iteration.item
    given = {loop.item_input: iteration.item}
    return fit_inputs(given, {loop.item_input: declared}, lambda _: "the loop's item is null")[loop.item_input]


def gathered_outputs(loop: Task) -> dict[str, Value]:
    """The outputs of a loop: those of its iterations, in order. An iteration that lacks one is left out."""
    return {
        name: _artifacts(loop, name)
        if isinstance(output, ArtifactOutput)
        else Collected(part.outputs[name] for part in loop.iterations if name in part.outputs)
        for name, output in loop.component.outputs.items()
    }


def _artifacts(loop: Task, name: str) -> Value:
    gathered: list[ArtifactValue] = []
    for iteration in loop.iterations:
        value = iteration.outputs.get(name)
        if isinstance(value, list):
            gathered += value
        elif value is not None:
            gathered.append(value)
    return gathered


def _parsed(text: str) -> Value:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # which the caller refuses as no list
