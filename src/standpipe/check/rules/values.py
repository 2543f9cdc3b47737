"""Rules for values and names: the limits of Linux, etcd, Argo and the backend, and values that are secrets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from standpipe.check import sizes
from standpipe.check.rule import Problem
from standpipe.check.view import PipelineView, TaskView, walk_constants
from standpipe.model.resources import format_memory
from standpipe.model.types import ParameterInput

#: The most characters in a name in a workflow of Argo, and what they are (`workflow/validate` of Argo Workflows).
_MAX_ARGO_NAME = 128
_ARGO_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")

#: Tokens that say what they are by their beginnings, and URLs with passwords.
_TOKEN = re.compile(
    r"AKIA[0-9A-Z]{16}$|AIza[\w-]{35}$|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22}|glpat-[\w-]{20}|hf_[A-Za-z0-9]{30}"
    r"|sk-[A-Za-z0-9_-]{32}|xox[abpr]-[\w-]{10}|-----BEGIN [A-Z ]*PRIVATE KEY-----|[a-z][\w+.-]*://[^/:@{}\s]+:[^/@{}\s]+@"
)

#: Variables that hold secrets.
_SECRET_NAME = re.compile(r"(.*_)?(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|SECRET_?KEY|PRIVATE_?KEY)", re.I)
_LEAST_SECRET = 8


def find_large_arguments(pipeline: PipelineView) -> Iterator[Problem]:
    for task in pipeline.tasks:
        size = sizes.size_of_constants(task) if task.node.inputs or task.node.loop else 0
        if size > sizes.MAX_ARGUMENT:
            problem = f"the constants of task {task.name!r} take {format_memory(size)}, over the 128 KiB of an argument"
            yield Problem(task, problem, "inputs")


def find_large_programs(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        size = sizes.size_of_program(view.container)
        if size > sizes.MAX_ARGUMENT:
            problem = (
                f"the source of component {view.name!r} takes {format_memory(size)}, over the 128 KiB of an argument"
            )
            yield Problem(view, problem, "args")


def find_large_dags(pipeline: PipelineView) -> Iterator[Problem]:
    for dag in pipeline.dags:
        size = sizes.size_of_dag(dag) if dag.tasks else 0
        if size > sizes.MAX_ARGUMENT and not any(map(_is_large, dag.tasks.values())):
            problem = (
                f"the {len(dag.tasks)} tasks of one DAG take {format_memory(size)}, over the 128 KiB of an argument"
            )
            yield Problem(dag, problem, "dag")


def _is_large(task: TaskView) -> bool:
    """Return whether a task alone is over the limit, which is reported already."""
    return sizes.size_of_constants(task) > sizes.MAX_ARGUMENT


def find_large_workflows(pipeline: PipelineView) -> Iterator[Problem]:
    size = sizes.size_of_workflow(pipeline)
    if size > sizes.MAX_OBJECT:
        problem = f"the workflow takes {format_memory(size)}, over the 1.5 MiB that etcd stores by default"
        yield Problem(pipeline, problem)


def find_secrets(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        for node in view.program.author_nodes() if view.program else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _TOKEN.match(node.value):
                yield Problem(view, f"the program of component {view.name!r} has a secret", "", node.lineno)
    for task in pipeline.tasks:
        for name, value in task.constants():
            if any(isinstance(text, str) and _TOKEN.match(text) for text in walk_constants(value)):
                yield Problem(task, f"the input {name!r} of task {task.name!r} is a secret", task.input_path(name))
        for name, text in task.container.env.items() if task.container else ():
            if _TOKEN.match(text) or (_SECRET_NAME.fullmatch(name) and _is_opaque(text)):
                yield Problem(task, f"the variable {name!r} of task {task.name!r} is a secret", mark=name)
    for name, declared in pipeline.plan.root.inputs.items():
        default = declared.default if isinstance(declared, ParameterInput) else None
        if isinstance(default, str) and _TOKEN.match(default):
            yield Problem(pipeline, f"the default of the input {name!r} is a secret", mark=name)


def _is_opaque(text: str) -> bool:
    """Return whether a text may be a secret: neither a path, a URL, nor words."""
    return len(text) >= _LEAST_SECRET and re.fullmatch(r"[^\s/:{}]+", text) is not None


def find_invalid_task_names(pipeline: PipelineView) -> Iterator[Problem]:
    for task in pipeline.tasks:
        longest = max(_argo_names(task), key=len)
        if len(longest) > _MAX_ARGO_NAME:
            problem = f"the name of task {task.name!r} makes one of {len(longest)} characters in Argo, over its 128"
            yield Problem(task, problem)
        elif not _ARGO_NAME.fullmatch(task.name):
            yield Problem(task, f"the name of task {task.name!r} has other characters than letters, digits and '-'")


def _argo_names(task: TaskView) -> Iterator[str]:
    """Yield the names of what a task becomes in a workflow (`v2/compiler/argocompiler/dag.go`)."""
    yield f"{task.name}-driver"
    if task.node.loop:
        yield f"{task.node.component}-{task.name}-iterator"
    if task.is_hook:
        yield f"exit-hook-{task.dag.path.removeprefix('components.')}-{task.name}"
