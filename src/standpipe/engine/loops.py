"""Loops: their items, and the outputs collected from their iterations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from standpipe.engine.inputs import InputError, fit_inputs, render_constant
from standpipe.engine.tasks import DagTask, Iteration, LoopTask, Task
from standpipe.model.cluster_differences import SP101, SP102, SP107, SP113, SP124, decides
from standpipe.model.json_values import parse_json
from standpipe.model.plan import Loop, RawItems
from standpipe.model.templates import parse_value
from standpipe.model.types import ArtifactOutput
from standpipe.model.values import ArtifactValue, Collected, Value, flatten, preview, type_name


@decides(SP107, SP113, SP124)
def resolve_items(loop: Loop, inputs: Mapping[str, Value], get_field: Callable[[str], str]) -> tuple[Value, ...]:
    """Return the items of a loop: constants, or an input that is a list or the text of a JSON list.

    Args:
        loop: the loop.
        inputs: the values of the inputs of its task.
        get_field: returns the value of a placeholder about the run or the task.

    Raises:
        InputError: if the input is not a list.
    """
    if isinstance(loop.items, RawItems):
        return tuple(render_constant(parse_value(item), {}, get_field) for item in loop.items.items)
    value = flatten(inputs.get(loop.items.input))
    items = _parse(value) if isinstance(value, str) else value
    if not isinstance(items, list):
        raise InputError(
            f"its loop items are invalid: expected a list, got {preview(value)} ({type_name(value)}) from its input "
            f"{loop.items.input!r}"
        )
    return tuple(items)


def fit_item(iteration: Task, position: Iteration, get_field: Callable[[str], str]) -> Value:
    """Return the item of an iteration, fitted to its declared type unless the iteration is a DAG.

    A DAG passes its item on to tasks that declare types of their own. Those are the better ones: of the items of an
    untyped list, the KFP compiler says that they are text.

    Raises:
        InputError: if the item is null, or has the wrong type.
    """
    name, item = position.parent.loop.item_input, position.item
    declared = iteration.component.inputs.get(name)
    if declared is None or (isinstance(iteration, DagTask) and item is not None):
        return item
    return fit_inputs({name: item}, {name: declared}, get_field, lambda _: "the loop's item is null")[name]


@decides(SP101, SP102)
def collect_loop_outputs(loop: LoopTask) -> dict[str, Value]:
    """Return the outputs of a loop: those of its iterations, in order. An iteration without an output is left out."""
    return {
        name: _collect_artifacts(loop, name)
        if isinstance(output, ArtifactOutput)
        else Collected(part.outputs[name] for part in loop.iterations if name in part.outputs)
        for name, output in loop.component.outputs.items()
    }


def _collect_artifacts(loop: LoopTask, name: str) -> Value:
    artifacts: list[ArtifactValue] = []
    for iteration in loop.iterations:
        value = iteration.outputs.get(name)
        if isinstance(value, list):
            artifacts += value
        elif value is not None:
            artifacts.append(value)
    return artifacts


def _parse(text: str) -> Value:
    try:
        return parse_json(text)
    except ValueError:
        return text  # not a list, which the caller reports
