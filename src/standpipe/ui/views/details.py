"""The tab Details: the parameters and outputs of a run, its times, its failures, and the commands that continue it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime

from standpipe.history import Run, Status, Task
from standpipe.model.frozen import frozen
from standpipe.model.plan import Plan
from standpipe.runs.pulled import PulledRun, read_mark
from standpipe.support.shell_commands import standpipe_command
from standpipe.support.terminal_text import strip_controls
from standpipe.ui.rendering import link
from standpipe.ui.views.failures import FailureView, view_failure
from standpipe.ui.views.spec import describe_location
from standpipe.ui.views.values import ValueView, view_values

#: The most failures that are described.
_MAX_FAILURES = 50

_RESUMABLE = (Status.FAILED, Status.CANCELLED, Status.INTERRUPTED)


@frozen
class Fact:
    """A line of details: a label, a text, and the address that it leads to."""

    label: str
    text: str
    href: str = ""
    copy: bool = False


@frozen
class CommandLine:
    """A command to type, and what it does."""

    purpose: str
    text: str


@frozen
class TaskFailureView:
    """A task that failed by itself."""

    path: str
    href: str
    log_href: str
    failure: FailureView


@frozen
class Pause:
    """A time in which the run was not in progress, before it was resumed."""

    start: datetime
    end: datetime


@frozen
class DetailsView:
    """The tab. `more_failures` is how many are left out; `other_failures` are sentences about the run as a whole."""

    facts: tuple[Fact, ...]
    times: tuple[tuple[str, datetime], ...]
    pauses: tuple[Pause, ...]
    duration: float | None
    waited: float | None
    inputs: tuple[ValueView, ...]
    outputs: tuple[ValueView, ...]
    commands: tuple[CommandLine, ...]
    failures: tuple[TaskFailureView, ...]
    more_failures: int
    other_failures: tuple[str, ...]


def view_details(run: Run, plan: Plan | None, script: str = "") -> DetailsView:
    """Return the tab for a run.

    Args:
        run: the run.
        plan: its Plan; None if it was recorded without one.
        script: the file that defines its pipeline; empty if there is none any more.
    """
    failed = [task for task in run.all_tasks() if task.failure and not task.failure.cause_task]
    named = {task.path for task in failed}
    others = [sentence for sentence in run.failures if not any(f"Task {path!r}" in sentence for path in named)]
    return DetailsView(
        facts=tuple(_facts(run, plan)),
        times=tuple((label, time) for label, time in _times(run) if time is not None),
        pauses=tuple(Pause(start, end) for start, end in run.pauses),
        duration=run.duration,
        waited=_waited(run),
        inputs=view_values(run.id, run.inputs),
        outputs=view_values(run.id, run.outputs),
        commands=tuple(_commands(run, script)),
        failures=tuple(_failure(run, task) for task in failed[:_MAX_FAILURES]),
        more_failures=max(0, len(failed) - _MAX_FAILURES),
        other_failures=() if named else tuple(map(strip_controls, others)),
    )


def _facts(run: Run, plan: Plan | None) -> Iterator[Fact]:
    yield Fact("Run", run.id, copy=True)
    yield Fact("Pipeline", run.pipeline)
    if plan and plan.description:
        yield Fact("Description", plan.description)
    if plan and plan.root.source_location:
        yield Fact("Defined in", describe_location(plan.root.source_location), copy=True)
    yield Fact("Folder", str(run.folder), copy=True)
    if pulled := read_mark(run.folder):
        yield Fact("Pulled from", f"{pulled.host}: run {pulled.id}", copy=True)
    if run.rerun_of:
        origin, _, path = run.rerun_of.partition("/")
        yield Fact("Rerun of", run.rerun_of, link("runs", origin, tab="tasks", task=path))
    if run.stop_reason:
        yield Fact("Stopped", strip_controls(run.stop_reason))
    if run.resume_count:
        yield Fact("Resumed", "once" if run.resume_count == 1 else f"{run.resume_count} times")


def _times(run: Run) -> Iterator[tuple[str, datetime | None]]:
    yield "Requested", run.created
    yield "Started", run.started
    yield "Ended", run.ended


def _waited(run: Run) -> float | None:
    """Return the seconds from the request of the run to the start of its first attempt."""
    starts = [task.attempts[0].started for task in run.all_tasks() if task.attempts]
    return max(0.0, (min(starts) - run.created).total_seconds()) if starts else None


def _commands_of_cluster(run: Run, pulled: PulledRun) -> Iterator[CommandLine]:
    flags = ("--host", pulled.host)
    yield CommandLine("Bring it up to date", standpipe_command("pull", run.folder.parent, pulled.id, flags=flags))
    if run.status is Status.RUNNING:
        yield CommandLine("Cancel it there", shlex.join(["standpipe", "cancel", pulled.id, *flags]))


def _commands(run: Run, script: str) -> Iterator[CommandLine]:
    root = run.folder.parent
    if pulled := read_mark(run.folder):
        yield from _commands_of_cluster(run, pulled)
    elif run.rerun_of:
        origin, _, path = run.rerun_of.partition("/")
        own = next((task.rerun_command for task in run.all_tasks() if task.rerun_command), "")  # has its inputs
        yield CommandLine("Rerun the task", own or standpipe_command("rerun", root, origin, path))
    elif run.status in _RESUMABLE:
        yield CommandLine("Resume with the recorded code", standpipe_command("resume", root, run.id))
        if script:
            flags = ("--script", script)
            yield CommandLine(
                "Resume with the code as it is now", standpipe_command("resume", root, run.id, flags=flags)
            )
    if run.status is Status.RUNNING and not pulled:
        yield CommandLine("Stop it", standpipe_command("cancel", root, run.id))
    yield CommandLine("Show it on a terminal", standpipe_command("show", root, run.id))


def _failure(run: Run, task: Task) -> TaskFailureView:
    assert task.failure is not None, "the task failed"
    href = link("runs", run.id, tab="details", task=task.path, panel="details")
    log_href = link("runs", run.id, tab="logs", task=task.path) if task.attempts else ""
    return TaskFailureView(task.path, href, log_href, view_failure(run.id, task.failure, "details"))
