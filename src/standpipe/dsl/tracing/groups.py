"""Groups of tasks that `with` blocks make, and `ExitHandler`. Conditions and loops are built on them.

The tasks of a group become a component of their own. The names and numbers of groups are those of the KFP SDK, since
they appear in compiled files and in the user interfaces of runs.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from standpipe.dsl.tracing.channels import PipelineChannel, describe_value
from standpipe.dsl.tracing.source_locations import caller_location, warn_caller
from standpipe.dsl.tracing.tasks import PipelineTask, TaskGroup
from standpipe.dsl.tracing.trace import require_trace
from standpipe.errors import AuthoringError
from standpipe.model.plan import Importer


class TasksGroup(TaskGroup):
    """A group of the tasks in a `with` block."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.source_location = caller_location()

    def __enter__(self) -> Any:
        trace = require_trace(type(self).__name__)
        self.name = f"{self.prefix}-{trace.next_group_number()}"
        trace.enter_group(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        left_group = require_trace(type(self).__name__).leave_group()
        if left_group is not self:
            construct = f"dsl.{type(self).__name__}"
            warn_caller(
                f"A dsl.Elif in the {construct} has no dsl.Else. Like the KFP compiler, Standpipe puts the tasks that "
                f"follow into the same group as the dsl.Elif, even tasks after the {construct}. Add a dsl.Else."
            )


def enclosing_groups(member: PipelineTask | TaskGroup) -> tuple[TaskGroup, ...]:
    """Return the groups that a task or group is in, outermost first, without the group of the pipeline."""
    groups: list[TaskGroup] = []
    group = member.group
    while group is not None and group.group is not None:
        groups.append(group)
        group = group.group
    return tuple(reversed(groups))


class ExitHandler(TasksGroup):
    """Runs a task when all tasks of its block have ended, whether they succeeded or failed.

    Args:
        exit_task: the task. It is created before the block and has no inputs from other tasks.
        name: the display name of the group.

    Raises:
        AuthoringError: if the exit task has an input from another task, or the block is inside another one.
    """

    prefix = "exit-handler"
    is_awaitable = True

    def __init__(self, exit_task: PipelineTask, name: str | None = None) -> None:
        super().__init__(name)
        trace = require_trace("ExitHandler")
        if not isinstance(exit_task, PipelineTask) or trace.tasks.get(exit_task.name) is not exit_task:
            raise AuthoringError(f"dsl.ExitHandler expected a task of the pipeline, got {describe_value(exit_task)}.")
        if isinstance(exit_task.component.executor, Importer):
            raise AuthoringError(
                f"Task {exit_task.name!r} is an importer, which KFP does not accept as an exit task. Use a component."
            )
        if exit_task.settings.after or any(
            isinstance(value, PipelineChannel) and value.task for value in exit_task.inputs.values()
        ):
            raise AuthoringError(
                f"Task {exit_task.name!r} cannot be an exit task: it waits for another task. Its inputs can be "
                "constants, inputs of the pipeline, and a dsl.PipelineTaskFinalStatus."
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
        enclosing_group = require_trace("ExitHandler").group
        if enclosing_group.group is not None:
            raise AuthoringError(
                "dsl.ExitHandler must be at the outermost level of a pipeline function, and this one is in "
                f"{enclosing_group.name}. Make a pipeline of the block, and call it there."
            )
        return super().__enter__()
