"""How long the texts are in which a cluster passes parts of a pipeline on; never more than they really are."""

from __future__ import annotations

import json

from standpipe.check.view import DagView, PipelineView, TaskView
from standpipe.model.plan import Binding, Constant, Container, FromInput, FromTask, PythonFunction, RawItems
from standpipe.model.templates import print_value
from standpipe.model.types import Json

#: The most bytes in one argument of a program on Linux: 32 pages, one of which ends it (`MAX_ARG_STRLEN`).
MAX_ARGUMENT = 131_071

#: The most bytes in a request to etcd, by default (`--max-request-bytes`), and so in a Kubernetes object.
MAX_OBJECT = 1_572_864


def size_of(value: Json) -> int:
    """Return the bytes of a value as JSON."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str).encode())


def size_of_constants(task: TaskView) -> int:
    """Return the bytes of the constants of a task: they are in one argument, the executor input."""
    constants = {name: print_value(value) for name, value in task.constants()}
    items = task.node.loop.items if task.node.loop else None
    return size_of([constants, list(items.items) if isinstance(items, RawItems) else []])


def size_of_dag(dag: DagView) -> int:
    """Return the bytes of the specification of a DAG: one argument of its driver."""
    return size_of({"dag": {"tasks": {name: _task(task) for name, task in dag.tasks.items()}}})


def size_of_workflow(pipeline: PipelineView) -> int:
    """Return the bytes of the workflow: it has tasks in their DAGs and by themselves, and each container once."""
    dags = sum(size_of_dag(dag) for dag in pipeline.dags)
    tasks = sum(size_of(_task(task)) for task in pipeline.tasks)
    return dags + tasks + sum(size_of(json.dumps(_program(view.container))) for view in pipeline.containers)


def size_of_program(container: Container) -> int:
    """Return the bytes of the source of a Python component, as JSON; 0 for other components."""
    return size_of(container.program.source) if isinstance(container.program, PythonFunction) else 0


def _program(container: Container) -> Json:
    return container.program.source if isinstance(container.program, PythonFunction) else ""


def _task(task: TaskView) -> Json:
    node = task.node
    inputs: dict[str, dict[str, Json]] = {}
    for name, binding in node.inputs.items():
        inputs.setdefault(task.component.input_table(name), {})[name] = _binding(binding)
    return {
        "componentRef": {"name": node.component},
        "dependentTasks": list(node.upstream),
        "inputs": inputs,
        "taskInfo": {"name": node.display_name or node.name},
        "triggerPolicy": {"condition": str(node.trigger.condition)} if node.trigger.condition else {},
    }


def _binding(binding: Binding) -> Json:
    if isinstance(binding, Constant):
        return {"runtimeValue": {"constant": print_value(binding.value)}}
    if isinstance(binding, FromTask):
        return {"taskOutputParameter": {"outputParameterKey": binding.output, "producerTask": binding.task}}
    return {"componentInputParameter": binding.input if isinstance(binding, FromInput) else binding.task}
