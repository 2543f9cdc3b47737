"""What went wrong in a run, told to the user whole: it is the message of the exception."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from standpipe.engine.machine import Machine
from standpipe.engine.tasks import ExecutorTask
from standpipe.model import events
from standpipe.model.commands import command
from standpipe.model.refs import RunInfo
from standpipe.model.values import ArtifactValue, Value, flattened, preview

#: The most inputs that are shown of a task.
_MOST_INPUTS = 20


def story(
    info: RunInfo, machine: Machine, ended: events.RunEnded, folder: Path, deadline: float, how: Sequence[str]
) -> str:
    """What went wrong: the first failure whole, the others by name; and how to go on.

    Args:
        info: the run.
        machine: its state at the end.
        ended: how it ended.
        folder: where everything is that it left.
        deadline: after how many seconds the run was stopped; 0 if that was not why it ended.
        how: the options of commands that choose the runner.
    """
    left = f"Everything that the run left is in {folder}."
    resume = command("resume", info.pipeline_root, info.id, how=how)
    go_on = f"To go on from here: local.resume({info.id!r}), or\n    {resume}"
    if not ended.failures:
        if deadline:
            why = f"it had not ended after {deadline:g} s (PipelineConfig(active_deadline_seconds=...))"
        else:
            why = "somebody asked it to"
        return "\n\n".join((f"Run {info.id} was stopped: {why}.", left, go_on))
    first, *others = ended.failures
    parts = [_sentence(first, info), *_details(first.failure)]
    if first.task.path:
        parts += _how_to_repeat(first, info, machine, how)
    parts += [_sentence(other, info) for other in others]
    return "\n\n".join((*parts, left, go_on))


def _sentence(fact: events.TaskFailed, info: RunInfo) -> str:
    who = f"Task '{fact.task}'" if fact.task.path else f"Pipeline '{info.name}'"
    return f"{who} {fact.failure.predicate}"


def _details(failure: events.Failure) -> list[str]:
    told = [] if failure.detail in ("", failure.message) else [failure.detail.rstrip()]
    if failure.printed:
        told.append(f"It printed at last:\n{failure.printed}")
    return [*told, failure.hint] if failure.hint else told


def _how_to_repeat(fact: events.TaskFailed, info: RunInfo, machine: Machine, how: Sequence[str]) -> list[str]:
    """The inputs that the task had, and the command that runs just it again."""
    task = machine.task(fact.task)
    if not isinstance(task, ExecutorTask) or not task.next_attempt:
        return []  # it never began
    code = fact.failure.exit_code
    parts = [f"It exited with code {code}."] if code is not None and f"code {code}" not in fact.failure.message else []
    parts += [f"Its inputs:\n{_inputs(task.inputs)}"] if task.inputs else []
    repeat = command("rerun", info.pipeline_root, info.id, str(fact.task), how=how)
    return [*parts, f"To run just this task again:\n    {repeat}"]


def _inputs(inputs: Mapping[str, Value]) -> str:
    lines = [f"    {name} = {_shown(value)}" for name, value in list(inputs.items())[:_MOST_INPUTS]]
    if len(inputs) > _MOST_INPUTS:
        lines.append(f"    and {len(inputs) - _MOST_INPUTS} more")
    return "\n".join(lines)


def _shown(value: Value) -> str:
    if isinstance(value, ArtifactValue):
        return f"{value.type.schema_title} at {value.place}"
    if isinstance(value, list) and value and isinstance(value[0], ArtifactValue):
        return f"{len(value)} of {value[0].type.schema_title}, the first at {value[0].place}"
    return preview(flattened(value))
