"""The failure report of a run, the message of `TaskFailed`: where it failed, why, and what to do next.

It begins with the line of the user's code, and is short: the task's traceback is on the screen already. Where nothing
was shown, it has the traceback, too. The rest, such as inputs and attempts, is what `standpipe show` is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from standpipe.engine.machine import Machine
from standpipe.engine.tasks import ExecutorTask
from standpipe.errors import NoSuchRun, StandpipeError
from standpipe.model import events
from standpipe.model.frozen import frozen
from standpipe.model.layout import StateLayout
from standpipe.model.refs import RunInfo
from standpipe.model.states import TaskState
from standpipe.runs.current_code import CodeSource
from standpipe.runs.driver import describe_timeout
from standpipe.runs.preparation import UnpreparedTasks

# Not in a function: if another thread defines a NamedTuple after Ctrl-C, CPython (3.11) exits with 1 instead of 130.
from standpipe.runs.pulled import PulledRun, read_mark
from standpipe.store.reading import run_row
from standpipe.support.code_locations import describe_location
from standpipe.support.shell_commands import standpipe_command

_RUN_DEFINITION = "run its definition again (in a notebook, the cell)"


@frozen
class Commands:
    """The calls and commands that a failure report suggests, for the code as the user has edited it by then.

    Attributes:
        info: the run.
        rerun_of: the run and the task that it reruns; empty for other runs. It is that run which can be resumed.
        inputs_of: the run and the task whose inputs it has, if it reruns one with exactly those. Then the suggestion is
            to rerun that one, as a rerun is only a trial; otherwise no other run has the inputs.
        flags: the flags that set the options of the run.
        source: the code of its pipeline.
    """

    info: RunInfo
    rerun_of: str
    inputs_of: str
    flags: Sequence[str]
    source: CodeSource

    def describe_rerun(self, task: str) -> str:
        """Return how to rerun a task with the same inputs."""
        run, _, path = (self.inputs_of or f"{self.info.id}/{task}").partition("/")
        command = self._command("rerun", run, path)
        if self.source.flags:
            return f"To rerun only this task, once you have edited {self.source.name}:\n    {command}"
        if self._find_pulled(self._origin):
            return (
                "To rerun only this task, once you have edited its script; without --script, the code of the cluster "
                f"runs:\n    {self._command('rerun', run, path, '--script', 'SCRIPT')}"
            )
        return (
            f"To rerun only this task, once you have edited it: {_RUN_DEFINITION}, then "
            f"local.rerun_task({run!r}, {path!r}). This command runs the code that was recorded:\n    {command}"
        )

    def describe_resume(self) -> str:
        """Return how to resume the run, or where it was pulled from; empty for a rerun of a run that succeeded."""
        run = self._origin
        if self.rerun_of and not self._is_resumable(run):
            return ""
        if pulled := self._find_pulled(run):
            command = f"standpipe submit {self.source.name or 'TARGET'} --host {pulled.host}"
            return f"To start a new run on the cluster, once you have edited its code:\n    {command}"
        command = self._command("resume", run)
        if self.source.flags:
            return f"To resume the run, once you have edited {self.source.name}:\n    {command}"
        return (
            f"To resume the run, once you have edited its code: {_RUN_DEFINITION}, then local.resume({run!r}). This "
            f"command runs the code that was recorded:\n    {command}"
        )

    def describe_show(self, task: str) -> str:
        """Return how to see the rest about a task."""
        command = standpipe_command("show", self.info.pipeline_root, self.info.id, task)
        return f"Its traceback, inputs and attempts:\n    {command}"

    @property
    def _origin(self) -> str:
        return self.rerun_of.partition("/")[0] or self.info.id

    def _is_resumable(self, run: str) -> bool:
        try:
            return run_row(Path(self.info.pipeline_root), run).state is not TaskState.SUCCEEDED
        except NoSuchRun:
            return False  # it was deleted meanwhile

    def _find_pulled(self, run: str) -> PulledRun | None:
        return read_mark(StateLayout(Path(self.info.pipeline_root)).run_folder(run))

    def _command(self, name: str, run: str, *arguments: str) -> str:
        of_script = ("--", *self.source.arguments) if self.source.arguments else ()
        flags = (*self.source.flags, *self.flags)
        return standpipe_command(name, self.info.pipeline_root, run, *arguments, *of_script, flags=flags)


def failure_report(
    info: RunInfo,
    machine: Machine,
    end: events.RunEnded,
    folder: Path,
    timeout: float,
    commands: Commands,
    stop_reason: UnpreparedTasks | None = None,
    *,
    has_traceback: bool = True,
) -> str:
    """Return the report of a run that failed or was cancelled, with details of the first failure only.

    Args:
        info: the run.
        machine: its final state.
        end: its last fact.
        folder: the run's own folder.
        timeout: the time limit in seconds if the run exceeded it, otherwise 0.
        commands: what to do next.
        stop_reason: the tasks that cannot be set up, for which the run was stopped, if there are some.
        has_traceback: whether the report has the traceback, which the user has not seen among the task's output.
    """
    files = f"All files of the run are in {folder}."
    next_steps = list(filter(None, [commands.describe_resume()]))
    finish = f"The run finished with status {end.state.value}. {files}"  # scripts look for the words of kfp.local
    if stop_reason:
        others = [fact for fact in end.failures if not stop_reason.explains(fact.task)]
        sentences = [_sentence(other, info) for other in others]
        return "\n\n".join((f"Run {info.id} was stopped: {_end(stop_reason)}", *sentences, finish, *next_steps))
    if not end.failures:
        reason = describe_timeout(timeout) if timeout else "cancellation was requested"
        return "\n\n".join((f"Run {info.id} was cancelled: {reason}.", files, *next_steps))
    first, *others = end.failures
    parts = [_sentence(first, info), *_error_details(first.failure, has_traceback=has_traceback)]
    if has_command := _has_run(first, machine):
        parts.append(commands.describe_show(str(first.task)))
    parts += [_sentence(other, info) for other in others]
    parts.append(finish)
    if has_command:
        parts.append(commands.describe_rerun(str(first.task)))
    return "\n\n".join((*parts, *next_steps))


def _end(error: StandpipeError) -> str:
    return f"{str(error).rstrip('.')}."


def _sentence(fact: events.TaskFailed, info: RunInfo) -> str:
    """Return where a task failed, in the user's code, and why: the first line says both."""
    subject = f"Task '{fact.task}'" if fact.task.path else f"Pipeline '{info.name}'"
    sentence, location = f"{subject} {fact.failure.predicate}", fact.failure.location
    if location is None:
        return sentence
    code = f"\n    {location.code}" if location.code else ""
    return f"{describe_location(location)}: {sentence}{code}"


def _error_details(failure: events.Failure, *, has_traceback: bool) -> list[str]:
    details = [f"The end of its log:\n{failure.log_tail}"] if failure.log_tail else []
    has_traceback |= failure.location is None  # a crash report, for instance
    if has_traceback and failure.detail not in ("", failure.message):
        details.insert(0, failure.detail.rstrip())
    return [*details, failure.hint] if failure.hint else details


def _has_run(fact: events.TaskFailed, machine: Machine) -> bool:
    """Return whether a task has started, so that there is something to see, and to rerun."""
    task = machine.task(fact.task) if fact.task.path else None
    return isinstance(task, ExecutorTask) and bool(task.next_attempt)
