"""The failure report of a run, the message of `TaskFailed`: what failed, why, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from standpipe.engine.machine import Machine
from standpipe.engine.tasks import ExecutorTask
from standpipe.model import events
from standpipe.model.frozen import frozen
from standpipe.model.refs import RunInfo
from standpipe.model.values import ArtifactValue, Value, flatten, preview
from standpipe.runs.current_code import CodeSource
from standpipe.support.shell_commands import standpipe_command

#: The most inputs of a task that a report shows.
_MAX_INPUTS = 20

_RUN_DEFINITION = "run its definition again (in a notebook, the cell)"


@frozen
class Commands:
    """The calls and commands that a failure report suggests, for the code as the user has edited it by then.

    Attributes:
        info: the run.
        rerun_of: the run and the task that it reruns; then the suggestions are for those, as a rerun is only a trial.
        flags: the flags that set the options of the run.
        source: the code of its pipeline.
    """

    info: RunInfo
    rerun_of: str
    flags: Sequence[str]
    source: CodeSource

    def describe_rerun(self, task: str) -> str:
        """Return how to rerun a task."""
        run, _, path = (self.rerun_of or f"{self.info.id}/{task}").partition("/")
        command = self._command("rerun", run, path)
        if self.source.flags:
            return f"To rerun only this task, once you have edited {self.source.name}:\n    {command}"
        return (
            f"To rerun only this task, once you have edited it: {_RUN_DEFINITION}, then "
            f"local.rerun_task({run!r}, {path!r}). This command runs the code that was recorded:\n    {command}"
        )

    def describe_resume(self) -> str:
        """Return how to resume the run."""
        run = self.rerun_of.partition("/")[0] or self.info.id
        command, call = self._command("resume", run), f"local.resume({run!r})"
        if self.source.flags:
            return (
                f"To resume the run, once you have edited {self.source.name}: {call} in it, or\n    {command}\n"
                f"Without {self.source.flags[0]}, the commands run the code that was recorded."
            )
        return (
            f"To resume the run, once you have edited its code: {_RUN_DEFINITION}, then {call}. This command runs the "
            f"code that was recorded:\n    {command}"
        )

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
    stop_reason: object = None,
) -> str:
    """Return the report of a run that failed or was cancelled, with details of the first failure only.

    Args:
        info: the run.
        machine: its final state.
        end: its last fact.
        folder: the run's own folder.
        timeout: the time limit in seconds if the run exceeded it, otherwise 0.
        commands: what to do next.
        stop_reason: the error for which the run was cancelled, if there is one.
    """
    files = f"All files of the run are in {folder}."
    next_step = commands.describe_resume()
    if not end.failures:
        if timeout:
            reason = f"it had not ended after {timeout:g} s (PipelineConfig(active_deadline_seconds=...))"
        else:
            reason = f"{stop_reason or 'cancellation was requested'}"
        return "\n\n".join((f"Run {info.id} was cancelled: {reason.rstrip('.')}.", files, next_step))
    first, *others = end.failures
    parts = [_sentence(first, info), *_error_details(first.failure)]
    if first.task.path:
        parts += _task_details(first, machine, commands)
    parts += [_sentence(other, info) for other in others]
    status = f"The run finished with status {end.state.value}."  # the words of kfp.local, which scripts look for
    return "\n\n".join((*parts, f"{status} {files}", next_step))


def _sentence(fact: events.TaskFailed, info: RunInfo) -> str:
    subject = f"Task '{fact.task}'" if fact.task.path else f"Pipeline '{info.name}'"
    return f"{subject} {fact.failure.predicate}"


def _error_details(failure: events.Failure) -> list[str]:
    details = [] if failure.detail in ("", failure.message) else [failure.detail.rstrip()]
    if failure.log_tail:
        details.append(f"The end of its log:\n{failure.log_tail}")
    return [*details, failure.hint] if failure.hint else details


def _task_details(fact: events.TaskFailed, machine: Machine, commands: Commands) -> list[str]:
    """Return the exit code and the inputs of a task, and the command that reruns it."""
    task = machine.task(fact.task)
    if not isinstance(task, ExecutorTask) or not task.next_attempt:
        return []  # it never started
    code = fact.failure.exit_code
    parts = [f"It exited with code {code}."] if code is not None and f"code {code}" not in fact.failure.message else []
    parts += [f"Its inputs:\n{_inputs(task.inputs)}"] if task.inputs else []
    return [*parts, commands.describe_rerun(str(fact.task))]


def _inputs(inputs: Mapping[str, Value]) -> str:
    lines = [f"    {name} = {_preview(value)}" for name, value in list(inputs.items())[:_MAX_INPUTS]]
    if len(inputs) > _MAX_INPUTS:
        lines.append(f"    and {len(inputs) - _MAX_INPUTS} more")
    return "\n".join(lines)


def _preview(value: Value) -> str:
    if isinstance(value, ArtifactValue):
        return f"{value.type.label} at {value.location}"
    if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
        return f"{len(value)} of {value[0].type.label}, the first at {value[0].location}"
    return preview(flatten(value))
