"""Rules for what tasks pass on: artifacts, imports, and what nothing uses."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from standpipe.check.fields import entries, producer_of
from standpipe.check.rule import Problem
from standpipe.check.view import DagView, PipelineView, TaskView
from standpipe.model.plan import Binding, Constant, FromInput, FromTask, Importer
from standpipe.model.templates import InputParameter, Template
from standpipe.model.types import (
    ArtifactInput,
    ArtifactOutput,
    ArtifactType,
    Input,
    Output,
    ParameterInput,
    ParameterOutput,
    ParameterType,
    is_complete_without_payload,
)

#: The type that holds every artifact.
_ANY = "system.Artifact"

#: The URIs that the backend reads, as `bucketPattern` of `v2/objectstore/config.go`, and images of models.
_REMOTE_URI = re.compile(r"[a-z][a-z0-9]+:///?[^/?]+.*")


def find_unfit_artifacts(pipeline: PipelineView) -> Iterator[Problem]:
    for task in pipeline.tasks:
        if task.executor is None:
            continue
        for name, declared in task.component.inputs.items():
            binding = task.node.inputs.get(name)
            if isinstance(declared, ArtifactInput) and binding and declared.type.schema_title != _ANY:
                for made in _origins(pipeline, task.dag, binding, 0):
                    if made.schema_title not in (_ANY, declared.type.schema_title):
                        problem = f"task {task.name!r} takes {name!r} as {declared.type.label}, and gets"
                        yield Problem(task, f"{problem} {made.label}", task.input_path(name), mark=name)


def _origins(pipeline: PipelineView, dag: DagView, binding: Binding, depth: int) -> Iterator[ArtifactType]:
    """Yield the types that the outputs were declared with that a binding gets its artifact from."""
    if depth > len(pipeline.dags):  # a defect of the file: more steps than DAGs
        return
    if isinstance(binding, FromInput):
        for caller in dag.callers:
            outer = caller.node.inputs.get(binding.input)
            if outer is not None and not caller.node.loop:
                yield from _origins(pipeline, caller.dag, outer, depth + 1)
    elif isinstance(binding, FromTask) and binding.task in dag.tasks:
        producer = dag.tasks[binding.task]
        body, output = pipeline.body_of(producer), producer.component.outputs.get(binding.output)
        if body:
            for source in body.dag.outputs.get(binding.output, ()):
                yield from _origins(pipeline, body, source, depth + 1)
        elif isinstance(output, ArtifactOutput):
            yield output.type


def find_unused_outputs(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield outputs of tasks that are parameters, and that no task and no output of the pipeline takes."""
    for dag in pipeline.dags:
        used = {(source.task, source.output) for sources in dag.dag.outputs.values() for source in sources}
        for task in dag.tasks.values():
            used |= {(b.task, b.output) for b in task.node.inputs.values() if isinstance(b, FromTask)}
            used |= {producer_of(mount) for mount in entries(task.settings, "pvcMount")}
        for task in dag.tasks.values():
            for name, output in task.component.outputs.items():
                if isinstance(output, ParameterOutput) and (task.name, name) not in used and task.executor:
                    yield Problem(task, f"nothing uses the output {name!r} of task {task.name!r}")


def find_unused_pipeline_inputs(pipeline: PipelineView) -> Iterator[Problem]:
    root = pipeline.root
    settings = json.dumps([task.settings for task in root.tasks.values()], default=str)
    for name in root.component.inputs:
        is_read = any(pipeline.readers(root, name)) or f'"{name}"' in settings
        if not is_read:
            yield Problem(pipeline, f"no task takes the input {name!r} of the pipeline", mark=name)


