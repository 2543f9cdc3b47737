"""Requests to runners: everything that an attempt needs, with all placeholders resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from standpipe.execution.contract import build_executor_input
from standpipe.execution.host_paths import HostPaths, list_inputs
from standpipe.execution.rendering import Renderer
from standpipe.execution.task_config import build_task_configs, drop_passed_through
from standpipe.model.attempts import CommandLine, Mount, PodSettings, TaskRequest
from standpipe.model.events import StartAttempt
from standpipe.model.locations import is_remote
from standpipe.model.plan import Container, ExecutorRef, Plan, PythonFunction
from standpipe.model.ports import ArtifactStore
from standpipe.model.refs import RunInfo
from standpipe.model.resources import Limits
from standpipe.model.values import ArtifactValue, Value, find_artifacts
from standpipe.support.umask import PRIVATE


def build_request(
    plan: Plan,
    run: RunInfo,
    command: StartAttempt,
    pod: PodSettings,
    *,
    folder: Path,
    workspace: Path | None,
    store: ArtifactStore,
    host_paths: HostPaths | None = None,
    umask: int = PRIVATE,
    debug: bool | int = False,
) -> TaskRequest:
    """Return the request to the runner for one attempt.

    Args:
        plan: the Plan of the run.
        run: the run.
        command: the attempt, with the inputs of its task.
        pod: the settings for Kubernetes that apply to it.
        folder: the attempt's own folder.
        workspace: the folder that the run's tasks share.
        store: says where the payloads of output artifacts go.
        host_paths: the paths of this machine that the task may see; None if it sees all of it.
        umask: the permissions that its files do not get.
        debug: runs the attempt under a debugger.

    Raises:
        InputRefused: if an input is at a path that the task may not see.
    """
    component = plan.components[command.component]
    assert isinstance(component.body, ExecutorRef), "only components with an executor are started"
    container = plan.executors[component.body.label]
    assert isinstance(container, Container), "importers have no container"
    inputs = _at_task_paths(command.inputs, store)
    executor_input = build_executor_input(component, inputs, folder, store)
    renderer = Renderer(executor_input, partial(run.placeholder, command.task))
    settings = plan.kubernetes_settings(component.body.label)
    task_configs = build_task_configs(component, container, settings, renderer)
    executor_input["inputs"]["parameterValues"].update(task_configs)
    container = drop_passed_through(component, container)
    mounts = host_paths.list_inputs(command.inputs, pod.mounts) if host_paths else list_inputs(command.inputs)
    downloads = _list_downloads(inputs, command.inputs)
    return TaskRequest(
        run=run.id,
        task=command.task,
        attempt=command.attempt,
        image=renderer.render(container.image),
        program=_render_program(container, renderer),
        executor_input=executor_input,
        folder=folder,
        pipeline_root=Path(run.pipeline_root),
        workspace=workspace,
        env=container.env,
        limits=Limits(command.resources.cpu_limit, command.resources.memory_limit, command.gpus),
        input_mounts=(*mounts, *downloads),
        pod=pod,
        retry_index=command.retry_index,
        debug=debug,
        component=component,
        umask=umask,
        concurrency=command.concurrency,
        resources=command.resources,
    )


def _at_task_paths(inputs: Mapping[str, Value], store: ArtifactStore) -> Mapping[str, Value]:
    """Return the inputs of a task, with the paths of this machine at which it reads remote payloads."""
    if not any(is_remote(artifact.location) for artifact in find_artifacts(inputs.values())):
        return inputs

    def at_task_path(value: Value) -> Value:
        if isinstance(value, list):
            return [at_task_path(item) for item in value]
        if not isinstance(value, ArtifactValue):
            return value
        return replace(value, custom_path=store.task_path(value) or value.custom_path)

    return {name: at_task_path(value) for name, value in inputs.items()}


def _list_downloads(inputs: Mapping[str, Value], before: Mapping[str, Value]) -> tuple[Mount, ...]:
    """Return the mounts of remote payloads, which are not there before the task runs."""
    known = {artifact.custom_path for artifact in find_artifacts(before.values())}
    paths = dict.fromkeys(artifact.custom_path for artifact in find_artifacts(inputs.values()))
    return tuple(Mount(Path(path), path, read_only=True) for path in paths if path not in known)


def _render_program(container: Container, renderer: Renderer) -> PythonFunction | CommandLine:
    program = container.program
    if isinstance(program, PythonFunction):
        return program
    return CommandLine(renderer.render_arguments(program.command), renderer.render_arguments(program.args))
