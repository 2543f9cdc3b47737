"""The rows of where a cluster differs that are about values: placeholders, conditions, numbers and the cache."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from standpipe.check.rule import Problem
from standpipe.check.rules.dataflow import find_quotes_in_texts
from standpipe.check.view import ContainerView, PipelineView, Place, TaskView, dotted_name, walk_constants
from standpipe.model.expressions import Comparison, Expression, Literal, Logical, Not, Tree, describe_cluster_reading
from standpipe.model.plan import Command, RawItems
from standpipe.model.templates import (
    ArtifactField,
    Concat,
    ExecutorInputText,
    IfPresent,
    InputParameter,
    JobField,
    JsonEscape,
    Placeholder,
    Template,
    parse_text,
)
from standpipe.model.types import ArtifactInput, Json, ParameterInput, ParameterType

#: Above it, a double does not hold every whole number.
_MAX_EXACT = 2**53

_TASK_ID = "pipeline_task_uuid"
_ROOT = "pipeline_root"


def find_final_states(pipeline: PipelineView) -> Iterator[Problem]:
    """SP104: programs that take a final status and know `SUCCEEDED`, and not what a cluster writes instead."""
    for view in pipeline.containers:
        kinds = {declared.type for declared in view.component.inputs.values()}
        if view.program and ParameterType.TASK_FINAL_STATUS in kinds:
            lines = {
                node.value: node.lineno
                for node in view.program.author_nodes()
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            if "SUCCEEDED" in lines and "COMPLETE" not in lines:
                yield Problem(view, "", "", lines["SUCCEEDED"], "SUCCEEDED")


def find_repeated_task_ids(pipeline: PipelineView) -> Iterator[Problem]:
    """SP105: the second and later tasks of one DAG with the placeholder of the task's id."""
    for dag in pipeline.dags:
        users = [task for task in dag.tasks.values() if _TASK_ID in _fields_of(task)]
        yield from (Problem(task, "") for task in users[1:])


def _fields_of(task: TaskView) -> set[str]:
    return {
        part.name
        for _, value in task.constants()
        for text in walk_constants(value)
        if isinstance(text, Template)
        for part in text.parts
        if isinstance(part, JobField)
    }


def find_placeholders_in_texts(pipeline: PipelineView) -> Iterator[Problem]:
    """SP106: placeholders of the run within other text, and in the commands of container components."""
    for task in pipeline.tasks:
        for name, value in task.constants():
            if isinstance(value, Template) and len(value.parts) > 1 and _has_job_field(value):
                yield Problem(task, "", task.input_path(name))
    for view, placeholder in _command_placeholders(pipeline):
        if isinstance(placeholder, JobField) and placeholder.name not in (_ROOT, "workspace_path"):
            yield Problem(view, "")


def _has_job_field(text: Template) -> bool:
    names = {part.name for part in text.parts if isinstance(part, JobField)}
    return bool(names - {"workspace_path", _ROOT})


def find_placeholders_as_programs(pipeline: PipelineView) -> Iterator[Problem]:
    """SP108: a placeholder in the first word of a command, but for parameters, which the driver replaces.

    As `resolveContainerArgs` in `v2/driver/util.go`.
    """
    for view in pipeline.containers:
        program = view.container.program
        if isinstance(program, Command) and program.command:
            placeholders = _placeholders(program.command[0])
            if any(not isinstance(each, (ExecutorInputText, InputParameter)) for each in placeholders):
                yield Problem(view, "", "command")


def find_structures_in_texts(pipeline: PipelineView) -> Iterator[Problem]:
    """SP109: only dicts and lists of texts, whose JSON has quotes. Whether a text has some is known at run time."""
    for task, name in find_quotes_in_texts(pipeline):
        yield Problem(task, "", task.input_path(name))


def find_uncached_influences(pipeline: PipelineView) -> Iterator[Problem]:
    """SP116: cached tasks with environment variables, or with files of secrets and config maps."""
    fields = ("secretAsEnv", "secretAsVolume", "configMapAsEnv", "configMapAsVolume")
    for task in pipeline.tasks:
        is_cached = task.container and task.node.caching and task.node.caching.enabled
        if task.container and is_cached and (task.container.env or any(task.settings.get(each) for each in fields)):
            yield Problem(task, "")


def find_fractions(pipeline: PipelineView) -> Iterator[Problem]:
    """SP117: constants for `int` inputs that are fractional numbers, which the SDK refuses to compile."""
    for task in pipeline.tasks:
        for name, value in task.constants():
            declared = task.component.inputs.get(name)
            is_whole = isinstance(declared, ParameterInput) and declared.type is ParameterType.NUMBER_INTEGER
            if is_whole and isinstance(value, float) and not value.is_integer():
                yield Problem(task, "", task.input_path(name))


def find_metadata_in_commands(pipeline: PipelineView) -> Iterator[Problem]:
    """SP118: the metadata of an artifact in a command."""
    for view, placeholder in _command_placeholders(pipeline):
        if isinstance(placeholder, ArtifactField) and placeholder.field == "metadata":
            yield Problem(view, "", mark="metadata")


