"""The flow of values across the borders of groups.

Each group becomes a component, which has access only to its inputs. So a value from outside that a task in a group uses
becomes an input of each group around the task, and an output that is used outside by `dsl.Collected` or `dsl.OneOf`
becomes an output of each group around its task. The names of these inputs and outputs are those of the KFP SDK.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Union

from standpipe.dsl.tracing.channels import (
    Collected,
    LoopField,
    LoopItem,
    OneOfChannel,
    PipelineChannel,
    create_channel,
    describe_channel,
    find_channels,
)
from standpipe.dsl.tracing.conditions import Branch, ConditionBranches
from standpipe.dsl.tracing.groups import ExitHandler, enclosing_groups
from standpipe.dsl.tracing.loops import ParallelFor
from standpipe.dsl.tracing.tasks import PipelineTask, TaskGroup
from standpipe.dsl.tracing.trace import Trace
from standpipe.errors import AuthoringError, InvalidTopologyException
from standpipe.model.plan import FromTask, RawItems

Member = Union[PipelineTask, TaskGroup]
Path = tuple[TaskGroup, ...]


@dataclass(frozen=True, eq=False)
class GroupOutput:
    """An output of a group: it has the type of `channel`, and its value comes from one of the sources."""

    channel: PipelineChannel
    sources: tuple[FromTask, ...]


class Dataflow:
    """The inputs and outputs that a pipeline's groups need, and the order of tasks and groups.

    `inputs` are the channels that enter each group, by the name of the input. `outputs` are the outputs of each group
    by name. `after` has the names of the tasks and groups at the same level that a task or group waits for.

    Args:
        trace: the pipeline.
        returned: the values that its function returned.

    Raises:
        InvalidTopologyException: if a value is used where it may not exist, or has several values.
        AuthoringError: if a value of another pipeline is used.
    """

    def __init__(self, trace: Trace, returned: Sequence[object]) -> None:
        self.inputs: dict[TaskGroup, dict[str, PipelineChannel]] = defaultdict(dict)
        self.outputs: dict[TaskGroup, dict[str, GroupOutput]] = defaultdict(dict)
        self.after: dict[Member, set[str]] = defaultdict(set)
        self._trace = trace
        self._loops = {id(group.item): group for group in trace.root if isinstance(group, ParallelFor)}
        self._members = {id(member) for member in (*trace.tasks.values(), *trace.root)}
        for task in trace.tasks.values():
            self._connect_task(task)
        for group in trace.root:
            self._connect_group(group)
        for value in returned:
            if isinstance(value, (Collected, OneOfChannel)):
                self.resolve_channel(value, trace.root, "the pipeline")

    def resolve_channel(self, channel: PipelineChannel, consumer: Member, description: str = "") -> PipelineChannel:
        """Return what a consumer uses: the channel itself, or the output of a group that stands for a `dsl.Collected`.

        Outputs of groups are created where a `dsl.Collected` or a `dsl.OneOf` needs them.

        Args:
            channel: the channel.
            consumer: the task or group that uses it.
            description: what the consumer is, for messages.
        """
        if isinstance(channel, Collected):
            return self._collect(channel, consumer, description or f"task {consumer.name!r}")
        if isinstance(channel, OneOfChannel):
            self._join_branches(channel)
        return channel

    # --- inputs, from outer groups to inner ones ----------------------------------------------------------------------

    def _connect_task(self, task: PipelineTask) -> None:
        """Bring all the values that a task uses to it, and record which tasks it waits for."""
        for channel in used_channels(task):
            self._connect_channel(task, channel)
        for channel in resource_channels(task):
            self._connect_channel(task, channel, is_resource=True)
        for group in enclosing_groups(task):
            for operand in group.operands if isinstance(group, Branch) else ():
                if not _is_field_of_raw_item(operand):
                    self._add_inputs(self.resolve_channel(operand, task), enclosing_groups(task))
                if operand.task is not None:
                    self._add_dependency(task, self.resolve_channel(operand, task).task, uses_output=True)
        for other in task.settings.after:
            if id(other) not in self._members:
                raise AuthoringError(
                    f"Task {task.name!r} of pipeline {self._trace.pipeline!r}: .after() got {other.name!r}, which "
                    "belongs to another pipeline. Pass a task of the same pipeline."
                )
            self._add_dependency(task, other, uses_output=False)

    def _connect_channel(self, task: PipelineTask, channel: PipelineChannel, *, is_resource: bool = False) -> None:
        self.check_ownership(channel, f"Task {task.name!r}")
        resolved = self.resolve_channel(channel, task)
        self._add_inputs(resolved, enclosing_groups(task))
        if resolved.task is not None:
            self._add_dependency(task, resolved.task, uses_output=True, is_resource=is_resource)

    def _connect_group(self, group: TaskGroup) -> None:
        """Bring the values that a group itself uses to it: the operands of its condition, the items of its loop."""
        channels: list[PipelineChannel] = []
        if isinstance(group, Branch):
            channels = group.operands
        elif isinstance(group, ParallelFor) and isinstance(group.item.loop_items, PipelineChannel):
            channels = [group.item.loop_items]
        for channel in channels:
            self.check_ownership(channel, f"Group {group.name!r}")
            resolved = self.resolve_channel(channel, group, f"group {group.name!r}")
            self._add_inputs(resolved, enclosing_groups(group))
            self.inputs[group][resolved.added_input] = resolved

    def _add_inputs(self, channel: PipelineChannel, path: Path) -> None:
        """Make a channel an input of all the groups on a path that are below the group where it is available."""
        carried = channel.item if isinstance(channel, LoopField) else channel
        for group in self._groups_below_source(carried, path):
            self.inputs[group][carried.added_input] = carried
        if isinstance(carried, LoopItem) and isinstance(carried.loop_items, PipelineChannel):
            loop = self._loops[id(carried)]
            outer_path = enclosing_groups(loop)
            loop_path = outer_path if _is_field_of_raw_item(carried.loop_items) else (*outer_path, loop)
            self._add_inputs(self.resolve_channel(carried.loop_items, loop), loop_path)

    def _groups_below_source(self, channel: PipelineChannel, path: Path) -> Path:
        if isinstance(channel, LoopItem):
            loop = self._loops.get(id(channel))
            if not any(group is loop for group in path):
                raise InvalidTopologyException(
                    f"The {describe_channel(channel)} is used outside of that loop, where it has several values. Use "
                    "it inside the `with dsl.ParallelFor` block."
                )
            return path[1 + next(n for n, group in enumerate(path) if group is loop) :]
        return path if channel.task is None else path[_common_length(enclosing_groups(channel.task), path) :]

    # --- order --------------------------------------------------------------------------------------------------------

    def _add_dependency(
        self, task: PipelineTask, upstream: Member, *, uses_output: bool, is_resource: bool = False
    ) -> None:
        """Record that a task waits for another one.

        The dependency is between the outermost groups that contain only one of the two, or the tasks themselves. Like
        the KFP SDK (2.17.3), the compiled task does not list the task that a resource comes from: its input tells.
        """
        upstream_path: tuple[Member, ...] = (*enclosing_groups(upstream), upstream)
        task_path: tuple[Member, ...] = (*enclosing_groups(task), task)
        common = _common_length(upstream_path, task_path)
        if common in (len(upstream_path), len(task_path)):
            raise AuthoringError(f"Task {task.name!r} waits for {upstream.name!r}, which contains it.")
        sibling = upstream_path[common]
        if sibling is not upstream:
            _check_border(task, upstream, sibling, uses_output=uses_output)
        if not (is_resource and task_path[common] is task):
            self.after[task_path[common]].add(sibling.name)

    # --- outputs, from inner groups to outer ones ---------------------------------------------------------------------

    def _collect(self, collected: Collected, consumer: Member, description: str) -> PipelineChannel:
        self.check_ownership(collected.output, f"dsl.Collected for {description}")
        task = collected.output.task
        if task is None:
            raise InvalidTopologyException(
                f"dsl.Collected for {description} got the {describe_channel(collected.output)}, which is not in a loop."
            )
        path = enclosing_groups(task)
        groups = path[_common_length(path, (*enclosing_groups(consumer), consumer)) :]
        if consumer is not self._trace.root:
            _check_collected(collected.output, groups, description)
        elif not groups or any(isinstance(group, ConditionBranches) for group in groups):
            raise InvalidTopologyException(
                f"dsl.Collected for {description} got the {describe_channel(collected.output)}, which is "
                f"{'in a dsl.If that has a dsl.Elif or dsl.Else' if groups else 'not in a dsl.ParallelFor'}. "
                f"{'Join the branches with dsl.OneOf' if groups else 'Return the output itself'}."
            )
        name = collected.output.added_input
        source, producer = collected.output.name, task
        for group in reversed(groups):
            self.outputs[group][name] = GroupOutput(collected, (FromTask(producer.name, source),))
            source, producer = name, group
        return create_channel(name, collected.declared_type, is_list=collected.is_artifact_list, task=groups[0])

    def _join_branches(self, one_of: OneOfChannel) -> None:
        branches = one_of.task
        sources = []
        for channel in one_of.channels:
            self.check_ownership(channel, "dsl.OneOf")
            path = enclosing_groups(channel.task)
            producer: Member = channel.task
            source = channel.name
            for group in reversed(path[1 + next(n for n, group in enumerate(path) if group is branches) :]):
                if isinstance(group, ParallelFor):
                    raise InvalidTopologyException(
                        f"dsl.OneOf got the {describe_channel(channel)}, which has several values: it is in the loop "
                        f"{group.name!r}."
                    )
                self.outputs[group][channel.added_input] = GroupOutput(channel, (FromTask(producer.name, source),))
                producer, source = group, channel.added_input
            sources.append(FromTask(producer.name, source))
        self.outputs[branches][one_of.name] = GroupOutput(one_of, tuple(sources))

    # --- ownership ----------------------------------------------------------------------------------------------------

    def check_ownership(self, channel: PipelineChannel, location: str) -> None:
        """Check that a channel belongs to this pipeline. Names are not compared: another pipeline may use the same.

        Raises:
            AuthoringError: if it belongs to another pipeline; the message begins with the location.
        """
        carried = channel.item if isinstance(channel, LoopField) else channel
        if isinstance(carried, LoopItem):
            is_own = id(carried) in self._loops
        elif carried.task is None:
            is_own = self._trace.inputs.get(carried.name) is carried
        else:
            is_own = id(carried.task) in self._members
        if not is_own:
            raise AuthoringError(
                f"{location} of pipeline {self._trace.pipeline!r} uses the {describe_channel(channel)}, which belongs "
                "to another pipeline. Pass a value of another pipeline as an argument."
            )


def used_channels(task: PipelineTask) -> Iterator[PipelineChannel]:
    """Yield the channels in a task's arguments and settings, but for those of its resources."""
    location = f"Task {task.name!r}"
    for value in task.inputs.values():
        yield from find_channels(value, location)
    if task.settings.container is not None:
        yield from find_channels(str(task.settings.container.image), location)
    yield from task.settings.channels


