"""Rules for loops, exit tasks and retries: what the backend drops (`v2/compiler/argocompiler` and `v2/driver`)."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.check.rule import Problem
from standpipe.check.view import PipelineView, TaskView
from standpipe.model.plan import FromInput, FromTask, Importer, InputItems


def find_hooks_without_upstream(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield exit hooks of no task: `DAG` makes a template of each, which only upstream tasks refer to."""
    for task in pipeline.tasks:
        if task.is_hook and not task.node.upstream:
            yield Problem(task, f"task {task.name!r} ignores failures of upstream tasks, and has none")


def find_dropped_hooks(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield exit hooks of tasks that do not pass them to Argo: `iteratorTask`, `importerTask`, and those of PVCs."""
    for task in pipeline.tasks:
        for name in task.node.upstream if task.is_hook else ():
            kind = _kind_without_hooks(task.dag.tasks[name])
            if kind:
                yield Problem(task, f"task {task.name!r} is the exit task of {name!r}, which is {kind}")


def _kind_without_hooks(task: TaskView) -> str:
    if task.node.loop:
        return "a loop"
    if isinstance(task.executor, Importer):
        return "an importer"
    return "a task for a PVC" if task.creates_pvc or task.deletes_pvc else ""


def find_items_in_bodies(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield tasks in a loop that read the whole list of its items, which `resolveInputs` removes from iterations."""
    for loop in pipeline.tasks:
        body = pipeline.body_of(loop)
        if body and loop.node.loop and isinstance(loop.node.loop.items, InputItems):
            for task, name in pipeline.readers(body, loop.node.loop.items.input):
                problem = f"task {task.name!r} reads the list that its loop {loop.name!r} iterates over"
                yield Problem(task, problem, task.input_path(name))


def find_selected_loop_inputs(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield loops that take a part of a value, which `resolveInputs` selects a second time in each iteration."""
    for task in pipeline.tasks:
        if task.node.loop is None:
            continue
        for name, binding in task.node.inputs.items():
            if isinstance(binding, (FromInput, FromTask)) and binding.selector:
                problem = f"the loop {task.name!r} takes a part of a value: {_describe(str(binding.selector))}"
                yield Problem(task, problem, task.input_path(name))
                break


def _describe(selector: str) -> str:
    return selector.replace("parseJson(string_value)", "item")


def find_ignored_retries(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield retries of pipelines and importers: only templates of containers have a retry strategy."""
    for task in pipeline.tasks:
        retry = task.node.retry
        if retry and retry.max_retries and (task.executor is None or isinstance(task.executor, Importer)):
            kind = "an importer" if task.executor else "a pipeline"
            yield Problem(task, f"task {task.name!r} is {kind}, which a cluster does not retry")
