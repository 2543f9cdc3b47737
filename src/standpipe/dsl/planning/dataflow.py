"""What crosses the borders of groups: every group becomes a component, which sees only what its inputs bring.

A value that a task deep inside uses becomes an input of each group on the way down, and what is gathered inside
becomes an output of each group on the way up. The names of these inputs and outputs are the KFP SDK's.
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
    channel,
    channels_in,
)
from standpipe.dsl.tracing.conditions import Branch, ConditionBranches
from standpipe.dsl.tracing.groups import ExitHandler, path_of
from standpipe.dsl.tracing.loops import ParallelFor
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.dsl.tracing.trace import TaskGroup, Trace
from standpipe.errors import AuthoringError, InvalidTopologyException
from standpipe.model.plan import FromTask, RawItems

Member = Union[PipelineTask, TaskGroup]
Path = tuple[TaskGroup, ...]


@dataclass(frozen=True, eq=False)
class Surfaced:
    """An output of a group: its type is that of `shape`, and its value comes from one of the sources."""

    shape: PipelineChannel
    sources: tuple[FromTask, ...]


class Crossings:
    """What crosses the borders of a pipeline's groups.

    `inputs` holds for each group the channels that come in, by the name of the input; `outputs` what goes out; `after`
    the names of the tasks and groups beside it that a task or group waits for.

    Args:
        trace: the pipeline.
        returned: the values that it returns.

    Raises:
        InvalidTopologyException: if a value is used where it may not be there, or be several.
        AuthoringError: if a value of another pipeline is used.
    """

    def __init__(self, trace: Trace, returned: Sequence[object]) -> None:
        self.inputs: dict[TaskGroup, dict[str, PipelineChannel]] = defaultdict(dict)
        self.outputs: dict[TaskGroup, dict[str, Surfaced]] = defaultdict(dict)
        self.after: dict[Member, set[str]] = defaultdict(set)
        self._trace = trace
        self._loops = {id(group.item): group for group in trace.root if isinstance(group, ParallelFor)}
        self._members = {id(member) for member in (*trace.tasks.values(), *trace.root)}
        for task in trace.tasks.values():
            self._connect(task)
        for group in trace.root:
            self._open(group)
        for value in returned:
            if isinstance(value, (Collected, OneOfChannel)):
                self.resolved(value, trace.root, "the pipeline")

    def resolved(self, given: PipelineChannel, consumer: Member, described: str = "") -> PipelineChannel:
        """What a consumer takes: the channel itself, or what a group gives in place of what is gathered inside it."""
        if isinstance(given, Collected):
            return self._gathered(given, consumer, described or f"task {consumer.name!r}")
        if isinstance(given, OneOfChannel):
            self._join(given)
        return given

    # --- down: inputs -------------------------------------------------------------------------------------------------

    def _connect(self, task: PipelineTask) -> None:
        """Brings to a task all that it uses, and notes whom it waits for."""
        for given in used_by(task):
            self.check_own(given, f"Task {task.name!r}")
            found = self.resolved(given, task)
            self._use(found, path_of(task))
            if found.task is not None:
                self._wait(task, found.task, takes=True)
        for group in path_of(task):
            for operand in group.operands if isinstance(group, Branch) else ():
                if not _is_raw_field(operand):
                    self._use(self.resolved(operand, task), path_of(task))
                if operand.task is not None:
                    self._wait(task, self.resolved(operand, task).task, takes=True)
        for other in task.settings.after:
            if id(other) not in self._members:
                raise AuthoringError(
                    f"Task {task.name!r} of pipeline {self._trace.pipeline!r} was told to run .after() {other.name!r}, "
                    "which belongs to another pipeline. Name a task of the same pipeline."
                )
            self._wait(task, other, takes=False)

    def _open(self, group: TaskGroup) -> None:
        """Brings to a group what it looks at itself: the operands of its condition, the items of its loop."""
        looked_at: list[PipelineChannel] = []
        if isinstance(group, Branch):
            looked_at = group.operands
        elif isinstance(group, ParallelFor) and isinstance(group.item.loop_items, PipelineChannel):
            looked_at = [group.item.loop_items]
        for given in looked_at:
            self.check_own(given, f"Group {group.name!r}")
            found = self.resolved(given, group, f"group {group.name!r}")
            self._use(found, path_of(group))
            self.inputs[group][found.added_input] = found

    def _use(self, used: PipelineChannel, path: Path) -> None:
        """Makes a channel an input of all groups on a path, from where it is known on."""
        carried = used.item if isinstance(used, LoopField) else used
        for group in self._below_home(carried, path):
            self.inputs[group][carried.added_input] = carried
        if isinstance(carried, LoopItem) and isinstance(carried.loop_items, PipelineChannel):
            loop = self._loops[id(carried)]
            at_loop = path_of(loop) if _is_raw_field(carried.loop_items) else (*path_of(loop), loop)
            self._use(self.resolved(carried.loop_items, loop), at_loop)

    def _below_home(self, used: PipelineChannel, path: Path) -> Path:
        if isinstance(used, LoopItem):
            loop = self._loops.get(id(used))
            if not any(group is loop for group in path):
                raise InvalidTopologyException(
                    f"The {used.described} is used outside of that loop, where it is no single value. Use it inside of "
                    "the `with dsl.ParallelFor` block."
                )
            return path[1 + next(n for n, group in enumerate(path) if group is loop) :]
        return path if used.task is None else path[_common(path_of(used.task), path) :]

    # --- order --------------------------------------------------------------------------------------------------------

    def _wait(self, task: PipelineTask, upstream: Member, *, takes: bool) -> None:
        """Notes that a task comes after another one: it or its outermost group that the other one is not in."""
        up: tuple[Member, ...] = (*path_of(upstream), upstream)
        down: tuple[Member, ...] = (*path_of(task), task)
        common = _common(up, down)
        if common in (len(up), len(down)):
            raise AuthoringError(f"Task {task.name!r} waits for {upstream.name!r}, which it is a part of.")
        border = up[common]
        if border is not upstream:
            _check_border(task, upstream, border, takes=takes)
        self.after[down[common]].add(border.name)

    # --- up: outputs --------------------------------------------------------------------------------------------------

    def _gathered(self, given: Collected, consumer: Member, described: str) -> PipelineChannel:
        self.check_own(given.output, f"dsl.Collected for {described}")
        task = given.output.task
        if task is None:
            raise InvalidTopologyException(f"dsl.Collected got the {given.output.described}, which is not in a loop.")
        path = path_of(task)
        groups = path[_common(path, (*path_of(consumer), consumer)) :]
        _check_gathering(given.output, groups, described)
        name = given.output.added_input
        source, inner = given.output.name, task
        for group in reversed(groups):
            self.outputs[group][name] = Surfaced(given, (FromTask(inner.name, source),))
            source, inner = name, group
        return channel(name, given.channel_type, is_list=given.is_artifact_list, task=groups[0])

    def _join(self, given: OneOfChannel) -> None:
        branches = given.task
        sources = []
        for one in given.channels:
            self.check_own(one, "dsl.OneOf")
            path = path_of(one.task)
            inner: Member = one.task
            source = one.name
            for group in reversed(path[1 + next(n for n, group in enumerate(path) if group is branches) :]):
                if isinstance(group, ParallelFor):
                    raise InvalidTopologyException(
                        f"dsl.OneOf takes the {one.described}, which the loop {group.name!r} gives many times."
                    )
                self.outputs[group][one.added_input] = Surfaced(one, (FromTask(inner.name, source),))
                inner, source = group, one.added_input
            sources.append(FromTask(inner.name, source))
        self.outputs[branches][given.name] = Surfaced(given, tuple(sources))

    # --- belonging ----------------------------------------------------------------------------------------------------

    def check_own(self, used: PipelineChannel, where: str) -> None:
        """Raises AuthoringError for a channel of another pipeline, whatever that calls its tasks."""
        whole = used.item if isinstance(used, LoopField) else used
        if isinstance(whole, LoopItem):
            own = id(whole) in self._loops
        elif whole.task is None:
            own = self._trace.inputs.get(whole.name) is whole
        else:
            own = id(whole.task) in self._members
        if not own:
            raise AuthoringError(
                f"{where} of pipeline {self._trace.pipeline!r} uses the {used.described}, which is another pipeline's. "
                "A value of another pipeline must come in as an argument."
            )


def used_by(task: PipelineTask) -> Iterator[PipelineChannel]:
    """The channels that a task's arguments and settings mention."""
    where = f"Task {task.name!r}"
    for value in task.inputs.values():
        yield from channels_in(value, where)
    container = task.settings.container
    if container is not None:
        yield from channels_in(str(container.image), where)
        for quantity in vars(container.resources).values():
            yield from channels_in(str(quantity), where)
    yield from task.settings.channels


