"""One attempt at a task: set up, run, tear down, and always an `AttemptEnded`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from standpipe.errors import InternalError, StandpipeError
from standpipe.execution.attempt_cache import AttemptCache
from standpipe.execution.attempt_files import AttemptFiles, LineSink
from standpipe.execution.cache.lookup import ResultCache
from standpipe.execution.checksums import add_checksums
from standpipe.execution.contract import OutputError, build_executor_input, read_outputs, remove_outputs
from standpipe.execution.failures import (
    describe_defect,
    describe_failure,
    describe_os_error,
    describe_read_only_inputs,
)
from standpipe.execution.host_paths import HostPaths
from standpipe.execution.importing import import_artifact, import_remote, uri_input
from standpipe.execution.logs import TaskLog
from standpipe.execution.missing_payloads import describe_missing_inputs, warn_of_missing_outputs
from standpipe.execution.pauses import add_pause, find_pause
from standpipe.execution.rendering import Renderer
from standpipe.execution.requests import build_request
from standpipe.model.attempts import Outcome, PodSettings, TaskRequest, Transfers
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, AttemptReport, Failure, StartAttempt
from standpipe.model.layout import LOG_FILE, attempt_folder
from standpipe.model.locations import is_remote
from standpipe.model.origins import comes_from_task
from standpipe.model.plan import Component, Container, Executor, ExecutorRef, Importer, Plan, PythonFunction
from standpipe.model.ports import ArtifactStore, Attempt, Cluster, Log, Runner, moves_payloads
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.values import ArtifactValue, Checksum, Value, find_artifacts
from standpipe.support.notices import Once
from standpipe.support.properties import cached_property
from standpipe.support.redaction import NO_SECRETS, Redactor
from standpipe.support.timers import cancel_after
from standpipe.support.umask import PRIVATE
from standpipe.support.untrusted_files import UntrustedFileError, open_folder


@dataclass(frozen=True)
class AttemptExecutor:
    """Executes the attempts of one run, each in the caller's thread.

    Args:
        plan: the Plan of the run.
        run: the run's id and the values of its placeholders.
        run_folder: the run's own folder.
        workspace: the folder that its tasks share, if it has one.
        runner: runs tasks.
        artifacts: keeps the payloads of artifacts.
        show_line: called with each line that a task prints, which its log gets in any case.
        cluster: stands in for Kubernetes, if the pipeline has settings for it.
        cache: the results of earlier attempts, if the run may use them.
        redactor: removes secrets from logs.
        debug: runs tasks under a debugger, on the terminal of this process.
        expects_payloads: whether a task that leaves no payload of an output artifact gets a notice.
        host_paths: the paths of this machine that tasks may see; None if they see all of it.
        umask: the permissions that files of tasks do not get.
        payload_cache_size: the most bytes of payloads of object stores that a machine keeps.
        tracking: returns the variables by which a tracker knows an attempt; None without a tracker.
    """

    plan: Plan
    run: RunInfo
    run_folder: Path
    workspace: Path | None
    runner: Runner
    artifacts: ArtifactStore
    show_line: LineSink
    cluster: Cluster | None = None
    cache: ResultCache | None = None
    redactor: Redactor = NO_SECRETS
    debug: bool | int = False
    expects_payloads: bool = True
    host_paths: HostPaths | None = None
    umask: int = PRIVATE
    payload_cache_size: int = 0
    tracking: Callable[[TaskRef, int, Cancellation], Mapping[str, str]] | None = None
    _reported: Once = field(default_factory=Once, init=False)

    def execute(self, command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        """Execute one attempt, and return how it ended. Whatever goes wrong is its failure, not an exception.

        That holds for defects of Standpipe, too: an exception here would end the run, with all its other tasks.
        """
        started = time.monotonic()
        folder = attempt_folder(self.run_folder, command.task, command.attempt)
        try:
            ended = self._dispatch(folder, command, cancel)
        except InternalError as error:
            ended = AttemptEnded(command.task, failure=describe_defect(error))
        except StandpipeError as error:
            failure = Failure(str(error), hint=error.hint)
            ended = AttemptEnded(command.task, failure=failure, is_final=error.is_permanent)
        except OSError as error:
            ended = AttemptEnded(command.task, failure=describe_os_error(error, folder))
        except Exception as error:  # noqa: BLE001  the outermost edge of a thread
            ended = AttemptEnded(command.task, failure=describe_defect(error))
        if ended.cached_from:
            return ended
        return replace(ended, report=replace(ended.report or AttemptReport(0), seconds=time.monotonic() - started))

    def _dispatch(self, folder: Path, command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        """Execute an attempt as an importer, as an operation of the cluster, or as a task of the runner."""
        executor = self._find_executor(command)
        if isinstance(executor, Importer):
            return self._execute_importer(executor, folder, command, cancel)
        if self.cluster and self.cluster.carries_out(str(executor.image)):
            return self._execute_operation(self.cluster, str(executor.image), folder, command)
        return self._execute_task(executor, folder, command, cancel)

    # --- tasks of the runner ------------------------------------------------------------------------------------------

    def _execute_task(
        self, container: Container, folder: Path, command: StartAttempt, cancel: Cancellation
    ) -> AttemptEnded:
        """Set up the pod, run the task in it unless its result is cached, and tear the pod down."""
        with self._open_pod(command) as pod:
            request = add_pause(self._build_request(command, pod, folder), self._reported)
            component = self._find_component(command)
            inputs = self._reuse.collect_task_inputs(component, container, request, command, cancel)
            ended = self._reuse.use(inputs, command, cancel, lambda: self._run_task(request, command, cancel))
        warn_of_missing_outputs(
            command, ended.outputs, self.artifacts, self._reported, expects_payloads=self.expects_payloads
        )
        return ended

    def build_expected_request(self, command: StartAttempt) -> TaskRequest | None:
        """Return the request for an attempt that is expected to start soon, of which parameters may be missing.

        None if what it runs in depends on more than its component, its task and its input artifacts, or is not known
        before it starts.
        """
        container = self._find_executor(command)
        if (
            not isinstance(container, Container)
            or not isinstance(container.image, str)
            or not isinstance(container.program, PythonFunction)
            or self._find_component(command).task_config_passthroughs
            or self.plan.kubernetes_settings(_executor_label(self._find_component(command)))
            or find_pause(container.env)
            or self.debug
            or self.tracking is not None
            or any(is_remote(artifact.location) for artifact in find_artifacts(command.inputs.values()))
        ):
            return None
        folder = attempt_folder(self.run_folder, command.task, command.attempt)
        try:
            return self._build_request(command, _PLAIN_POD, folder)
        except StandpipeError:
            return None  # the attempt will say what is wrong

    def _build_request(self, command: StartAttempt, pod: PodSettings, folder: Path) -> TaskRequest:
        return build_request(
            self.plan,
            self.run,
            command,
            pod,
            folder=folder,
            workspace=self.workspace,
            store=self.artifacts,
            host_paths=self.host_paths,
            umask=self.umask,
            debug=self.debug,
        )

    def _open_pod(self, command: StartAttempt) -> AbstractContextManager[PodSettings]:
        if self.cluster is None:
            return nullcontext(_PLAIN_POD)
        label = _executor_label(self._find_component(command))
        return self.cluster.pod(label, self.run, command.task, command.attempt)

    def _run_task(self, request: TaskRequest, command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        """Make the attempt's folder, run the task with its log open, and collect what it leaves."""
        if self.tracking is not None:
            request = replace(request, tracking=self.tracking(command.task, command.attempt, cancel))
        artifacts = find_artifacts(command.inputs.values())
        if self.run.artifact_root and moves_payloads(self.runner):
            request = replace(
                request, transfers=Transfers(self.run.artifact_root, tuple(artifacts), self.payload_cache_size)
            )
        with (
            nullcontext() if request.transfers else self.artifacts.provide(artifacts, cancel),
            self._files.make_folder_with_log(request.folder, command) as log,
        ):
            outcome = _run_with_timeout(self.runner, request, log, cancel)
        report = _build_report(log, outcome)
        if not outcome.succeeded:
            if cancel:
                remove_outputs(request.executor_input, self.artifacts, request.pipeline_root)
            failure = describe_failure(outcome, log, request.limits)
            missing = describe_missing_inputs(command.inputs, self.artifacts)
            read_only = describe_read_only_inputs(failure, request)
            failure = replace(failure, hint="\n\n".join(filter(None, [missing, read_only, failure.hint])))
            return AttemptEnded(command.task, failure=failure, report=report, is_lost=outcome.is_lost)
        try:
            outputs = self._collect_outputs(request, command, outcome.stored, cancel)
        except OutputError as error:
            return AttemptEnded(
                command.task, failure=Failure(str(error), hint=f"Its log is {log.path}."), report=report
            )
        return AttemptEnded(command.task, outputs, report=report)

    def _collect_outputs(
        self, request: TaskRequest, command: StartAttempt, stored: Mapping[str, Checksum], cancel: Cancellation
    ) -> dict[str, Value]:
        outputs = read_outputs(self._find_component(command), request.executor_input, request.pipeline_root)
        if self.host_paths:
            outputs = self.host_paths.check_outputs(outputs, command.inputs, request)

        def put(location: str, algorithm: str) -> Checksum | None:
            return stored.get(location) or self._reuse.put(location, algorithm, cancel)

        try:  # the payloads are uploaded, if they do not stay here
            return add_checksums(outputs, command.inputs, self.artifacts, put)
        except UntrustedFileError as error:
            raise OutputError(f"its output artifact cannot be used: {error}") from error

    # --- importers and operations of the cluster ----------------------------------------------------------------------

    def _execute_importer(
        self, importer: Importer, folder: Path, command: StartAttempt, cancel: Cancellation
    ) -> AttemptEnded:
        component = self._find_component(command)
        executor_input = build_executor_input(component, command.inputs, folder, self.artifacts)
        renderer = Renderer(executor_input, partial(self.run.placeholder, command.task))
        root = self._files.root
        if self.workspace and self.workspace.is_relative_to(root):
            with open_folder(self.workspace, root):
                pass  # a task that has made it a link would get the download where it leads
        made_by_task = comes_from_task(self.plan, command.task, uri_input(importer))
        allowed = self.host_paths if made_by_task else None
        artifact = import_artifact(importer, command.inputs, renderer, self.artifacts, self.workspace, cancel, allowed)
        if self.host_paths and not made_by_task:
            self.host_paths.add_import(artifact.location)
        checksum = self._checksum_import(artifact, cancel)
        artifact = replace(artifact, checksum=checksum)
        # As in the KFP SDK's local runner (2.17.3, importer_handler.py). On a cluster, the name is the artifact's id.
        outputs: dict[str, Value] = {name: replace(artifact, name=name) for name in component.outputs}
        inputs = self._reuse.collect_import_inputs(component, importer, artifact, command, cancel)
        # The output of a cached import is the payload at the URI now, so that the cache entry has no outputs.
        ended = self._reuse.use(inputs, command, cancel, lambda: AttemptEnded(command.task))
        return replace(ended, outputs=outputs)

    def _checksum_import(self, artifact: ArtifactValue, cancel: Cancellation) -> Checksum | None:
        """Return the checksum of an imported payload; of one of this machine only if the cache needs it."""
        if not is_remote(artifact.location):
            return self._reuse.checksum_function(cancel)(artifact.location, "")
        compute = self.cache.checksum if self.cache else self.artifacts.checksum
        return import_remote(artifact, self.artifacts, lambda location, algorithm: compute(location, cancel, algorithm))

    def _execute_operation(self, cluster: Cluster, image: str, folder: Path, command: StartAttempt) -> AttemptEnded:
        """Let the cluster carry out a task by itself; its message is the log."""
        before = self._files.make_folder(folder)
        if command.attempt and not before:
            before = attempt_folder(self.run_folder, command.task, command.attempt - 1)
        # An attempt has a log only if it succeeded; if it is repeated all the same, its end was not recorded.
        is_repeated = before is not None and (before / LOG_FILE).exists()
        outputs, message = cluster.carry_out(image, command.inputs, is_repeated=is_repeated)
        with self._files.open_log(folder, command) as log:
            log.write(f"{message}\n".encode())
        return AttemptEnded(command.task, outputs, report=_build_report(log))

    # --- helpers ------------------------------------------------------------------------------------------------------

    @cached_property
    def _files(self) -> AttemptFiles:
        return AttemptFiles(Path(self.run.pipeline_root), self.run_folder, self.show_line, self.redactor)

    @cached_property
    def _reuse(self) -> AttemptCache:
        return AttemptCache(self.run, self.workspace, self.runner, self.artifacts, self.cache)

    def _find_component(self, command: StartAttempt) -> Component:
        return self.plan.components[command.component]

    def _find_executor(self, command: StartAttempt) -> Executor:
        return self.plan.executors[_executor_label(self._find_component(command))]


