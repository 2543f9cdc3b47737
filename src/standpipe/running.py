"""One run of a component, put together from its parts and driven to its end."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from standpipe.driver import Driver, FactSink, Terminated
from standpipe.dsl.components import BaseComponent
from standpipe.dsl.tasks import PipelineTask, Settings
from standpipe.dsl.types import artifact_type
from standpipe.engine.machine import Machine
from standpipe.errors import StorageError, TaskFailed
from standpipe.execution.attempt import Attempts
from standpipe.faults.tasks import injected
from standpipe.inside import artifacts
from standpipe.kubernetes import concerns
from standpipe.model import events
from standpipe.model.plan import Plan
from standpipe.model.redaction import Redactor
from standpipe.model.refs import RunInfo, TaskRef, file_name
from standpipe.model.states import TaskState
from standpipe.model.values import ArtifactValue, Value
from standpipe.observe.plain import PlainLines
from standpipe.observe.quiet import Quiet
from standpipe.observe.screen import Screen
from standpipe.secrets import redactor_for
from standpipe.session import Session, notice
from standpipe.store.runs import RunRecorder
from standpipe.umask import not_for_everybody

if TYPE_CHECKING:
    from standpipe.kubernetes.cluster import LocalCluster


def run(session: Session, component: BaseComponent, arguments: Mapping[str, Any]) -> PipelineTask:
    """Runs a component with arguments that were checked; see `standpipe.local.run`."""
    plan = component.plan
    root = Path(session.pipeline_root).expanduser().absolute()
    cluster = _cluster(session, plan, root)
    provided = cluster.secrets if cluster else {}
    redactor = redactor_for(session.secrets, plan, session.runner.variables, provided, notice)
    with redactor.errors(), not_for_everybody():
        return _run(session, component, arguments, root, cluster, redactor)


def _run(
    session: Session,
    component: BaseComponent,
    arguments: Mapping[str, Any],
    root: Path,
    cluster: LocalCluster | None,
    redactor: Redactor,
) -> PipelineTask:
    plan = component.plan
    task = PipelineTask(component, component.name, arguments, Settings())
    folder = _new_folder(root, plan.name)
    workspace = _workspace(session, plan, folder)
    info = RunInfo(
        id=folder.name,
        uuid=str(uuid.uuid4()),
        name=plan.display_name or plan.name,
        created=datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        pipeline_root=str(root),
        workspace_path=session.runner.workspace_path(workspace) if workspace else "",
    )
    inputs = {name: _to_value(value) for name, value in arguments.items()}
    try:
        ended = _drive(session, plan, info, folder, workspace, inputs, cluster, redactor)
    except Terminated as order:
        os.kill(os.getpid(), order.signal)  # its usual effect, which only had to wait for the tasks
        raise
    if ended.state is TaskState.SUCCEEDED:
        return task.finish({name: _from_value(value) for name, value in ended.outputs.items()})
    error = TaskFailed(redactor.text(_story(info, ended, folder, _deadline(plan))))
    if session.raise_on_error:
        raise error
    return task.finish({}, error)


def _drive(
    session: Session,
    plan: Plan,
    info: RunInfo,
    folder: Path,
    workspace: Path | None,
    inputs: Mapping[str, Value],
    cluster: LocalCluster | None,
    redactor: Redactor,
) -> events.RunEnded:
    machine = Machine(plan, info, max_parallel=session.max_parallel)
    with (
        injected(session.runner.tasks, session.faults, notice) as runner,
        closing(RunRecorder(Path(info.pipeline_root), info)) as recorder,
        closing(_observer(info, folder, quiet=session.quiet)) as observer,
    ):
        attempts = Attempts(plan, info, folder, workspace, runner, observer.line, cluster, redactor)
        sinks: list[FactSink] = [redactor.sink(recorder), redactor.sink(observer)]
        if cluster:
            sinks.append(cluster)
        driver = Driver(machine, redactor.attempt(attempts), sinks, max_parallel=session.max_parallel)
        with _at(_deadline(plan), driver.cancel):
            return driver.run(events.Start(inputs))


def _deadline(plan: Plan) -> float:
    """After how many seconds the run is stopped (`PipelineConfig.active_deadline_seconds`); 0 for never."""
    return float(_pipeline_config(plan).get("activeDeadlineSeconds", 0))


def _pipeline_config(plan: Plan) -> Mapping[str, Any]:
    config: Mapping[str, Any] = plan.platforms.get("kubernetes", {}).get("pipelineConfig", {})
    return config


@contextmanager
def _at(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Calls a function when so much time has passed, unless the block has ended by then; never for 0 seconds."""
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), call)
    if seconds:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Observer(FactSink, Protocol):
    """Shows a run to a person."""

    def line(self, task: TaskRef, text: str) -> None:
        """Shows a line that a task printed; called from many threads."""

    def close(self) -> None:
        """Takes down what is shown."""


