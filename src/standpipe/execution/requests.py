"""Requests to runners: everything that an attempt needs, with all placeholders resolved."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from standpipe.execution.contract import build_executor_input
from standpipe.execution.rendering import Renderer
from standpipe.execution.task_config import build_task_configs, drop_passed_through
from standpipe.model.events import StartAttempt
from standpipe.model.locations import is_remote
from standpipe.model.plan import Container, ExecutorRef, Plan, PythonFunction
from standpipe.model.ports import ArtifactStore, CommandLine, PodSettings, TaskRequest
from standpipe.model.refs import RunInfo
from standpipe.model.resources import Limits
from standpipe.model.values import Value, find_artifacts


def build_request(
    plan: Plan,
    run: RunInfo,
    command: StartAttempt,
    pod: PodSettings,
    *,
    folder: Path,
    workspace: Path | None,
    store: ArtifactStore,
    debug: bool = False,
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
        debug: runs the attempt under a debugger.
    """
    component = plan.components[command.component]
    assert isinstance(component.body, ExecutorRef), "only components with an executor are started"
    container = plan.executors[component.body.label]
    assert isinstance(container, Container), "importers have no container"
    executor_input = build_executor_input(component, command.inputs, folder, store)
    renderer = Renderer(executor_input, partial(run.placeholder, command.task))
    settings = plan.kubernetes_settings(component.body.label)
    task_configs = build_task_configs(component, container, settings, renderer)
    executor_input["inputs"]["parameterValues"].update(task_configs)
    container = drop_passed_through(component, container)
    pipeline_root = Path(run.pipeline_root)
    return TaskRequest(
        run=run.id,
        task=command.task,
        attempt=command.attempt,
        image=renderer.render(container.image),
        program=_render_program(container, renderer),
        executor_input=executor_input,
        folder=folder,
        pipeline_root=pipeline_root,
        workspace=workspace,
        env=container.env,
        limits=Limits(command.resources.cpu_limit, command.resources.memory_limit, command.gpus),
        input_paths=_list_outside_paths(command.inputs.values(), pipeline_root),
        pod=pod,
        retry_index=command.retry_index,
        debug=debug,
        component=component,
    )


def _render_program(container: Container, renderer: Renderer) -> PythonFunction | CommandLine:
    program = container.program
    if isinstance(program, PythonFunction):
        return program
    return CommandLine(renderer.render_arguments(program.command), renderer.render_arguments(program.args))


def _list_outside_paths(values: Iterable[Value], pipeline_root: Path) -> tuple[Path, ...]:
    """Return the payloads of input artifacts that are files of this machine outside of the pipeline root."""
    locations = dict.fromkeys(artifact.location for artifact in find_artifacts(values))
    paths = [Path(location) for location in locations if not is_remote(location)]
    return tuple(path for path in paths if path.is_absolute() and not path.is_relative_to(pipeline_root))