def find_unused_inputs(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        if view.program and view.program.definition:
            used = _names_in_body(view.program.definition)
            for name in view.component.inputs:
                if name not in used and not name.startswith("_"):
                    yield Problem(view, f"component {view.name!r} does not use its input {name!r}", mark=name)


def find_unwritten_outputs(pipeline: PipelineView) -> Iterator[Problem]:
    for view in pipeline.containers:
        definition = view.program.definition if view.program else None
        if definition is None:
            continue
        used, declared = _names_in_body(definition), {argument.arg for argument in _arguments(definition)}
        for name, output in view.component.outputs.items():
            needs_payload = isinstance(output, ArtifactOutput) and not is_complete_without_payload(output.type, {})
            if needs_payload and name in declared and name not in used:
                yield Problem(view, f"component {view.name!r} does not write its output {name!r}", mark=name)


def _names_in_body(definition: ast.FunctionDef) -> set[str]:
    names = {node.id for statement in definition.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    return (
        names | {each.arg for each in _arguments(definition)} if {"locals", "vars", "eval", "exec"} & names else names
    )


def _arguments(definition: ast.FunctionDef) -> list[ast.arg]:
    arguments = definition.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def find_local_imports(pipeline: PipelineView) -> Iterator[Problem]:
    for task in pipeline.tasks:
        if isinstance(task.executor, Importer):
            uri = _constant_uri(pipeline, task)
            if "{{$" in uri:
                continue  # known at run time
            if uri and not _REMOTE_URI.fullmatch(uri):
                problem = f"task {task.name!r} imports {uri!r}, which is a path of this machine"
                yield Problem(task, problem, mark=uri)
            elif uri.startswith("file:"):
                yield Problem(task, f"task {task.name!r} imports {uri!r}, a file of this machine", mark=uri)


def _constant_uri(pipeline: PipelineView, task: TaskView) -> str:
    """Return the URI that an importer has in the code, or the default of an input of the pipeline; otherwise empty."""
    assert isinstance(task.executor, Importer), "the caller has checked it"
    if isinstance(task.executor.uri, str):
        return task.executor.uri
    binding = task.node.inputs.get(task.executor.uri.input)
    value = binding.value if isinstance(binding, Constant) else None
    if isinstance(binding, FromInput) and task.dag.is_root:
        value = getattr(pipeline.plan.root.inputs.get(binding.input), "default", None)
    return value if isinstance(value, str) else ""


def find_unfit_oci_imports(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield imports from registries of images: those of other types than models, and those that go to the workspace.

    As `ImportSpecToMLMDArtifact` in `v2/component/importer_launcher.go`.
    """
    for task in pipeline.tasks:
        if isinstance(task.executor, Importer) and _constant_uri(pipeline, task).startswith("oci://"):
            kind = task.executor.type
            if kind.schema_title != "system.Model":
                yield Problem(task, f"task {task.name!r} imports a {kind.label} from a registry, which has models only")
            elif task.executor.download_to_workspace:
                yield Problem(task, f"task {task.name!r} downloads a model from a registry to the workspace")


def find_unresolved_imports(pipeline: PipelineView) -> Iterator[Problem]:
    """Yield importers whose URI the launcher does not find: it reads inputs of the DAG only, and no part of one.

    As `ImportSpecToMLMDArtifact` in `v2/component/importer_launcher.go`.
    """
    for task in pipeline.tasks:
        if not isinstance(task.executor, Importer) or not isinstance(task.executor.uri, FromInput):
            continue
        binding = task.node.inputs.get(task.executor.uri.input)
        path = task.input_path(task.executor.uri.input)
        if isinstance(binding, FromTask):
            yield Problem(task, f"task {task.name!r} imports a URI that is an output of task {binding.task!r}", path)
        elif isinstance(binding, FromInput) and binding.selector:
            yield Problem(task, f"task {task.name!r} imports a URI that is a part of an item", path)
        elif isinstance(binding, Constant) and isinstance(binding.value, Template):
            yield Problem(task, f"task {task.name!r} imports a URI that is text around a value", path)


def find_quotes_in_texts(pipeline: PipelineView) -> Iterator[tuple[TaskView, str]]:
    """Yield tasks with a text around a dict, or around a list of texts, each with the input that is the text.

    The JSON of such a value has quotes, unless it is empty.
    """
    for task in pipeline.tasks:
        for name, value in task.constants():
            if isinstance(value, Template) and len(value.parts) > 1:
                names = [part.name for part in value.parts if isinstance(part, InputParameter)]
                if any(_has_quotes(_declaration_of(task, each)) for each in names):
                    yield task, name


def _has_quotes(declared: Input | Output | None) -> bool:
    if not isinstance(declared, (ParameterInput, ParameterOutput)):
        return False
    is_list_of_texts = re.fullmatch(r"(typing\.)?list\[(str|(typing\.)?dict.*)\]", declared.annotation, re.IGNORECASE)
    return declared.type is ParameterType.STRUCT or is_list_of_texts is not None


def _declaration_of(task: TaskView, name: str) -> Input | Output | None:
    """Return the declaration of what an input of a task gets, which its component need not declare."""
    binding = task.node.inputs.get(name)
    if isinstance(binding, FromTask) and binding.task in task.dag.tasks and not binding.selector:
        return task.dag.tasks[binding.task].component.outputs.get(binding.output)
    if isinstance(binding, FromInput) and not binding.selector:
        return task.dag.component.inputs.get(binding.input)
    return None
