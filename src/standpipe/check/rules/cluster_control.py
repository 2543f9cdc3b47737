"""The rows of where a cluster differs that are about loops and about the end of tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from standpipe.check.rule import Problem
from standpipe.check.view import DagView, PipelineView, TaskView
from standpipe.model.plan import Constant, FromInput, FromTask, RawItems
from standpipe.model.types import ArtifactInput, Json, ParameterInput


def _loops(pipeline: PipelineView) -> Iterator[tuple[TaskView, DagView]]:
    for task in pipeline.tasks:
        body = pipeline.body_of(task)
        if task.node.loop and body:
            yield task, body


def find_collected_empty_loops(pipeline: PipelineView) -> Iterator[Problem]:
    """SP101: loops whose items are empty in the code, or by the default of an input, and whose outputs are used."""
    for loop, _ in _loops(pipeline):
        if _known_items(pipeline, loop) in ([], "[]") and _consumers_of(pipeline, loop):
            yield Problem(loop, "")


def _known_items(pipeline: PipelineView, loop: TaskView) -> Json:
    """Return the items of a loop that the code says, or the default of the pipeline's input; None if it is unknown."""
    assert loop.node.loop, "the caller has checked it"
    items = loop.node.loop.items
    if isinstance(items, RawItems):
        return list(items.items)
    binding = loop.node.inputs.get(items.input)
    if isinstance(binding, Constant):
        return binding.value
    if isinstance(binding, FromInput) and loop.dag.is_root and not binding.selector:
        declared = pipeline.plan.root.inputs.get(binding.input)
        return declared.default if isinstance(declared, ParameterInput) else None
    return None


def _consumers_of(pipeline: PipelineView, loop: TaskView) -> list[TaskView]:
    return [task for name in loop.component.outputs for task, _ in pipeline.consumers(loop, name)]


def find_collected_skips(pipeline: PipelineView) -> Iterator[Problem]:
    """SP102: tasks that take the collected output of a task in a condition in the loop."""
    for loop, body in _loops(pipeline):
        for name, sources in body.dag.outputs.items():
            is_skipped = len(sources) == 1 and body.tasks[sources[0].task].node.trigger.condition is not None
            for task, _ in pipeline.consumers(loop, name) if is_skipped else ():
                yield Problem(task, "")


def find_texts_as_items(pipeline: PipelineView) -> Iterator[Problem]:
    """SP107: items that are declared as text, where the text is known not to be a list. The SDK declares lists."""
    for loop, _ in _loops(pipeline):
        items = _known_items(pipeline, loop)
        if isinstance(items, str) and not _is_list(items):
            yield Problem(loop, "")


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return True  # it fails in the same way here


def find_artifact_loops(pipeline: PipelineView) -> Iterator[Problem]:
    """SP113: loops over lists of artifacts."""
    for loop, body in _loops(pipeline):
        assert loop.node.loop, "it is a loop"
        if isinstance(body.component.inputs.get(loop.node.loop.item_input), ArtifactInput):
            yield Problem(loop, "")


def find_nested_collections(pipeline: PipelineView) -> Iterator[Problem]:
    """SP120: inputs that are annotated as lists of lists, and get the outputs of nested loops."""
    for loop, body in _loops(pipeline):
        for name, sources in body.dag.outputs.items():
            is_nested = any(body.tasks[source.task].node.loop for source in sources)
            for task, input_name in pipeline.consumers(loop, name) if is_nested else ():
                declared = task.component.inputs.get(input_name)
                annotation = declared.annotation if isinstance(declared, ParameterInput) else ""
                if re.match(r"(typing\.)?list\[(typing\.)?list", annotation, re.IGNORECASE):
                    yield Problem(task, "", task.input_path(input_name))


def _hooks(pipeline: PipelineView) -> Iterator[TaskView]:
    return (task for task in pipeline.tasks if task.is_hook)


def find_hooks_of_several(pipeline: PipelineView) -> Iterator[Problem]:
    """SP110: exit hooks with two upstream tasks or more."""
    yield from (Problem(task, "") for task in _hooks(pipeline) if len(task.node.upstream) > 1)


def find_several_hooks(pipeline: PipelineView) -> Iterator[Problem]:
    """SP111: a second exit hook of the same task."""
    seen: set[tuple[str, str]] = set()
    for task in _hooks(pipeline):
        upstream = {(task.dag.path, name) for name in task.node.upstream}
        if upstream & seen:
            yield Problem(task, "")
        seen |= upstream


def find_tasks_after_hooks(pipeline: PipelineView) -> Iterator[Problem]:
    """SP112: tasks after an exit hook."""
    for task in pipeline.tasks:
        if any(task.dag.tasks[name].is_hook for name in task.node.upstream):
            yield Problem(task, "")


def find_inputs_of_hooks(pipeline: PipelineView) -> Iterator[Problem]:
    """SP114: exit hooks that take an output of their upstream task."""
    for task in _hooks(pipeline):
        for name, binding in task.node.inputs.items():
            if isinstance(binding, FromTask):
                yield Problem(task, "", task.input_path(name))


def find_skipped_outputs(pipeline: PipelineView) -> Iterator[Problem]:
    """SP115: outputs of the pipeline from a task after one that has a condition, which the SDK refuses to compile."""
    root = pipeline.root
    for sources in root.dag.outputs.values():
        if len(sources) == 1:
            names = {sources[0].task, *root.ancestors[sources[0].task]}
            if any(root.tasks[name].node.trigger.condition for name in names):
                yield Problem(root.tasks[sources[0].task], "")