def _is_raw_field(used: PipelineChannel) -> bool:
    """Whether it is a field of items that the author wrote: these the KFP SDK brings to groups field by field."""
    return isinstance(used, LoopField) and isinstance(used.item.loop_items, RawItems)


def _common(one: Sequence[Member], other: Sequence[Member]) -> int:
    """How many members two paths begin with together."""
    length = 0
    for left, right in zip(one, other, strict=False):
        if left is not right:
            break
        length += 1
    return length


def _check_border(task: PipelineTask, upstream: Member, border: Member, *, takes: bool) -> None:
    if isinstance(border, (Branch, ExitHandler)) or (takes and isinstance(border, ConditionBranches)):
        remedy = "join the branches with dsl.OneOf" if takes and not isinstance(border, ExitHandler) else "move it"
        raise InvalidTopologyException(
            f"Task {task.name!r} depends on {upstream.name!r}, which is in the dsl.{type(border).__name__} "
            f"{border.name!r} and may not run. Put the task into the same block, or {remedy}."
        )
    if takes and isinstance(border, ParallelFor):
        raise InvalidTopologyException(
            f"Task {task.name!r} takes an output of {upstream.name!r}, which the loop {border.name!r} runs many times. "
            "Put the task into the same block, or take the outputs as a list: dsl.Collected(...)."
        )


def _check_gathering(output: PipelineChannel, groups: Path, consumer: str) -> None:
    if not any(isinstance(group, ParallelFor) for group in groups):
        raise InvalidTopologyException(
            f"dsl.Collected for {consumer} got the {output.described}, which is in no dsl.ParallelFor that the "
            "consumer is not in, too. Take the output itself."
        )
    if not isinstance(groups[0], ParallelFor):
        raise InvalidTopologyException(
            f"dsl.Collected for {consumer} got the {output.described}, whose loop is in the "
            f"dsl.{type(groups[0]).__name__} {groups[0].name!r} and may not run. Put the consumer into the same block."
        )
