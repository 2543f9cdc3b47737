"""The failure report of a run, the message of `TaskFailed`: what failed, why, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from standpipe.engine.machine import Machine
from standpipe.engine.tasks import ExecutorTask
from standpipe.model import events
from standpipe.model.refs import RunInfo
from standpipe.model.values import ArtifactValue, Value, flatten, preview
from standpipe.support.shell_commands import standpipe_command

#: The most inputs of a task that a report shows.
_MAX_INPUTS = 20


def failure_report(
    info: RunInfo,
    machine: Machine,
    end: events.RunEnded,
    folder: Path,
    timeout: float,
    flags: Sequence[str],
    stop_reason: object = None,
) -> str:
    """Return the report of a run that failed or was cancelled, with details of the first failure only.

    Args:
        info: the run.
        machine: its final state.
        end: its last fact.
        folder: the run's own folder.
        timeout: the time limit in seconds if the run exceeded it, otherwise 0.
        flags: the flags that set the options of the run in suggested commands.
        stop_reason: the error for which the run was cancelled, if there is one.
    """
    files = f"All files of the run are in {folder}."
    resume = standpipe_command("resume", info.pipeline_root, info.id, flags=flags)
    next_step = f"To resume the run: local.resume({info.id!r}), or\n    {resume}"
    if not end.failures:
        if timeout:
            reason = f"it had not ended after {timeout:g} s (PipelineConfig(active_deadline_seconds=...))"
        else:
            reason = f"{stop_reason or 'cancellation was requested'}"
        return "\n\n".join((f"Run {info.id} was cancelled: {reason.rstrip('.')}.", files, next_step))
    first, *others = end.failures
    parts = [_sentence(first, info), *_error_details(first.failure)]
    if first.task.path:
        parts += _task_details(first, info, machine, flags)
    parts += [_sentence(other, info) for other in others]
    return "\n\n".join((*parts, files, next_step))


def _sentence(fact: events.TaskFailed, info: RunInfo) -> str:
    subject = f"Task '{fact.task}'" if fact.task.path else f"Pipeline '{info.name}'"
    return f"{subject} {fact.failure.predicate}"


def _error_details(failure: events.Failure) -> list[str]:
    details = [] if failure.detail in ("", failure.message) else [failure.detail.rstrip()]
    if failure.log_tail:
        details.append(f"The end of its log:\n{failure.log_tail}")
    return [*details, failure.hint] if failure.hint else details


def _task_details(fact: events.TaskFailed, info: RunInfo, machine: Machine, flags: Sequence[str]) -> list[str]:
    """Return the exit code and the inputs of a task, and the command that reruns it."""
    task = machine.task(fact.task)
    if not isinstance(task, ExecutorTask) or not task.next_attempt:
        return []  # it never started
    code = fact.failure.exit_code
    parts = [f"It exited with code {code}."] if code is not None and f"code {code}" not in fact.failure.message else []
    parts += [f"Its inputs:\n{_inputs(task.inputs)}"] if task.inputs else []
    rerun = standpipe_command("rerun", info.pipeline_root, info.id, str(fact.task), flags=flags)
    return [*parts, f"To rerun only this task:\n    {rerun}"]


def _inputs(inputs: Mapping[str, Value]) -> str:
    lines = [f"    {name} = {_preview(value)}" for name, value in list(inputs.items())[:_MAX_INPUTS]]
    if len(inputs) > _MAX_INPUTS:
        lines.append(f"    and {len(inputs) - _MAX_INPUTS} more")
    return "\n".join(lines)


def _preview(value: Value) -> str:
    if isinstance(value, ArtifactValue):
        return f"{value.type.schema_title} at {value.location}"
    if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
        return f"{len(value)} of {value[0].type.schema_title}, the first at {value[0].location}"
    return preview(flatten(value))
