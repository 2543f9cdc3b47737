"""The launch of a run: it creates the parts of the run, drives it, and returns its result."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from standpipe.artifact_stores.routing import check_root
from standpipe.console.plain import PlainLines
from standpipe.console.quiet import Quiet
from standpipe.console.screen import Screen
from standpipe.dsl.base_component import BaseComponent
from standpipe.dsl.tracing.tasks import PipelineTask, Settings
from standpipe.engine.machine import Machine
from standpipe.errors import StorageError, TaskFailed, UnsupportedError
from standpipe.execution.attempt import AttemptExecutor, contain_defects
from standpipe.faults.runner import inject_faults
from standpipe.history.display_names import DisplayNames
from standpipe.history.progress import NewRunProgress
from standpipe.model import events
from standpipe.model.cancellation import Cancellation
from standpipe.model.layout import StateLayout, file_name
from standpipe.model.locations import is_remote
from standpipe.model.plan import Plan
from standpipe.model.ports import (
    ArtifactStore,
    Attempt,
    CallerThreadRunner,
    FactSink,
    PreparingRunner,
    Runner,
    TrackedRun,
)
from standpipe.model.refs import RunId, TaskRef
from standpipe.model.resources import parse_memory
from standpipe.model.states import TaskState
from standpipe.model.templates import parse_value
from standpipe.model.values import ArtifactValue
from standpipe.runs.arguments import from_values, to_values
from standpipe.runs.caller_thread import CallerThread
from standpipe.runs.context import (
    RunContext,
    find_host_paths,
    get_timeout,
    make_cluster,
    make_run_info,
    make_run_redactor,
    make_workspace,
    open_cache,
    open_result_cache,
    resolve_state_root,
)
from standpipe.runs.credentials import find_providers
from standpipe.runs.current_code import find_code_source
from standpipe.runs.driver import Driver, Terminated
from standpipe.runs.executor_uses import ExecutorUse, find_uses
from standpipe.runs.failure_report import Commands, failure_report
from standpipe.runs.options import RunOptions
from standpipe.runs.preflight import check_uses
from standpipe.runs.preparation import UnpreparedTasks, WarnOfOthers, prepare_executors
from standpipe.runs.source_root import add_modules
from standpipe.runs.standbys import stand_by
from standpipe.store.locks import RunLock, was_asked_to_stop
from standpipe.store.reading import StoredFacts
from standpipe.store.runs import RunRecorder
from standpipe.support.notebooks import has_kernel, name_cells, new_display
from standpipe.support.notices import Once, log, quiet_notices, warn
from standpipe.support.terminal_text import strip_controls
from standpipe.support.umask import restrict_umask
from standpipe.support.untrusted_files import remove_path
from standpipe.trackers.api import open_tracker


def start(
    options: RunOptions,
    component: BaseComponent,
    arguments: Mapping[str, Any],
    *,
    rerun_of: str = "",
    inputs_of: str = "",
    debug: bool | int = False,
    is_recorded: bool = False,
) -> PipelineTask:
    """Run a component with checked arguments; see `standpipe.local.run`.

    Args:
        options: the options of the run.
        component: the component or pipeline to run.
        arguments: its inputs by name.
        rerun_of: the run and the task that this run reruns; empty for other runs.
        inputs_of: the run and the task whose inputs a rerun has; empty if some were replaced, and for other runs.
        debug: whether its task runs under a debugger.
        is_recorded: whether the component is from the run store, with the modules that it imported then.
    """
    plan = component.plan if is_recorded else add_modules(component.plan, options)
    with restrict_umask(options.umask):
        return _start(options, component, plan, arguments, rerun_of, inputs_of, debug=debug)


def _start(
    options: RunOptions,
    component: BaseComponent,
    plan: Plan,
    arguments: Mapping[str, Any],
    rerun_of: str,
    inputs_of: str,
    *,
    debug: bool | int,
) -> PipelineTask:
    root = resolve_state_root(options)
    cluster, cache = make_cluster(options, plan, root), open_cache(options, root)
    redactor = make_run_redactor(options, plan, cluster, options.artifact_root)
    if not rerun_of:  # otherwise the Plan has only one of the tasks that the runner's options are for
        options.runner.check_plan(plan)
    task, uses = PipelineTask(component, component.name, arguments, Settings()), find_uses(plan)
    try:
        check_uses(options, uses, cluster, redactor)
    except TaskFailed as error:
        return finish_with_error(options, task, error)
    with redactor.redact_messages():
        folder, process, recorder = make_run_folder(root, plan.name), os.getpid(), None
        try:
            workspace = make_workspace(options, plan, folder)
            info = make_run_info(options, plan, folder, workspace, redactor)
            context = RunContext(
                options, plan, info, folder, workspace, cluster, cache, redactor, debug, rerun_of, inputs_of
            )
            inputs = to_values(arguments)
            if not rerun_of:  # the arguments of a call are constants of the author, those of a rerun are recorded data
                inputs = parse_value(inputs)
            machine = context.new_machine()
            recorder = RunRecorder(
                root,
                info,
                plan,
                now=context.clock.now,
                workspace=str(workspace or ""),
                rerun_of=rerun_of,
                redactor=redactor,
                outline=NewRunProgress(info.id, DisplayNames(lambda: plan, redactor.redact_text)),
            )
            with RunLock(folder), closing(recorder):
                result = drive(context, machine, recorder, events.Start(inputs), uses)
        except BaseException:
            # Not in a child that a signal handler has forked.
            if process == os.getpid() and not (recorder and recorder.has_facts):
                remove_path(folder, root)  # the run store does not have the run
            raise
        return finish_task(context, machine, result, task)


class RunResult(NamedTuple):
    """The last fact of a run, whether its time limit was exceeded, and the error for which it was stopped, if any."""

    end: events.RunEnded
    timed_out: bool
    stop_reason: UnpreparedTasks | None = None


def drive(
    context: RunContext,
    machine: Machine,
    recorder: RunRecorder,
    first: events.Event,
    uses: Sequence[ExecutorUse],
    earlier: float = 0.0,
) -> RunResult:
    """Drive a run from an event to its end. This process must hold the lock of the run.

    Args:
        context: the context of the run.
        machine: its state.
        recorder: records its facts.
        first: the event that starts or resumes it.
        uses: the executors of its tasks, as far as they have not all succeeded.
        earlier: for how long it was in progress before it was resumed, in seconds.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once everything has stopped and the run's end is recorded.
        Terminated: after another signal that asks this process to end.
        StorageError: if the run cannot be recorded, or its artifacts cannot be stored.
    """
    options = context.options
    if context.info.artifact_root:
        check_root(context.info.artifact_root, partial(find_providers, options.kubernetes))
    elif options.runner.needs_object_store:
        raise UnsupportedError(
            f"The {type(options.runner).__name__} runs tasks on machines that do not see this one, so that "
            "artifacts have to be in an object store. Set it: local.init(pipeline_root='s3://bucket/prefix'), or "
            "--root s3://bucket/prefix."
        )
    with (
        options.runner.running() as task_runner,
        inject_faults(task_runner, options.faults) as runner,
        closing(_observer(context, machine, earlier)) as observer,
        closing(context.cache) if context.cache else nullcontext(),
        quiet_notices(options.quiet),
    ):
        page = ""
        if options.ui:
            from standpipe.runs.ui_server import announce  # few runs need it

            page = announce(Path(context.info.pipeline_root), context.info.id)
        tracker = open_tracker(options.trackers, TrackedRun(context.info, page, context.rerun_of, options.quiet))
        artifacts, host_paths = context.artifacts, find_host_paths(context, machine)
        redactor = context.redactor
        executor = AttemptExecutor(
            plan=context.plan,
            run=context.info,
            run_folder=context.folder,
            workspace=context.workspace,
            runner=runner,
            artifacts=artifacts,
            show_line=observer.line,
            cluster=context.cluster,
            cache=open_result_cache(context, host_paths),
            redactor=redactor,
            debug=context.debug,
            expects_payloads=options.runner.executes_code,
            host_paths=host_paths,
            umask=options.umask,
            payload_cache_size=parse_memory(options.payload_cache_size),
            tracking=tracker.variables if tracker else None,
        )
        sinks: list[FactSink] = [redactor.wrap_sink(recorder), redactor.wrap_sink(observer)]
        sinks += [redactor.wrap_sink(tracker)] if tracker else []
        sinks += [_MissingResources(), _log_cache_hits, *([context.cluster] if context.cluster else [])]
        caller = CallerThread(partial(quiet_notices, options.quiet)) if options.runner.in_process else None
        with (
            closing(tracker) if tracker else nullcontext(),
            stand_by(task_runner, machine, executor, max_parallel=options.max_parallel) as standby_sinks,
            _lend_thread(task_runner, context.info.id, caller),
            _lend_credentials(task_runner, context),
        ):
            driver = Driver(
                machine,
                contain_defects(_wrap(context, redactor.wrap_attempt(executor.execute))),
                [*sinks, *standby_sinks],
                cancel_requested=lambda: was_asked_to_stop(context.folder),
                timeout=get_timeout(context.plan) or None,
                clock=context.clock,
                caller=caller,
            )
            with _prepare_ahead(context, uses, driver) as warn_of_others:
                end = driver.run(first)
                if end.state is TaskState.FAILED:
                    warn_of_others([str(failed.task) for failed in end.failures])
                return RunResult(end, driver.timed_out, driver.stop_reason)


def finish_task(context: RunContext, machine: Machine, result: RunResult, task: PipelineTask) -> PipelineTask:
    """Return the task for the caller of a component, with the outputs or the error of its run.

    Raises:
        TaskFailed: if the run failed and `raise_on_error` is true.
    """
    if result.end.state is TaskState.SUCCEEDED:
        values, find_copy = result.end.outputs, partial(_find_copy, context.artifacts)
        redacted = context.redactor.redact(values)
        shown = None if redacted is values else from_values(redacted, find_copy)
        return task.finish(from_values(values, find_copy), folder=str(context.folder), shown=shown)
    timeout = get_timeout(context.plan) if result.timed_out else 0
    assert isinstance(task.component, BaseComponent), "only those are started"
    commands = Commands(
        context.info,
        context.rerun_of,
        context.inputs_of,
        context.options.command_options,
        find_code_source(task.component),
    )
    report = failure_report(
        context.info,
        machine,
        result.end,
        context.folder,
        timeout,
        commands,
        result.stop_reason,
        has_traceback=context.options.quiet,
    )
    message, folder = name_cells(strip_controls(context.redactor.redact_text(report))), str(context.folder)
    error = TaskFailed(message, folder=folder, problems=getattr(result.stop_reason, "failures", ()))
    return finish_with_error(context.options, task, error, folder)


def _find_copy(store: ArtifactStore, artifact: ArtifactValue) -> str:
    """Return the path of the copy of a remote payload on this machine; empty if it has none and cannot get one.

    The task of an output may have run on another machine, or in an earlier run.
    """
    if not artifact.checksum or not is_remote(artifact.location):
        return ""
    try:
        with store.provide([artifact], Cancellation()):
            return store.task_path(artifact)
    except StorageError as error:
        warn(f"The output artifact {artifact.name!r} has no path on this machine: {error}")
        return ""


def finish_with_error(options: RunOptions, task: PipelineTask, error: TaskFailed, folder: str = "") -> PipelineTask:
    """Raise the error of a run, or return its task with it, as the user has chosen.

    Args:
        options: the options of the run.
        task: its task.
        error: the error.
        folder: the folder of the run; empty if nothing was started.
    """
    if options.raise_on_error:
        raise error
    report = str(error)  # the caller may not look at the error of the task
    summary = report.partition("\n\n")[0]
    warn(f"{summary}\nThe task's .error has the details." if options.quiet else report)
    return task.finish({}, error, folder=folder)


def _lend_thread(runner: Runner, run: RunId, caller: CallerThread | None) -> AbstractContextManager[None]:
    """Return a context in which a runner may use the thread of the run's caller, if its tasks are to run there."""
    return runner.use_thread(run, caller.call) if caller and isinstance(runner, CallerThreadRunner) else nullcontext()


