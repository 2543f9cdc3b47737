"""One run of a component, put together from its parts and driven to its end."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from standpipe.capacity import capacity
from standpipe.driver import Attempt, Driver, FactSink, Terminated
from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.tracing.tasks import PipelineTask, Settings
from standpipe.dsl.types import artifact_type
from standpipe.engine.machine import Machine
from standpipe.errors import StorageError, TaskFailed
from standpipe.execution.attempt import Attempts
from standpipe.execution.caching import Results
from standpipe.faults.tasks import injected
from standpipe.inside import artifacts
from standpipe.kubernetes import concerns
from standpipe.model import events
from standpipe.model.plan import Container, Plan, Resources
from standpipe.model.ports import Cancel
from standpipe.model.redaction import Redactor
from standpipe.model.refs import RunInfo, TaskRef, file_name
from standpipe.model.resources import UNBOUNDED, ResourcePolicy
from standpipe.model.states import TaskState
from standpipe.model.values import ArtifactValue, Value
from standpipe.observe.plain import PlainLines
from standpipe.observe.quiet import Quiet
from standpipe.observe.screen import Screen
from standpipe.secrets import redactor_for
from standpipe.session import Session, notice
from standpipe.store.cache import CacheIndex
from standpipe.store.locks import RunLock, was_asked_to_stop
from standpipe.store.runs import RunRecorder
from standpipe.stories import story
from standpipe.umask import not_for_everybody

if TYPE_CHECKING:
    from standpipe.kubernetes.cluster import LocalCluster


#: The workspace in the folder of a run whose user named none.
OWN_WORKSPACE = ".workspace"


@dataclass(frozen=True)
class Setup:
    """What a run is made of besides its state: what runs, how, and where."""

    session: Session
    plan: Plan
    info: RunInfo
    folder: Path
    workspace: Path | None
    cluster: LocalCluster | None
    cache: CacheIndex | None
    redactor: Redactor
    debug: bool = False
    anew: frozenset[TaskRef] = frozenset()  # what the user wants to see run, whatever is remembered of it

    def machine(self, plan: Plan | None = None, later: Mapping[str, Plan] | None = None) -> Machine:
        """The state of the run at its beginning, with the Plan that it had then, and those that came later."""
        return Machine(
            plan or self.plan,
            self.info,
            max_parallel=self.session.max_parallel,
            capacity=capacity() if _has_needs(self.plan) else UNBOUNDED,
            policy=ResourcePolicy(self.session.resources),
            later=later,
        )


def run(
    session: Session, component: BaseComponent, arguments: Mapping[str, Any], *, repeats: str = "", debug: bool = False
) -> PipelineTask:
    """Runs a component with arguments that were checked; see `standpipe.local.run`.

    `repeats` names the run and the task that it runs again; with `debug` its task runs under a debugger.
    """
    plan = component.plan
    root = root_of(session)
    cluster, cache = cluster_for(session, plan, root), cache_for(session, root)
    redactor = redactor_of(session, plan, cluster)
    with redactor.errors(), not_for_everybody():
        folder = _new_folder(root, plan.name)
        workspace = workspace_for(session, plan, folder)
        info = RunInfo(
            id=folder.name,
            uuid=str(uuid.uuid4()),
            name=plan.display_name or plan.name,
            created=datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            pipeline_root=str(root),
            workspace_path=session.runner.workspace_path(workspace) if workspace else "",
        )
        setup = Setup(session, plan, info, folder, workspace, cluster, cache, redactor, debug)
        inputs = {name: _to_value(value) for name, value in arguments.items()}
        machine, lasting = setup.machine(), str(workspace or "")
        with (
            RunLock(folder),
            closing(RunRecorder(root, info, plan, workspace=lasting, repeats=repeats, redactor=redactor)) as recorder,
        ):
            ending = drive(setup, machine, recorder, events.Start(inputs))
        return finished(setup, machine, ending, PipelineTask(component, component.name, arguments, Settings()))


class Ending(NamedTuple):
    """How a run ended, and whether it was stopped because it took too long."""

    fact: events.RunEnded
    was_late: bool


def drive(setup: Setup, machine: Machine, recorder: RunRecorder, first: events.Event) -> Ending:
    """Drives a run that nobody else is at, from an event to its end.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once everything has stopped and the run's end is recorded.
        Terminated: after another signal that asks this process to end.
        StorageError: if the run cannot be recorded.
    """
    session, plan = setup.session, setup.plan
    with (
        injected(session.runner.tasks, session.faults, notice) as runner,
        closing(_observer(setup.info, setup.folder, quiet=session.quiet or setup.debug)) as observer,
        closing(setup.cache) if setup.cache else nullcontext(),
    ):
        results = Results(setup.cache, setup.info.id, notice) if setup.cache else None
        attempts = Attempts(
            plan,
            setup.info,
            setup.folder,
            setup.workspace,
            runner,
            observer.line,
            setup.cluster,
            results,
            setup.redactor,
            setup.debug,
        )
        sinks: list[FactSink] = [setup.redactor.sink(recorder), setup.redactor.sink(observer)]
        sinks.append(_Lacking())
        if setup.cluster:
            sinks.append(setup.cluster)
        driver = Driver(
            machine,
            _anew(setup.redactor.attempt(attempts), setup.anew),
            sinks,
            max_parallel=session.max_parallel,
            asked_to_stop=lambda: was_asked_to_stop(setup.folder),
        )
        with _at(deadline(plan), driver.cancel) as is_late:
            ended = driver.run(first)
        return Ending(ended, is_late.is_set())


def finished(setup: Setup, machine: Machine, ending: Ending, task: PipelineTask) -> PipelineTask:
    """The task that the call of a component returns, from how its run ended.

    Raises:
        TaskFailed: if the run failed, and the session wants that raised.
    """
    ended = ending.fact
    if ended.state is TaskState.SUCCEEDED:
        return task.finish(as_arguments(ended.outputs))
    how = setup.session.command_options
    told = story(setup.info, machine, ended, setup.folder, deadline(setup.plan) if ending.was_late else 0, how)
    error = TaskFailed(setup.redactor.text(told))
    if setup.session.raise_on_error:
        raise error
    if not setup.session.quiet:
        notice(str(error))  # which nobody else tells the user
    return task.finish({}, error)


@contextmanager
def ending_as_asked() -> Iterator[None]:
    """Lets a signal that asked this process to end have its usual effect, which only had to wait for the tasks."""
    try:
        yield
    except Terminated as order:
        os.kill(os.getpid(), order.signal)
        raise


def _has_needs(plan: Plan) -> bool:
    """Whether a task asks for resources, so that somebody needs to know what there is."""
    return any(
        isinstance(executor, Container) and executor.resources != Resources() for executor in plan.executors.values()
    )


def root_of(session: Session) -> Path:
    """The pipeline root, as an absolute path."""
    return Path(session.pipeline_root).expanduser().absolute()


def deadline(plan: Plan) -> float:
    """After how many seconds the run is stopped (`PipelineConfig.active_deadline_seconds`); 0 for never."""
    return float(_pipeline_config(plan).get("activeDeadlineSeconds", 0))


def _pipeline_config(plan: Plan) -> Mapping[str, Any]:
    config: Mapping[str, Any] = plan.platforms.get("kubernetes", {}).get("pipelineConfig", {})
    return config


@contextmanager
def _at(seconds: float, call: Callable[[], None]) -> Iterator[threading.Event]:
    """Calls a function when so much time has passed, unless the block has ended by then; never for 0 seconds.

    Gives what is set when it is called.
    """
    passed = threading.Event()

    def strike() -> None:
        passed.set()
        call()

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), strike)
    if seconds:
        timer.start()
    try:
        yield passed
    finally:
        timer.cancel()


def _anew(attempt: Attempt, tasks: frozenset[TaskRef]) -> Attempt:
    """Lets these tasks run, and all that is in them, instead of taking what is remembered of them."""

    def uncached(command: events.StartAttempt, cancel: Cancel) -> events.AttemptEnded:
        return attempt(replace(command, caching=None) if command.task.is_within(tasks) else command, cancel)

    return uncached if tasks else attempt


class _Lacking:
    """Tells the user, once for each thing, what tasks ask for and this machine does not have."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, facts: Sequence[events.Fact]) -> None:
        for fact in facts:
            if isinstance(fact, events.TaskReady) and fact.needs.lacking and fact.needs.lacking not in self._told:
                self._told.add(fact.needs.lacking)
                notice(
                    f"Task '{fact.task}' asks for {fact.needs.lacking}: it gets what there is. "
                    "local.init(..., resources='strict') lets such tasks fail."
                )


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


