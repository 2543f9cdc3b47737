"""An attempt: its folder, its executor input, its command, the runner, and then its outputs."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from standpipe.errors import StandpipeError
from standpipe.execution.contract import OutputError, executor_input, read_outputs
from standpipe.execution.importing import imported
from standpipe.execution.logs import TaskLog
from standpipe.execution.rendering import Rendering
from standpipe.execution.task_config import for_the_task, task_configs
from standpipe.model.events import AttemptEnded, Failure, StartAttempt
from standpipe.model.places import make_folder
from standpipe.model.plan import Component, Container, Executor, ExecutorRef, Importer, Plan, PythonFunction
from standpipe.model.ports import Cancel, Cluster, CommandLine, Outcome, Pod, Runner, TaskRequest
from standpipe.model.redaction import NO_SECRETS, Redactor
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.resources import Limits
from standpipe.model.types import Json
from standpipe.model.values import ArtifactValue, Value

#: The most characters of a failure's sentence, and of the traceback below it.
_LONGEST_MESSAGE = 2_000
_LONGEST_DETAIL = 50_000

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
        redactor: takes secrets out of logs, where there are any.
    """

    plan: Plan
    run: RunInfo
    folder: Path
    workspace: Path | None
    runner: Runner
    show: LineSink
    cluster: Cluster | None = None
    redactor: Redactor = NO_SECRETS

    def __call__(self, command: StartAttempt, cancel: Cancel) -> AttemptEnded:
        """Runs one attempt to its end. Whatever goes wrong with it is its failure, not an exception."""
        folder = attempt_folder(self.folder, command.task, command.attempt)
        try:
            return self._run_in(folder, command, cancel)
        except StandpipeError as error:
            failure = Failure(str(error))
        except OSError as error:
            failure = Failure(describe_os_error(error, folder), hint=_os_hint(error))
        return AttemptEnded(command.task, failure=failure)

    def _run_in(self, folder: Path, command: StartAttempt, cancel: Cancel) -> AttemptEnded:
        component = self.plan.components[command.component]
        executor = self._executor(component)
        if isinstance(executor, Importer):
            return AttemptEnded(command.task, self._import(executor, component, folder, command, cancel))
        make_folder(folder, self.folder)
        if self.cluster is None:
            return self._run_as(Pod(), folder, command, cancel)
        done = self.cluster.carry_out(str(executor.image), command.inputs)
        if done is not None:
            outputs, sentence = done
            with TaskLog(folder, partial(self.show, command.task), self.redactor) as log:
                log.write(f"{sentence}\n".encode())
            return AttemptEnded(command.task, outputs)
        assert isinstance(component.body, ExecutorRef), "it has an executor"
        with self.cluster.pod(component.body.label, self.run, command.task, command.attempt) as pod:
            return self._run_as(pod, folder, command, cancel)

    def _import(
        self, importer: Importer, component: Component, folder: Path, command: StartAttempt, cancel: Cancel
    ) -> dict[str, Value]:
        told = executor_input(component, command.inputs, folder)
        rendering = Rendering(told, partial(self.run.placeholder, command.task))
        artifact = imported(importer, command.inputs, rendering, self.workspace, cancel)
        return dict.fromkeys(component.outputs, artifact)

    def _run_as(self, pod: Pod, folder: Path, command: StartAttempt, cancel: Cancel) -> AttemptEnded:
        component = self.plan.components[command.component]
        request = self._request(folder, command, component, pod)
        with TaskLog(folder, partial(self.show, command.task), self.redactor) as log:
            outcome = self._run_in_time(request, log, cancel)
        if not outcome.succeeded:
            return AttemptEnded(command.task, failure=failure_of(outcome, log))
        try:
            return AttemptEnded(command.task, read_outputs(component, request.executor_input))
        except OutputError as error:
            return AttemptEnded(command.task, failure=Failure(str(error), hint=f"Its log is {log.path}."))

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
        configs = task_configs(component, container, self._kubernetes_settings(component), rendering)
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
            retry=command.retry,
        )

    def _container(self, component: Component) -> Container:
        executor = self._executor(component)
        assert isinstance(executor, Container), "importers have no container"
        return executor

    def _kubernetes_settings(self, component: Component) -> Mapping[str, Json]:
        assert isinstance(component.body, ExecutorRef), "only components with an executor are started"
        deployment = self.plan.platforms.get("kubernetes", {}).get("deploymentSpec", {})
        settings: Mapping[str, Json] = deployment.get("executors", {}).get(component.body.label, {})
        return settings

    def _executor(self, component: Component) -> Executor:
        assert isinstance(component.body, ExecutorRef), "only components with an executor are started"
        return self.plan.executors[component.body.label]


def attempt_folder(run_folder: Path, task: TaskRef, attempt: int) -> Path:
    """The folder of an attempt: that of the task and, for a repeated attempt, one beside it that no task can have."""
    folder = run_folder.joinpath(*task.segments)
    return folder if not attempt else folder.with_name(f"{folder.name}@{attempt}")


def _paths_elsewhere(inputs: Mapping[str, Value], pipeline_root: Path) -> tuple[Path, ...]:
    """The payloads of input artifacts that are files of this machine outside of the pipeline root."""
    artifacts = [a for value in inputs.values() for a in (value if isinstance(value, list) else [value])]
    places = [a.custom_path or a.uri for a in artifacts if isinstance(a, ArtifactValue)]
    paths = [Path(place) for place in dict.fromkeys(places) if "://" not in place]
    return tuple(path for path in paths if path.is_absolute() and not path.is_relative_to(pipeline_root))


def failure_of(outcome: Outcome, log: TaskLog) -> Failure:
    """Why an attempt failed, in a sentence, from how its process ended.

    Who left no traceback may have said in another way what went wrong, so the end of the log stands in its place.
    """
    if outcome.problem:
        message = outcome.problem
    elif outcome.out_of_memory:
        message = "it ran out of memory"
    elif outcome.signal is not None:
        message = f"it was killed by {signal_name(outcome.signal)}"
    elif outcome.cause:
        message = outcome.cause
    else:
        message = f"it exited with code {outcome.exit_code}"
    detail = outcome.detail or (f"It printed at last:\n{log.tail}" if log.tail else "")
    return Failure(
        shortened(message, _LONGEST_MESSAGE),
        detail=shortened(detail, _LONGEST_DETAIL),
        hint=f"Its log is {log.path}.",
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        out_of_memory=outcome.out_of_memory,
    )


def shortened(text: str, limit: int) -> str:
    """A text with its middle left out, where it is longer than a person would read; the log has all of it."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} [… {len(text) - 2 * half} characters …] {text[-half:]}"


def signal_name(number: int) -> str:
    """`signal 9 (SIGKILL)`, or the bare number where it has no name."""
    import signal  # costs enum set-up that a run without killed tasks need not pay

    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def describe_os_error(error: OSError, folder: Path) -> str:
    """An operating system's refusal in words that name the place."""
    return f"{error.strerror or error} at {error.filename or folder}"


def _os_hint(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "Free some space, or choose a pipeline root on another disk: local.init(..., pipeline_root=...)."
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return "Choose a pipeline root that you may write to: local.init(..., pipeline_root=...)."
    return ""