def _lend_credentials(runner: Runner, context: RunContext) -> AbstractContextManager[None]:
    """Return a context in which a runner has the credentials of a run to object stores, if it uses them here."""
    if not context.info.artifact_root:
        return nullcontext()
    from standpipe.artifact_stores.providers import StoreUser  # few runs have remote payloads

    if not isinstance(runner, StoreUser):
        return nullcontext()
    return runner.use_stores(context.info.id, partial(find_providers, context.options.kubernetes))


def _prepare_ahead(
    context: RunContext, uses: Sequence[ExecutorUse], driver: Driver
) -> AbstractContextManager[WarnOfOthers]:
    """Return a context in which the environments of tasks that start later are built; see `prepare_executors`."""
    options, cluster = context.options, context.cluster
    runner = options.runner.task_runner
    if not isinstance(runner, PreparingRunner):
        return nullcontext(lambda _: None)
    if cluster is not None:
        uses = [use for use in uses if cluster.needs_image(use.label, str(use.executor.image))]
    return prepare_executors(
        runner, uses, driver.stop, context.redactor, max_parallel=options.max_parallel, quiet=options.quiet
    )


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Send a deferred signal to this process again, after the tasks have stopped, so that it has its usual effect."""
    try:
        yield
    except Terminated as terminated:
        os.kill(os.getpid(), terminated.signal)
        raise


def _wrap(context: RunContext, attempt: Attempt) -> Attempt:
    """Wrap the execution of attempts: apply `quiet` to notices, and disable caching for the uncached tasks."""

    def wrapped(command: events.StartAttempt, cancel: Cancellation) -> events.AttemptEnded:
        if context.uncached and command.task.is_within(context.uncached):
            command = replace(command, caching=None)
        with quiet_notices(context.options.quiet):
            return attempt(command, cancel)

    return wrapped


def _log_cache_hits(facts: Sequence[events.Fact]) -> None:
    """Log each task whose outputs came from the cache, as `kfp.local` does on its logger (kfp 2.17.3)."""
    for fact in facts:
        if isinstance(fact, events.TaskSucceeded) and fact.cached_from:
            log(f"Task {str(fact.task)!r}: cache hit, outputs of {fact.cached_from}")


class _MissingResources:
    """Warns once about each kind of resource that tasks request and this machine lacks."""

    def __init__(self) -> None:
        self._once = Once()

    def __call__(self, facts: Sequence[events.Fact]) -> None:
        for fact in facts:
            missing = fact.resources.unavailable if isinstance(fact, events.TaskReady) else ""
            if missing and self._once.is_first(missing):
                assert isinstance(fact, events.TaskReady), "it has such a request"
                warn(
                    f"Task '{fact.task}' requests {missing}: it gets what there is. "
                    "local.init(..., resource_policy='strict') fails such tasks."
                )


class Observer(FactSink, Protocol):
    """Displays a run."""

    def line(self, task: TaskRef, text: str) -> None:
        """Display a line that a task printed. Many threads call this."""

    def close(self) -> None:
        """Remove what is displayed only while the run is running."""


def _observer(context: RunContext, machine: Machine, earlier: float) -> Observer:
    if context.options.quiet or context.debug:
        return Quiet()
    arguments, screen = (context.info, str(context.folder), earlier), Screen()
    if screen.is_live and not context.options.runner.in_process:
        from standpipe.console.live import Live  # only a terminal needs it
        from standpipe.console.status_line import Limits

        limits = Limits(context.options.max_parallel, machine.capacity.memory)
        facts = StoredFacts(Path(context.info.pipeline_root)).facts_since(context.info.id) if earlier else ()
        restored, flags = (fact for _, fact in facts), context.options.command_options
        return Live(*arguments, context.plan, limits, restored, flags)
    display: Observer | None = new_display(*arguments) if has_kernel() else None
    if display is None and os.environ.get("GITHUB_ACTIONS") == "true":
        from standpipe.console.github import GitHubLines  # only GitHub needs it

        return GitHubLines(*arguments)
    return display or PlainLines(*arguments)


def make_run_folder(root: Path, pipeline: str) -> Path:
    """Create the folder of a run, named after its pipeline and the time, as in KFP."""
    moment = datetime.now()
    while True:
        run_id = f"{file_name(pipeline)}-{moment.strftime('%Y-%m-%d-%H-%M-%S-%f')}"
        folder = StateLayout(root).run_folder(run_id)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if folder.is_dir():
                moment += timedelta(microseconds=1)  # another run started then, or before the clock was set back
                continue
            raise StorageError(
                f"The pipeline root {root} is a file or a broken link: expected a folder. "
                "Choose another one: local.init(..., pipeline_root=...)."
            ) from None
        except OSError as error:
            raise StorageError(
                f"Cannot write to the pipeline root {root}: {error.strerror} ({error.filename}). "
                "Choose another one: local.init(..., pipeline_root=...)."
            ) from error
        return folder
