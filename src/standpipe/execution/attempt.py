"""An attempt: its folder, its executor input, its command, the runner, and then its outputs."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from standpipe.errors import StandpipeError
from standpipe.execution.contract import OutputError, executor_input, read_outputs
from standpipe.execution.logs import TaskLog
from standpipe.execution.rendering import Rendering
from standpipe.model.events import AttemptEnded, Failure, StartAttempt
from standpipe.model.plan import Component, Container, ExecutorRef, Plan, PythonFunction
from standpipe.model.ports import Cancel, CommandLine, Outcome, Runner, TaskRequest
from standpipe.model.refs import RunInfo, TaskRef
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
    """

    plan: Plan
    run: RunInfo
    folder: Path
    workspace: Path | None
    runner: Runner
    show: LineSink

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
        folder.mkdir(parents=True, exist_ok=True)
        request = self._request(folder, command, component)
        with TaskLog(folder, partial(self.show, command.task)) as log:
            outcome = self.runner.run(request, log=log, cancel=cancel)
        if not outcome.succeeded:
            return AttemptEnded(command.task, failure=failure_of(outcome, log))
        try:
            return AttemptEnded(command.task, read_outputs(component, request.executor_input))
        except OutputError as error:
            return AttemptEnded(command.task, failure=Failure(str(error), hint=f"Its log is {log.path}."))

    def _request(self, folder: Path, command: StartAttempt, component: Component) -> TaskRequest:
        container = self._container(component)
        told = executor_input(component, command.inputs, folder)
        rendering = Rendering(told, partial(self.run.placeholder, command.task))
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
            resources=container.resources,
            reads=_paths_elsewhere(command.inputs, Path(self.run.pipeline_root)),
        )

    def _container(self, component: Component) -> Container:
        assert isinstance(component.body, ExecutorRef), "only components with an executor are given to runners"
        return self.plan.executors[component.body.label]


def attempt_folder(run_folder: Path, task: TaskRef, attempt: int) -> Path:
    """The folder of an attempt: that of the task and, for a repeated attempt, one beside it that no task can have."""
    folder = run_folder.joinpath(*task.segments)
    return folder if not attempt else folder.with_name(f"{folder.name}@{attempt}")


def _paths_elsewhere(inputs: Mapping[str, Value], pipeline_root: Path) -> tuple[Path, ...]:
    """The payloads of input artifacts that are files of this machine outside of the pipeline root."""
    artifacts = [a for value in inputs.values() for a in (value if isinstance(value, list) else [value])]
    paths = [
        Path(artifact.custom_path or artifact.uri)
        for artifact in artifacts
        if isinstance(artifact, ArtifactValue) and "://" not in artifact.uri
    ]
    return tuple(path for path in dict.fromkeys(paths) if path.is_absolute() and not path.is_relative_to(pipeline_root))


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
