"""The record of a task, and its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standpipe.history.outline import Line, format_progress, render_lines, select_lines
from standpipe.history.records import Artifact, Attempt, Status, Value, first_line, format_time, seconds_of_progress
from standpipe.history.render import explain_status, format_value, name_task, render_attempt, render_failure
from standpipe.history.totals import Metric, TotalsCounter, scalars_of
from standpipe.history.values_text import describe_metrics
from standpipe.model.events import Failure
from standpipe.model.frozen import frozen
from standpipe.model.layout import task_folder
from standpipe.model.refs import TaskRef
from standpipe.support.notebooks import to_html
from standpipe.support.shell_commands import standpipe_command
from standpipe.support.terminal_text import strip_controls


@frozen
class Task:
    """A task that the run has reached. Nested pipelines, loops and their iterations are tasks with `children`.

    `path` joins the names of the tasks around it and its own; the name of an iteration is its number, from 0, and
    `item` is its item. `display_name` is empty unless the author set one. `cached_from` names the run and task whose
    outputs were reused, empty if it ran; `skip_reason` says why it was skipped. `started` is the start of its first
    attempt, or of the nested pipeline, loop or iteration; `ready` is when its inputs were known, so that it waited for
    a free slot only. It is None for tasks with `children`.
    """

    path: str
    name: str
    display_name: str
    iteration: int | None
    item: Value
    status: Status
    ready: datetime | None
    started: datetime | None
    ended: datetime | None
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    cached_from: str
    skip_reason: str
    failure: Failure | None
    attempts: tuple[Attempt, ...]
    children: tuple[Task, ...]
    _run_folder: Path
    _ref: TaskRef
    _idle: float
    _attempt: int

    if not TYPE_CHECKING:  # which would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            """Make a field that `history.folding` has left to its first use: most pages of a large run need few."""
            unmade = self.__dict__.get("_unmade")
            if unmade is None or name not in Task.__frozen_fields__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            value = self.__dict__[name] = getattr(unmade, name)
            return value

        def __getstate__(self) -> dict[str, Any]:
            return {name: getattr(self, name) for name in Task.__frozen_fields__}

    @property
    def folder(self) -> Path:
        """The folder of its first attempt, or of its children."""
        return task_folder(self._run_folder, self._ref)

    @property
    def rerun_command(self) -> str:
        """The command that reruns this task alone, with its inputs and recorded code; empty if it had no attempt."""
        if not self.attempts:
            return ""
        return standpipe_command("rerun", self._run_folder.parent, self._run_folder.name, self.path)

    @property
    def duration(self) -> float | None:
        """The seconds of progress from its start to its end, waiting for retries included; None until it has both."""
        return seconds_of_progress(self.started, self.ended, self._idle)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The artifacts among its outputs."""
        values = (each for value in self.outputs.values() for each in (value if isinstance(value, list) else (value,)))
        return tuple(value for value in values if isinstance(value, Artifact))

    def _repr_html_(self) -> str:
        return to_html(self)

    def __repr__(self) -> str:
        cached = f", cached from {self.cached_from}" if self.cached_from else ""
        reason = f", {self.skip_reason}" if self.skip_reason else ""
        if self.failure:
            reason = f", {first_line(self.failure.message)}"
        return f"<Task {self.path}: {self.status.value}{cached}{reason}>"

    def __str__(self) -> str:
        return strip_controls("\n".join(_render(self)))


def render_tree(tasks: Sequence[Task], *, all_tasks: bool = False) -> Iterator[str]:
    """Yield a line for each task and its children, indented by their depth; see `history.outline`.

    Args:
        tasks: the tasks.
        all_tasks: whether every task has a line, also of many that are only counted otherwise.
    """
    return render_lines(
        select_lines(
            tasks,
            lambda task: task.children,
            lambda task: task.status.value,
            lambda task, depth: Line(depth, _name(task), task.status.value, task.duration, _explain(task)),
            all_tasks=all_tasks,
        )
    )


def _render(task: Task) -> Iterator[str]:
    """Yield the lines of a task with everything that is known about it."""
    yield f"{task.path}: {format_progress(task.status.value, task.duration)}{_explain(task)}"
    if task.display_name:
        yield f"display name: {task.display_name}"
    if task.started:
        yield f"started: {format_time(task.started)}"
    if task.iteration is not None:
        yield f"item: {format_value(task.item)}"
    for title, values in (("inputs", task.inputs), ("outputs", task.outputs)):
        if values:
            yield f"{title}:"
            yield from (f"  {name} = {format_value(value)}" for name, value in values.items())
    yield from describe_metrics(task_metrics([task]))
    for attempt in task.attempts:
        yield from render_attempt(attempt)
    if task.failure:
        yield from render_failure(task.failure)
    yield f"folder: {task.folder}"
    if task.rerun_command:
        yield f"rerun the recorded code: {task.rerun_command}"
        yield "rerun the code as it is now: add --script FILE or --module NAME"
    yield from render_tree(task.children)


def task_metrics(tasks: Iterable[Task]) -> Mapping[str, Metric]:
    """Return the numbers in the `Metrics` artifacts that tasks produced, added up by their names."""
    counter = TotalsCounter()
    for task in tasks:
        if not task.children and task.status is Status.SUCCEEDED:
            for artifact in task.artifacts:
                counter.add_scalars(scalars_of(artifact.type, artifact.metadata))
    return counter.totals().metrics


def _name(task: Task) -> str:
    return name_task(task.name, task.display_name, task.iteration, task.item)


def _explain(task: Task) -> str:
    return explain_status(task.cached_from, task.skip_reason, task.failure, task._attempt)