def _observer(info: RunInfo, folder: Path, *, quiet: bool) -> Observer:
    if quiet:
        return Quiet()
    if Screen().isatty():
        from standpipe.observe.live import Live  # rich costs 60 ms, worth it on a terminal only

        return Live(info, str(folder))
    return PlainLines(info, str(folder))


def _new_folder(root: Path, pipeline: str) -> Path:
    """A folder for a run, named after its pipeline and the time, as KFP names it."""
    while True:
        folder = root / f"{file_name(pipeline)}-{datetime.now().strftime('%Y-%m-%d-%H-%M-%S-%f')}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if folder.is_dir():
                continue  # another run began in the same microsecond
            raise StorageError(
                f"The pipeline root {root} is a file, or a link that leads nowhere, and a folder is needed. "
                "Choose another one: local.init(..., pipeline_root=...)."
            ) from None
        except OSError as error:
            raise StorageError(
                f"The pipeline root {root} cannot be written: {error.strerror} ({error.filename}). "
                "Choose another one: local.init(..., pipeline_root=...)."
            ) from error
        return folder


def _workspace(session: Session, plan: Plan, folder: Path) -> Path | None:
    if session.workspace_root is not None:
        workspace = Path(session.workspace_root).expanduser().absolute()
    elif "workspace" in _pipeline_config(plan):
        workspace = folder / ".workspace"
    else:
        return None
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The workspace {workspace} cannot be made: {error.strerror}. "
            "Choose another one: local.init(..., workspace_root=...)."
        ) from error
    return workspace


def _cluster(session: Session, plan: Plan, root: Path) -> LocalCluster | None:
    """What stands in for Kubernetes, if the pipeline has anything to do with it."""
    if not concerns(plan):
        return None
    from standpipe.kubernetes import provisions  # few pipelines need it
    from standpipe.kubernetes.cluster import LocalCluster

    return LocalCluster(plan, provisions.read(session.kubernetes), root / "pvcs", notice)


def _to_value(given: Any) -> Value:
    if isinstance(given, (list, tuple)) and given and isinstance(given[0], artifacts.Artifact):
        return [_to_value(item) for item in given]
    if not isinstance(given, artifacts.Artifact):
        return given
    uri = given.uri if "://" in given.uri else os.path.abspath(given.uri)
    return ArtifactValue(
        name=given.name,
        type=artifact_type(type(given), "argument"),
        uri=uri,
        metadata=dict(given.metadata),
        custom_path=os.path.abspath(given.custom_path) if given.custom_path else "",
    )


def _from_value(value: Value) -> Any:
    if isinstance(value, list):
        return [_from_value(item) for item in value]
    if not isinstance(value, ArtifactValue):
        return value
    title, version = value.type.schema_title, value.type.schema_version
    cls = artifacts.BY_TITLE.get(title) or type(
        title.rpartition(".")[2], (artifacts.Artifact,), {"schema_title": title, "schema_version": version}
    )
    artifact = cls(name=value.name, uri=value.uri, metadata=dict(value.metadata))
    artifact.custom_path = value.custom_path
    return artifact


def _story(info: RunInfo, ended: events.RunEnded, folder: Path, deadline: float) -> str:
    """What went wrong in a run, for the user: the first failure whole, the others by name."""
    if not ended.failures:
        # whoever pressed Ctrl-C gets a KeyboardInterrupt: here it was the deadline
        return (
            f"Run {info.id} was stopped: it had not ended after {deadline:g} s "
            f"(PipelineConfig(active_deadline_seconds=...)).\n\nEverything that the run left is in {folder}."
        )
    first, *others = ended.failures
    parts = [_sentence(first, info)]
    if first.failure.detail not in ("", first.failure.message):
        parts.append(first.failure.detail.rstrip())
    if first.failure.hint:
        parts.append(first.failure.hint)
    for other in others:
        parts.append(_sentence(other, info))
    parts.append(f"Everything that the run left is in {folder}.")
    return "\n\n".join(parts)


def _sentence(fact: events.TaskFailed, info: RunInfo) -> str:
    who = f"Task '{fact.task}'" if fact.task.path else f"Pipeline '{info.name}'"
    return f"{who} {fact.failure.predicate}"
