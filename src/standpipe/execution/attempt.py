"""An attempt: its folder, its executor input, its command, the runner, and then its outputs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from standpipe.errors import StandpipeError
from standpipe.execution.cache.checksums import Sealer, payload_of, seal_of, sealed
from standpipe.execution.cache.keys import Work, import_work, task_work
from standpipe.execution.cache.lookup import Results
from standpipe.execution.contract import OutputError, executor_input, forget_outputs, read_outputs
from standpipe.execution.failures import failure_of, refusal
from standpipe.execution.importing import imported
from standpipe.execution.logs import TaskLog
from standpipe.execution.rendering import Rendering
from standpipe.execution.task_config import for_the_task, task_configs
from standpipe.model.events import AttemptEnded, Failure, Report, StartAttempt
from standpipe.model.layout import attempt_folder
from standpipe.model.locations import is_remote
from standpipe.model.plan import Component, Container, Executor, ExecutorRef, Importer, Plan, PythonFunction
from standpipe.model.ports import Cancel, Cluster, CommandLine, Outcome, Pod, Runner, TaskRequest
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.resources import Limits
from standpipe.model.values import Seal, Value, artifacts_in
from standpipe.support.paths import make_folder
from standpipe.support.redaction import NO_SECRETS, Redactor

#: Shows the lines that a task prints, as they come.
LineSink = Callable[[TaskRef, str], None]


@dataclass(frozen=True)
class Attempts:
    """Carries out attempts of one run, each in the thread that asks.

    Args:
        plan: what runs.
        run: what the run knows of itself.
        folder: the run's own folder.
        workspace: the folder that its tasks share.
        runner: where tasks run.
        show: what to do with each line that a task prints, besides keeping it in the task's log.
        cluster: what stands in for Kubernetes, where the pipeline has settings for it.
        results: what earlier attempts left, if this run may use that.
        redactor: takes secrets out of logs, where there are any.
        debug: runs them under a debugger, on the terminal of this process.
    """

    plan: Plan
    run: RunInfo
    folder: Path
    workspace: Path | None
    runner: Runner
    show: LineSink
    cluster: Cluster | None = None
    results: Results | None = None
    redactor: Redactor = NO_SECRETS
    debug: bool = False

    def __call__(self, command: StartAttempt, cancel: Cancel) -> AttemptEnded:
        """Runs one attempt to its end. Whatever goes wrong with it is its failure, not an exception."""
        began = time.monotonic()
        folder = attempt_folder(self.folder, command.task, command.attempt)
        try:
            ended = self._run_in(folder, command, cancel)
        except StandpipeError as error:
            ended = AttemptEnded(command.task, failure=Failure(str(error)))
        except OSError as error:
            ended = AttemptEnded(command.task, failure=refusal(error, folder))
        if ended.cached:
            return ended
        return replace(ended, report=replace(ended.report or Report(0), seconds=time.monotonic() - began))

    def _run_in(self, folder: Path, command: StartAttempt, cancel: Cancel) -> AttemptEnded:
        component = self.plan.components[command.component]
        executor = self._executor(component)
        if isinstance(executor, Importer):
            return self._import(executor, component, folder, command, cancel)
        if self.cluster is None:
            return self._run_as(Pod(), folder, command, cancel)
        done = self.cluster.carry_out(str(executor.image), command.inputs)
        if done is not None:
            outputs, sentence = done
            make_folder(folder, self.folder)
            with TaskLog(folder, partial(self.show, command.task), self.redactor) as log:
                log.write(f"{sentence}\n".encode())
            return AttemptEnded(command.task, outputs, report=_report(log))
        assert isinstance(component.body, ExecutorRef), "it has an executor"
        with self.cluster.pod(component.body.label, self.run, command.task, command.attempt) as pod:
            return self._run_as(pod, folder, command, cancel)

    def _import(
        self, importer: Importer, component: Component, folder: Path, command: StartAttempt, cancel: Cancel
    ) -> AttemptEnded:
        told = executor_input(component, command.inputs, folder)
        rendering = Rendering(told, partial(self.run.placeholder, command.task))
        artifact = imported(importer, command.inputs, rendering, self.workspace, cancel)
        seal = partial(self.results.seal, cancel=cancel) if self.results else self._sealer(cancel)
        path = payload_of(artifact)
        artifact = replace(artifact, seal=seal(path) if path else None)
        outputs: dict[str, Value] = dict.fromkeys(component.outputs, artifact)
        work = import_work(command, component, importer, artifact, seal) if self.results else None
        if self.results is None or work is None:
            return AttemptEnded(command.task, outputs)
        # An import that was remembered gives what is at this URI all the same, so nothing of it needs to be kept.
        ended = self.results.of(work, command, cancel, lambda: AttemptEnded(command.task))
        return replace(ended, outputs=outputs)

    def _run_as(self, pod: Pod, folder: Path, command: StartAttempt, cancel: Cancel) -> AttemptEnded:
        request = self._request(folder, command, self.plan.components[command.component], pod)
        work = self._work(request, command, cancel)
        if self.results is None or work is None:
            return self._run(request, command, cancel)
        return self.results.of(work, command, cancel, lambda: self._run(request, command, cancel))

    def _run(self, request: TaskRequest, command: StartAttempt, cancel: Cancel) -> AttemptEnded:
        component = self.plan.components[command.component]
        make_folder(request.folder, self.folder)
        with TaskLog(request.folder, partial(self.show, command.task), self.redactor) as log:
            outcome = self._run_in_time(request, log, cancel)
        report = _report(log, outcome)
        if not outcome.succeeded:
            if cancel:
                forget_outputs(request.executor_input)
            return AttemptEnded(command.task, failure=failure_of(outcome, log, request.limits), report=report)
        try:
            outputs = read_outputs(component, request.executor_input)
        except OutputError as error:
            failure = Failure(str(error), hint=f"Its log is {log.path}.")
            return AttemptEnded(command.task, failure=failure, report=report)
        return AttemptEnded(command.task, sealed(outputs, command.inputs, self._sealer(cancel)), report=report)

    def _work(self, request: TaskRequest, command: StartAttempt, cancel: Cancel) -> Work | None:
        if self.results is None:
            return None
        component = self.plan.components[command.component]
        return task_work(
            command,
            component,
            self._container(component).program,
            request,
            places=(str(self.workspace), self.run.workspace_path) if self.workspace else (),
            field=partial(self.run.placeholder, command.task),
            fingerprint=self.runner.fingerprint,
            seal=partial(self.results.seal, cancel=cancel),
        )

    def _sealer(self, cancel: Cancel) -> Sealer:
        """Seals what runs made. What users have elsewhere is read for the cache only, which does so once."""
        ours = [root for root in (Path(self.run.pipeline_root), self.workspace) if root]

        def seal(path: str) -> Seal | None:
            if any(Path(path).is_relative_to(root) for root in ours):
                return seal_of(path, cancel)
            return self.results.seal(path, cancel) if self.results else None

        return seal

    def _run_in_time(self, request: TaskRequest, log: TaskLog, cancel: Cancel) -> Outcome:
        """Runs an attempt, and stops it when its timeout has passed, which counts from before images are pulled."""
        seconds = request.pod.timeout
        if not seconds:
            return self.runner.run(request, log=log, cancel=cancel)
        stop = Cancel()
        forget = cancel.on_set(lambda: stop.set(urgent=cancel.urgent))
        timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), stop.set)
        timer.start()
        try:
            outcome = self.runner.run(request, log=log, cancel=stop)
        except StandpipeError:
            if cancel or not stop:
                raise  # otherwise it says that it was cancelled, and not why
        finally:
            timer.cancel()
            forget()
        if stop and not cancel:
            return Outcome(problem=f"it was stopped by its timeout, after {seconds} s (kubernetes.set_timeout)")
        return outcome

    def _request(self, folder: Path, command: StartAttempt, component: Component, pod: Pod) -> TaskRequest:
        container = self._container(component)
        told = executor_input(component, command.inputs, folder)
        rendering = Rendering(told, partial(self.run.placeholder, command.task))
        assert isinstance(component.body, ExecutorRef), "only components with an executor are started"
        settings = self.plan.kubernetes_settings(component.body.label)
        configs = task_configs(component, container, settings, rendering)
        told["inputs"]["parameterValues"].update(configs)
        container = for_the_task(component, container)
        program = container.program
        return TaskRequest(
            run=self.run.id,
            task=command.task,
            attempt=command.attempt,
            image=rendering.text(container.image),
            program=program
            if isinstance(program, PythonFunction)
            else CommandLine(rendering.arguments(program.command), rendering.arguments(program.args)),
            executor_input=told,
            folder=folder,
            pipeline_root=Path(self.run.pipeline_root),
            workspace=self.workspace,
            env=container.env,
            limits=Limits(command.needs.cpu_limit, command.needs.memory_limit, command.gpus),
            reads=_paths_elsewhere(command.inputs, Path(self.run.pipeline_root)),
            pod=pod,
            retry_index=command.retry_index,
            debug=self.debug,
        )

    def _container(self, component: Component) -> Container:
        executor = self._executor(component)
        assert isinstance(executor, Container), "importers have no container"
        return executor

    def _executor(self, component: Component) -> Executor:
        assert isinstance(component.body, ExecutorRef), "only components with an executor are started"
        return self.plan.executors[component.body.label]


def _paths_elsewhere(inputs: Mapping[str, Value], pipeline_root: Path) -> tuple[Path, ...]:
    """The payloads of input artifacts that are files of this machine outside of the pipeline root."""
    places = [artifact.place for artifact in artifacts_in(inputs.values())]
    paths = [Path(place) for place in dict.fromkeys(places) if not is_remote(place)]
    return tuple(path for path in paths if path.is_absolute() and not path.is_relative_to(pipeline_root))


def _report(log: TaskLog, outcome: Outcome | None = None) -> Report:
    """What is known of an attempt but the time that it took."""
    used = outcome or Outcome()
    return Report(0, used.cpu_seconds, used.peak_memory, log.bytes, log.lines)