def workspace_for(session: Session, plan: Plan, folder: Path) -> Path | None:
    """The workspace of a run with that folder, if it has one; it is made if need be.

    Raises:
        StorageError: if it cannot be made.
    """
    if session.workspace_root is not None:
        workspace = Path(session.workspace_root).expanduser().absolute()
    elif "workspace" in _pipeline_config(plan):
        workspace = folder / OWN_WORKSPACE
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


def cluster_for(session: Session, plan: Plan, root: Path) -> LocalCluster | None:
    """What stands in for Kubernetes, if the pipeline has anything to do with it."""
    if not concerns(plan):
        return None
    from standpipe.kubernetes import provisions  # few pipelines need it
    from standpipe.kubernetes.cluster import LocalCluster

    return LocalCluster(plan, provisions.read(session.kubernetes), root / "pvcs", notice)


def redactor_of(session: Session, plan: Plan, cluster: LocalCluster | None) -> Redactor:
    """What takes the secrets of a run out of all that it leaves and shows."""
    provided = cluster.secrets if cluster else {}
    return redactor_for(session.secrets, plan, session.runner.variables, provided, notice)


def cache_for(session: Session, root: Path) -> CacheIndex | None:
    """Where results are remembered, if they are."""
    if not session.enable_caching:
        return None
    return CacheIndex(Path(session.cache_root).expanduser().absolute() if session.cache_root else root)


def as_arguments(values: Mapping[str, Value]) -> dict[str, Any]:
    """The values of inputs or outputs as users have them: parameters as Python values, artifacts as objects."""
    return {name: _from_value(value) for name, value in values.items()}


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
