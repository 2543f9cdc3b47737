"""The trace of a pipeline function: the record of its component calls and `with` blocks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from standpipe.dsl.tracing.channels import PipelineChannel
from standpipe.dsl.tracing.marks import collect_marks
from standpipe.dsl.tracing.tasks import PipelineTask, TaskGroup
from standpipe.errors import AuthoringError
from standpipe.model.kfp import kubernetes_name, unique_name


class Trace:
    """The inputs of one pipeline function, its tasks in the order of their calls, and the groups that they are in."""

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        self.inputs: dict[str, PipelineChannel] = {}
        self.tasks: dict[str, PipelineTask] = {}
        self.root = TaskGroup()
        self._open_groups = [self.root]
        self._group_count = 0
        self._name_counts: dict[str, int] = {}

    @property
    def group(self) -> TaskGroup:
        """The group that the next task belongs to."""
        return self._open_groups[-1]

    def create_task_name(self, component: str) -> str:
        """Return the name of a component's next task, unique in this pipeline."""
        return unique_name(kubernetes_name(component) or "task", self.tasks, self._name_counts)

    def next_group_number(self) -> int:
        """Return the number at the end of the next group's name."""
        self._group_count += 1
        return self._group_count

    def add_task(self, task: PipelineTask) -> None:
        """Record a task."""
        self.tasks[task.name] = task
        task.group = self.group
        self.group.tasks.append(task)

    def enter_group(self, group: TaskGroup) -> None:
        """Record a group. The tasks that follow belong to it."""
        group.group = self.group
        self.group.groups.append(group)
        self._open_groups.append(group)

    def leave_group(self) -> TaskGroup:
        """Leave the group that was entered last, and return it."""
        return self._open_groups.pop()


class _ActiveTrace(threading.local):
    """The trace of this thread. Threads trace independently of each other."""

    trace: Trace | None = None


_active = _ActiveTrace()


def current_trace() -> Trace | None:
    """Return the trace of the pipeline function that runs in this thread, None outside a pipeline function."""
    return _active.trace


def require_trace(construct: str) -> Trace:
    """Return the trace of the pipeline function that runs in this thread.

    Raises:
        AuthoringError: outside a pipeline function; the message says that `dsl.<construct>` needs one.
    """
    trace = current_trace()
    if trace is None:
        raise AuthoringError(
            f"dsl.{construct} is used outside of a pipeline. Use it in a function that is decorated with @dsl.pipeline."
        )
    return trace


@contextmanager
def record_trace(pipeline: str) -> Iterator[Trace]:
    """Record component calls and `with` blocks in a new trace until the block ends.

    Raises:
        AuthoringError: if another pipeline is being traced in this thread.
    """
    if _active.trace is not None:
        raise AuthoringError(
            f"Pipeline {pipeline!r} is defined inside the function of pipeline {_active.trace.pipeline!r}, which KFP "
            "does not allow. Define it before that function, and call it in the function."
        )
    _active.trace = Trace(pipeline)
    try:
        with collect_marks():
            yield _active.trace
    finally:
        _active.trace = None
