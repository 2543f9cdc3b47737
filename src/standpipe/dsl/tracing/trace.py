"""The pipeline that is being traced: what calls of components and `with` blocks are recorded in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from standpipe.errors import AuthoringError
from standpipe.model.kfp import kubernetes_name, unique_name

if TYPE_CHECKING:
    from standpipe.dsl.tracing.channels import PipelineChannel
    from standpipe.dsl.tracing.tasks import PipelineTask


class TaskGroup:
    """Tasks that belong together: a whole pipeline, or what stands in one `with` block; groups nest.

    `group` is the one that this one is in, None for the pipeline's own. `name` is unique in the pipeline.
    """

    #: What names begin with.
    prefix = ""
    #: Whether tasks outside may be told to come after the whole group.
    is_awaitable = False

    def __init__(self, name: str | None = None) -> None:
        self.name = ""
        self.display_name = name or ""
        self.group: TaskGroup | None = None
        self.tasks: list[PipelineTask] = []
        self.groups: list[TaskGroup] = []

    def __iter__(self) -> Iterator[TaskGroup]:
        """This group and all that are in it, outer ones first."""
        waiting = [self]
        while waiting:
            group = waiting.pop()
            yield group
            waiting.extend(reversed(group.groups))


class Trace:
    """The inputs of one pipeline function, its tasks in the order of their calls, and the groups that they are in."""

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        self.inputs: dict[str, PipelineChannel] = {}
        self.tasks: dict[str, PipelineTask] = {}
        self.root = TaskGroup()
        self.marks: dict[str, PipelineChannel] = {}
        self._open = [self.root]
        self._groups = 0
        self._numbers: dict[str, int] = {}

    @property
    def group(self) -> TaskGroup:
        """The group that the next task belongs to."""
        return self._open[-1]

    def name_for(self, component: str) -> str:
        """The name of a component's next task, unique in this pipeline."""
        return unique_name(kubernetes_name(component) or "task", self.tasks, self._numbers)

    def next_number(self) -> int:
        """The number that the next group's name ends with."""
        self._groups += 1
        return self._groups

    def add(self, task: PipelineTask) -> None:
        """Records a task."""
        self.tasks[task.name] = task
        task.group = self.group
        self.group.tasks.append(task)

    def enter(self, group: TaskGroup) -> None:
        """Records a group: tasks that come now belong to it."""
        group.group = self.group
        self.group.groups.append(group)
        self._open.append(group)

    def leave(self) -> TaskGroup:
        """Ends the group that was entered last, and returns it."""
        return self._open.pop()


class _Current(threading.local):
    """Threads trace independently of each other."""

    trace: Trace | None = None


_current = _Current()


def current() -> Trace | None:
    """The trace of the pipeline function that runs in this thread, if one does."""
    return _current.trace


@contextmanager
def tracing(pipeline: str) -> Iterator[Trace]:
    """Records calls of components in a new trace.

    Raises:
        AuthoringError: if another pipeline is being traced in this thread.
    """
    if _current.trace is not None:
        raise AuthoringError(
            f"Pipeline {pipeline!r} is defined within the function of pipeline {_current.trace.pipeline!r}, which KFP "
            "does not allow. Define it before, and call it there."
        )
    _current.trace = Trace(pipeline)
    try:
        yield _current.trace
    finally:
        _current.trace = None


def mark(channel: PipelineChannel, text: str) -> str:
    """Remembers what a text stands for that is put into other text, and returns it."""
    trace = current()
    if trace is not None:
        trace.marks.setdefault(text, channel)
    return text


def marked(text: str, where: str) -> PipelineChannel:
    """The channel that a mark in text stands for.

    Raises:
        AuthoringError: if the mark was not made in the pipeline that is being traced; the message says `where` it is.
    """
    trace = current()
    if trace is None or text not in trace.marks:
        raise AuthoringError(
            f"{where} holds the mark {text}, which stands for a value of another pipeline. "
            "A value of another pipeline must come in as an argument."
        )
    return trace.marks[text]