def resource_channels(task: PipelineTask) -> Iterator[PipelineChannel]:
    """Yield the channels in a task's resource requests and limits."""
    container = task.settings.container
    for quantity in container.resources.quantities.values() if container else ():
        yield from find_channels(str(quantity), f"Task {task.name!r}")


def _is_field_of_raw_item(channel: PipelineChannel) -> bool:
    """Return whether it is a field of an item of a list in the pipeline's code.

    The KFP SDK brings such fields to groups one by one, and not the whole item.
    """
    return isinstance(channel, LoopField) and isinstance(channel.item.loop_items, RawItems)


def _common_length(one: Sequence[Member], other: Sequence[Member]) -> int:
    """Return the length of the common beginning of two paths."""
    length = 0
    for left, right in zip(one, other, strict=False):
        if left is not right:
            break
        length += 1
    return length


def _check_border(task: PipelineTask, upstream: Member, border: Member, *, uses_output: bool) -> None:
    if isinstance(border, (Branch, ExitHandler)) or (uses_output and isinstance(border, ConditionBranches)):
        joins_branches = uses_output and not isinstance(border, ExitHandler)
        remedy = "join the branches with dsl.OneOf" if joins_branches else "move it"
        raise InvalidTopologyException(
            f"Task {task.name!r} depends on {upstream.name!r}, which is in the dsl.{type(border).__name__} "
            f"{border.name!r} and may not run. Put the task into the same block, or {remedy}."
        )
    if uses_output and isinstance(border, ParallelFor):
        raise InvalidTopologyException(
            f"Task {task.name!r} uses an output of {upstream.name!r}, which has several values: it is in the loop "
            f"{border.name!r}. Put the task into the same block, or use the outputs as a list: dsl.Collected(...)."
        )


def _check_collected(output: PipelineChannel, groups: Path, consumer: str) -> None:
    if not any(isinstance(group, ParallelFor) for group in groups):
        raise InvalidTopologyException(
            f"dsl.Collected for {consumer} got the {describe_channel(output)}, which has one value there: it is not in "
            "a dsl.ParallelFor, or in the same one as the consumer. Use the output itself."
        )
    if not isinstance(groups[0], ParallelFor):
        raise InvalidTopologyException(
            f"dsl.Collected for {consumer} got the {describe_channel(output)}, whose loop is in the "
            f"dsl.{type(groups[0]).__name__} {groups[0].name!r} and may not run. Put the consumer into the same block."
        )