def contain_defects(attempt: Attempt) -> Attempt:
    """Return a function that executes attempts as `attempt` does, and for which every exception is a failed attempt.

    `AttemptExecutor.execute` has failures for what it calls. This is for what is around it: the outermost edge of a
    thread. An exception there would end the run, with all its other tasks.
    """

    def contained(command: StartAttempt, cancel: Cancellation) -> AttemptEnded:
        try:
            return attempt(command, cancel)
        except BaseException as error:  # noqa: BLE001  SystemExit, too: a thread has no other way to report it
            return AttemptEnded(command.task, failure=describe_defect(error))

    return contained


_PLAIN_POD = PodSettings()


def _executor_label(component: Component) -> str:
    assert isinstance(component.body, ExecutorRef), "only components with an executor are started"
    return component.body.label


def _run_with_timeout(runner: Runner, request: TaskRequest, log: Log, cancel: Cancellation) -> Outcome:
    """Run a task, and stop it when its timeout has passed, which includes the time to get an image.

    A task that pauses has no timeout, as it would pass while its user looks into the task.

    Raises:
        StandpipeError: if the runner could not start it.
    """
    seconds = request.pod.timeout
    if not seconds or request.pause:
        return runner.run(request, log=log, cancel=cancel)
    timed_out = Outcome(problem=f"it was stopped by its timeout, after {seconds} s (kubernetes.set_timeout)")
    with cancel_after(seconds, cancel) as (linked, expired):
        try:
            outcome = runner.run(request, log=log, cancel=linked)
        except StandpipeError:
            if cancel or not expired.is_set():
                raise
            return timed_out  # the error only says that it was cancelled
    return timed_out if expired.is_set() and not cancel else outcome


def _build_report(log: TaskLog, outcome: Outcome | None = None) -> AttemptReport:
    """Return the report of an attempt; its duration is added later."""
    used = outcome or Outcome()
    return AttemptReport(0, used.cpu_seconds, used.peak_memory, log.bytes, log.lines, used.warm_imports)