def find_unescaped_conditions(pipeline: PipelineView) -> Iterator[Problem]:
    """SP121: conditions that a cluster cannot parse, or in which it reads another text."""
    for task, condition in _misread_conditions(pipeline):
        if not _compares_numbers(condition):
            yield Problem(task, "", "triggerPolicy.condition")


def find_numbers_for_bools(pipeline: PipelineView) -> Iterator[Problem]:
    """SP126: conditions in which a cluster reads a bool or a text for a number."""
    for task, condition in _misread_conditions(pipeline):
        if _compares_numbers(condition):
            yield Problem(task, "", "triggerPolicy.condition")


def _misread_conditions(pipeline: PipelineView) -> Iterator[tuple[TaskView, Expression]]:
    for task in pipeline.tasks:
        condition = task.node.trigger.condition
        if condition and describe_cluster_reading(condition):
            yield task, condition


def _compares_numbers(condition: Expression) -> bool:
    """Return whether all of the texts that a condition compares need no escapes, so that something else is misread."""
    texts = [value for value in _literals(condition.tree) if isinstance(value, str)]
    return not any(character in text for text in texts for character in "'\"\\\n")


def _literals(tree: Tree) -> Iterator[Json]:
    if isinstance(tree, Comparison):
        for side in (tree.left, tree.right):
            if isinstance(side, Literal):
                yield side.value
    elif isinstance(tree, Logical):
        for operand in tree.operands:
            yield from _literals(operand)
    elif isinstance(tree, Not):
        yield from _literals(tree.operand)


def find_pipeline_roots(pipeline: PipelineView) -> Iterator[Problem]:
    """SP122: the placeholder of the pipeline root."""
    for task in pipeline.tasks:
        if _ROOT in _fields_of(task):
            yield Problem(task, "")
    for view, placeholder in _command_placeholders(pipeline):
        if isinstance(placeholder, JobField) and placeholder.name == _ROOT:
            yield Problem(view, "")


def find_placeholders_in_data(pipeline: PipelineView) -> Iterator[Problem]:
    """SP124: placeholders in defaults of inputs and in items of loops."""
    for place, value in _data(pipeline):
        for text in walk_constants(value):
            parsed = parse_text(text) if isinstance(text, str) else text
            if isinstance(parsed, Template) and any(isinstance(part, JobField) for part in parsed.parts):
                yield Problem(place, "")


def find_large_numbers(pipeline: PipelineView) -> Iterator[Problem]:
    """SP125: whole numbers that a double does not hold."""
    values = [*_data(pipeline), *((task, value) for task in pipeline.tasks for _, value in task.constants())]
    for place, value in values:
        for number in walk_constants(value):
            if isinstance(number, int) and abs(number) > _MAX_EXACT and float(number) != number:
                yield Problem(place, "", mark=str(number))


def _data(pipeline: PipelineView) -> Iterator[tuple[Place, Json]]:
    """Yield the defaults of the pipeline's inputs, and the constant items of loops."""
    for declared in pipeline.plan.root.inputs.values():
        if isinstance(declared, ParameterInput):
            yield pipeline, declared.default
    for task in pipeline.tasks:
        if task.node.loop and isinstance(task.node.loop.items, RawItems):
            yield task, list(task.node.loop.items.items)


def find_written_inputs(pipeline: PipelineView) -> Iterator[Problem]:
    """SP127: programs that open the path of an input artifact for writing."""
    for view in pipeline.containers:
        inputs = {name for name, declared in view.component.inputs.items() if isinstance(declared, ArtifactInput)}
        for node in view.program.author_nodes() if view.program and inputs else ():
            if isinstance(node, ast.Call) and dotted_name(node.func) == "open" and len(node.args) > 1:
                name, _, attribute = dotted_name(node.args[0]).partition(".")
                mode = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
                if name in inputs and attribute == "path" and set(str(mode)) & set("wax+"):
                    yield Problem(view, "", "", node.lineno, "open")


def _command_placeholders(pipeline: PipelineView) -> Iterator[tuple[ContainerView, Placeholder]]:
    """Yield the placeholders in the commands of components that are not Python components."""
    for view in pipeline.containers:
        program = view.container.program
        if isinstance(program, Command):
            for argument in (*program.command, *program.args):
                yield from ((view, each) for each in _placeholders(argument))


def _placeholders(argument: object) -> Iterator[Placeholder]:
    if isinstance(argument, Template):
        for part in argument.parts:
            if not isinstance(part, str):
                yield part.inner if isinstance(part, JsonEscape) else part
    elif isinstance(argument, Concat):
        for item in argument.items:
            yield from _placeholders(item)
    elif isinstance(argument, IfPresent):
        yield from _placeholders(argument.then)
        yield from _placeholders(argument.otherwise)
    elif isinstance(argument, tuple):
        for item in argument:
            yield from _placeholders(item)
