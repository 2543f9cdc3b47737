"""The rerun of one task of a run, with the inputs that it had, as a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from standpipe.artifact_stores.local import LocalArtifactStore
from standpipe.artifact_stores.routing import ArtifactStores
from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.components import ExecutorComponent, component_from_plan
from standpipe.dsl.registry import defined_components
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.engine.inputs import InputError, fit_inputs
from standpipe.engine.tasks import ExecutorTask
from standpipe.errors import ArgumentError, NoSuchTask
from standpipe.model.frozen import replace
from standpipe.model.locations import is_remote
from standpipe.model.plan import (
    Binding,
    Caching,
    Component,
    Constant,
    Dag,
    ExecutorRef,
    FromInput,
    FromTask,
    Node,
    Plan,
)
from standpipe.model.ports import ArtifactStore
from standpipe.model.values import Value, find_artifacts, flatten
from standpipe.runners.attaching import check_debug
from standpipe.runs.arguments import from_values, to_values
from standpipe.runs.context import resolve_state_root
from standpipe.runs.credentials import find_providers
from standpipe.runs.current_code import describe_recorded_code, find_redefined
from standpipe.runs.launch import start
from standpipe.runs.options import RunOptions
from standpipe.runs.pulled import read_mark
from standpipe.runs.stored_run import existing_context, find_tasks, load_origin, load_run, run_folder
from standpipe.store.reading import artifact_root
from standpipe.support.notices import inform, quiet_notices, warn

#: Returns values for inputs of a component.
GetArguments = Callable[[BaseComponent], Mapping[str, Any]]


def rerun_task(
    options: RunOptions,
    run_id: str,
    task_name: str,
    current: BaseComponent | None,
    *,
    debug: bool | int,
    get_arguments: GetArguments = lambda _: {},
) -> PipelineTask:
    """Rerun one task of a run, as a run of its own; see `standpipe.local.rerun_task`.

    Args:
        options: the options of the new run.
        run_id: the id of the run, or the beginning of it, the name of a pipeline, or `latest`.
        task_name: the name or the path of the task.
        current: the pipeline with the task as it is now, or its component; None for the pipeline that is defined under
            the name of the run's, or the stored one.
        debug: whether the task runs under a debugger; a port if that is the debugger of an editor.
        get_arguments: returns values that replace inputs that the task had, or that are not known.
    """
    check_debug(debug)
    if debug:
        options.runner.check_debug()
    root = resolve_state_root(options)
    stored = load_run(root, run_id)
    machine = stored.replay(existing_context(options, root, stored.row, stored.plan))
    (ref, *others) = find_tasks(machine.root, [task_name])
    if others:
        raise NoSuchTask(
            f"Run {stored.row.id} has {len(others) + 1} tasks {task_name!r}: {', '.join(map(str, (ref, *others)))}. "
            "Pass the path of one of them."
        )
    task = machine.task(ref)
    if not isinstance(task, ExecutorTask) or not task.next_attempt:
        is_executed = isinstance(task, ExecutorTask)
        reason = "it never started" if is_executed else "it is a pipeline or a loop: pass a task in it"
        raise ArgumentError(f"Cannot rerun task '{ref}' of run {stored.row.id}: {reason}.")
    if stored.has_lost_secrets(task.inputs):
        raise ArgumentError(
            f"Cannot rerun task '{ref}' of run {stored.row.id}: its inputs held a secret, which the run store does not "
            "keep. Start a new run."
        )
    subject = f"Cannot rerun task '{ref}' of run {stored.row.id} with its code as it is now"
    if not options.artifact_root and (uri := artifact_root(root, stored.row.id)):
        options = replace(options, pipeline_root=uri, state_root=root)
    origin = load_origin(root, stored.row)
    current = current or defined_components.get(origin.plan.name)
    if current is None:
        with quiet_notices(options.quiet):
            inform(f"Rerunning task '{ref}' of run {stored.row.id}. {describe_recorded_code(origin.plan)}")
        definition = _Definition(stored.as_component().plan, task.node)
    else:
        definition = _find_definition(current, origin.path or str(ref), subject)
        redefined = find_redefined(current).get(definition.node.component)
        if redefined:
            definition = _find_definition(redefined, "", subject)
    component = component_from_plan(_single_task_plan(definition, ref.name, task.inputs))
    component.file = current.file if current else ""
    recorded = {name: task.inputs[name] for name in component.inputs if name in task.inputs}
    arguments = {**recorded, **to_values(get_arguments(component))}
    inputs_of = f"{stored.row.id}/{ref}" if arguments == recorded else ""
    try:
        fit_inputs(arguments, component.plan.root.inputs, str)  # before anything of the new run is written
    except InputError as error:
        pulled = read_mark(run_folder(root, stored.row))
        advice = (
            f"{pulled.host}, from which the run was pulled, does not tell it: pass it with --arg NAME=VALUE"
            if pulled
            else "Give that input a default, or resume the run, so that the pipeline passes a value"
        )
        raise ArgumentError(f"{subject}: {error}. {advice}.") from error
    if read_mark(run_folder(root, origin.row)):
        with quiet_notices(options.quiet):
            find = partial(find_providers, options.kubernetes)
            stores = ArtifactStores(LocalArtifactStore([root]), root, find_providers=find)
            _announce_downloads(origin.path or str(ref), arguments, stores)
    rerun_of = f"{origin.row.id}/{origin.path or ref}"
    return start(
        options,
        component,
        from_values(arguments),
        rerun_of=rerun_of,
        inputs_of=inputs_of,
        debug=debug,
        is_recorded=current is None,
    )


def _announce_downloads(task: str, arguments: Mapping[str, Value], artifacts: ArtifactStore) -> None:
    """Tell about inputs of a task of another system whose payloads are not on this machine."""
    for name, value in arguments.items():
        for artifact in find_artifacts([value]):
            if is_remote(artifact.location):
                advice = f"pull the run with --inputs-of {task}, or pass a path with --arg {name}=PATH"
                if problem := artifacts.find_problem(artifact.location):
                    warn(
                        f"Input {name!r} is at {artifact.location}, which cannot be read: {problem}. To have it here, "
                        f"{advice}."
                    )
                else:
                    inform(f"Input {name!r} is downloaded from {artifact.location}. If that fails, {advice}.")


class _Definition(NamedTuple):
    """A task of a Plan."""

    plan: Plan
    node: Node


def _find_definition(current: BaseComponent, path: str, subject: str) -> _Definition:
    """Return the task of a path in a pipeline, or the only task of a component that is not a pipeline.

    Raises:
        ArgumentError: if the pipeline has no such task.
    """
    plan = current.plan
    assert isinstance(plan.root.body, Dag)
    if isinstance(current, ExecutorComponent):
        (node,) = plan.root.body.nodes.values()
        return _Definition(plan, node)
    body: Dag | ExecutorRef = plan.root.body
    names = [part for part in path.split("/") if not part.isdecimal()]  # without the numbers of iterations
    for name in names:
        if not isinstance(body, Dag) or name not in body.nodes:
            tasks = ", ".join(_task_paths(plan, plan.root.body)) or "none"
            raise ArgumentError(
                f"{subject}: pipeline {current.name!r} has no task '{'/'.join(names)}'. Its tasks: {tasks}. Pass the "
                "component itself with pipeline=..., or resume the run."
            )
        node = body.nodes[name]
        body = plan.components[node.component].body
    if isinstance(body, Dag):
        raise ArgumentError(f"{subject}: it is a pipeline now. Resume the run instead.")
    return _Definition(plan, node)


def _task_paths(plan: Plan, dag: Dag, prefix: str = "") -> list[str]:
    """Return the paths of all tasks that are executed, without numbers of iterations."""
    paths = []
    for name, node in dag.nodes.items():
        body = plan.components[node.component].body
        paths += _task_paths(plan, body, f"{prefix}{name}/") if isinstance(body, Dag) else [f"{prefix}{name}"]
    return paths


def _single_task_plan(definition: _Definition, name: str, inputs: Mapping[str, Value]) -> Plan:
    """Return a Plan with one task of another Plan, whose inputs are those that the task had.

    An input that it did not have is the constant that the other Plan has for it, or an input of the new Plan.
    """
    plan, node = definition
    component = plan.components[node.component]
    assert isinstance(component.body, ExecutorRef)
    constants: dict[str, Binding] = {
        each: binding for each, binding in node.inputs.items() if isinstance(binding, Constant) and each not in inputs
    }
    only_in_command = {  # such as a placeholder's value that the component does not declare
        each: Constant(flatten(value))
        for each, value in inputs.items()
        if each not in component.inputs and each in node.inputs
    }
    declared = {each: declaration for each, declaration in component.inputs.items() if each not in constants}
    bindings = {**{each: FromInput(each) for each in declared}, **constants, **only_in_command}
    rerun = Node(name, node.component, bindings, caching=Caching(enabled=False))  # a rerun always executes the task
    outputs = {output: (FromTask(name, output),) for output in component.outputs}
    root = Component(
        Dag({name: rerun}, outputs), declared, component.outputs, source_location=plan.root.source_location
    )
    label = component.body.label
    return Plan(name, root, {node.component: component}, {label: plan.executors[label]}, platforms=plan.platforms)
