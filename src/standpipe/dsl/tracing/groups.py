"""Groups of tasks that `with` blocks make, and `ExitHandler`; conditions and loops are built on them.

The tasks of a group become a component of their own. The names and numbers of groups are the KFP SDK's, because they
stand in compiled files and in what users see of a run.
"""

from __future__ import annotations

import warnings
from types import TracebackType
from typing import Any

from standpipe.dsl.components import ExecutorComponent
from standpipe.dsl.tracing.channels import PipelineChannel
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.dsl.tracing.trace import TaskGroup, Trace, current
from standpipe.errors import AuthoringError
from standpipe.model.values import preview


class TasksGroup(TaskGroup):
    """A group that a `with` block makes."""

    def __enter__(self) -> Any:
        trace = the_trace(type(self).__name__)
        self.name = f"{self.prefix}-{trace.next_number()}"
        trace.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        left = the_trace(type(self).__name__).leave()
        if left is not self:
            what = f"dsl.{type(self).__name__}"
            warnings.warn(
                f"A dsl.Elif in the {what} has no dsl.Else. The KFP compiler takes what comes after it into the same "
                f"group, even what follows the {what}: that is what runs, on a cluster and here. Add a dsl.Else.",
                stacklevel=2,
            )


def the_trace(what: str) -> Trace:
    """The pipeline that is being traced.

    Raises:
        AuthoringError: if none is; the message says `what` needs one.
    """
    trace = current()
    if trace is None:
        raise AuthoringError(f"dsl.{what} stands outside of a pipeline: use it in a function with @dsl.pipeline.")
    return trace


def path_of(member: PipelineTask | TaskGroup) -> tuple[TaskGroup, ...]:
    """The groups that a task or group is in, outermost first, without the pipeline's own."""
    path: list[TaskGroup] = []
    group = member.group
    while group is not None and group.group is not None:
        path.append(group)
        group = group.group
    return tuple(reversed(path))


class ExitHandler(TasksGroup):
    """Runs a task once all the tasks of its block have come to their end, well or not.

    Args:
        exit_task: the task; it was made before, and takes nothing from other tasks.
        name: the name under which the group is shown.

    Raises:
        AuthoringError: if the exit task takes something from another task, or the block is within another one.
    """

    prefix = "exit-handler"
    is_awaitable = True

    def __init__(self, exit_task: PipelineTask, name: str | None = None) -> None:
        super().__init__(name)
        trace = the_trace("ExitHandler")
        if not isinstance(exit_task, PipelineTask) or trace.tasks.get(exit_task.name) is not exit_task:
            raise AuthoringError(f"dsl.ExitHandler got {preview(exit_task)}, and a task of the pipeline is wanted.")
        if exit_task.settings.container is None and isinstance(exit_task.component, ExecutorComponent):
            raise AuthoringError(f"Task {exit_task.name!r} is an importer, which KFP does not take for an exit task.")
        if exit_task.settings.after or any(
            isinstance(value, PipelineChannel) and value.task for value in exit_task.inputs.values()
        ):
            raise AuthoringError(
                f"Task {exit_task.name!r} cannot be an exit task: it waits for another task. It may take constants and "
                "inputs of the pipeline, and a dsl.PipelineTaskFinalStatus."
            )
        if exit_task.is_exit_task:
            raise AuthoringError(
                f"Task {exit_task.name!r} is the exit task of another dsl.ExitHandler. Call its component for each."
            )
        self.exit_task = exit_task
        if exit_task.group is not None:
            exit_task.group.tasks.remove(exit_task)
        exit_task.group = trace.root
        exit_task.is_exit_task = True

    def __enter__(self) -> Any:
        if the_trace("ExitHandler").group.group is not None:
            raise AuthoringError(
                "dsl.ExitHandler can only stand at the outermost level of a pipeline's function, and this one is in "
                f"{the_trace('ExitHandler').group.name}. Make a pipeline of it, and call that where it shall run."
            )
        return super().__enter__()
