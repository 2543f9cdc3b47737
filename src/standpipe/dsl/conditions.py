"""`If`, `Elif` and `Else`, and `OneOf`, which joins their branches again."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from standpipe.dsl.channels import (
    ADDED,
    Collected,
    Comparison,
    OneOfArtifact,
    OneOfChannel,
    OneOfParameter,
    PipelineArtifactChannel,
    PipelineChannel,
)
from standpipe.dsl.groups import TasksGroup, path_of, the_trace
from standpipe.dsl.tasks import PipelineTask
from standpipe.dsl.tracing import TaskGroup, Trace
from standpipe.dsl.types import constant_type
from standpipe.errors import AuthoringError, AuthoringTypeError, InvalidControlFlowException
from standpipe.model.types import ParameterType
from standpipe.model.values import preview


class ConditionBranches(TaskGroup):
    """The group around an `If` that an `Elif` or `Else` follows."""

    prefix = "condition-branches"

    def __init__(self) -> None:
        super().__init__()
        self._joined = 0

    def next_output(self) -> str:
        """The name of the output that the next `OneOf` over these branches becomes."""
        self._joined += 1
        return f"{ADDED}{self.name}-oneof-{self._joined}"


class Branch(TasksGroup):
    """One branch of a condition: it runs if none of the comparisons in `refused` holds, and `wanted` does."""

    prefix = "condition"

    def __init__(self, refused: Sequence[Comparison], wanted: Comparison | None, name: str | None) -> None:
        super().__init__(name)
        self.refused = tuple(refused)
        self.wanted = wanted

    @property
    def tried(self) -> tuple[Comparison, ...]:
        """The comparisons none of which holds where a later branch runs."""
        return self.refused if self.wanted is None else (*self.refused, self.wanted)

    @property
    def operands(self) -> list[PipelineChannel]:
        """The channels that the condition looks at."""
        return [
            operand
            for comparison in self.tried
            for operand in comparison.operands
            if isinstance(operand, PipelineChannel)
        ]

    @property
    def text(self) -> str:
        """The condition as the KFP SDK compiles it."""
        terms = [f"!({condition_text(comparison)})" for comparison in self.refused]
        if self.wanted is not None:
            terms.append(condition_text(self.wanted))
        return " && ".join(terms)


class If(Branch):
    """Runs its tasks only if a comparison holds when the pipeline runs.

    Args:
        condition: a comparison with an output of a task or an input of the pipeline: `task.output == 'yes'`.
        name: the name under which the group is shown.

    Raises:
        AuthoringError: if the condition is none, or compares what has no order.
    """

    def __init__(self, condition: Comparison | bool, name: str | None = None) -> None:
        super().__init__((), _checked(condition, "If"), name)


class Condition(If):
    """The older name of `If`."""

    def __enter__(self) -> Any:
        warnings.warn("dsl.Condition is deprecated: use dsl.If.", DeprecationWarning, stacklevel=2)
        return super().__enter__()


class _Alternative(Branch):
    """A branch that follows another one."""

    def __init__(self, wanted: Comparison | None, name: str | None) -> None:
        what = type(self).__name__
        siblings = the_trace(what).group.groups
        before = siblings[-1] if siblings else None
        if not isinstance(before, Branch) or isinstance(before, Else):
            raise InvalidControlFlowException(
                f"dsl.{what} has no dsl.If before it: it must follow a dsl.If or dsl.Elif at the same level."
            )
        super().__init__(before.tried, wanted, name)

    def __enter__(self) -> Any:
        trace = the_trace(type(self).__name__)
        if not isinstance(trace.group, ConditionBranches) or not isinstance(trace.group.groups[-1], Elif):
            _wrap_last_branch(trace)
        return super().__enter__()


class Elif(_Alternative):
    """Runs its tasks if its comparison holds and none of those of the `If` and `Elif` before it does.

    Args:
        condition: a comparison, as for `If`.
        name: the name under which the group is shown.

    Raises:
        InvalidControlFlowException: if it does not follow an `If` or `Elif`.
        AuthoringError: if the condition is none.
    """

    def __init__(self, condition: Comparison | bool, name: str | None = None) -> None:
        super().__init__(_checked(condition, "Elif"), name)


class Else(_Alternative):
    """Runs its tasks if none of the comparisons of the `If` and `Elif` before it holds.

    Args:
        name: the name under which the group is shown.

    Raises:
        InvalidControlFlowException: if it does not follow an `If` or `Elif`.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(None, name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        the_trace("Else").leave()  # the branches end with it


def _wrap_last_branch(trace: Trace) -> None:
    """Puts the branch before an `Elif` or `Else` into a group for all branches, which takes over its number."""
    branch = trace.group.groups.pop()
    branches = ConditionBranches()
    number = branch.name.rpartition("-")[2]
    branches.name = f"{branches.prefix}-{number}"
    branch.name = f"{branch.prefix}-{trace.next_number()}"
    trace.enter(branches)
    trace.enter(branch)
    trace.leave()


def _checked(condition: object, what: str) -> Comparison:
    if not isinstance(condition, Comparison):
        raise AuthoringError(
            f"dsl.{what} got {preview(condition)}, of type {type(condition).__name__}, and a comparison is wanted in "
            "which an output of a task or an input of the pipeline stands, as in task.output == 'yes'."
        )
    condition_text(condition)  # raises where it cannot be compiled
    return condition


def condition_text(comparison: Comparison) -> str:
    """A comparison in CEL, as the KFP SDK writes it: text is put in quotes and not escaped.

    Raises:
        AuthoringError: if an operand is not text, a number or a bool, or the two cannot be brought to one type.
    """
    operands = [(_operand_text(operand), _operand_type(operand)) for operand in comparison.operands]
    types = {found for _, found in operands}
    common = next(wanted for wanted in _PRECEDENCE if wanted in types)
    left, right = (text if found is common else _converted(text, common) for text, found in operands)
    return f"{left} {comparison.operator} {right}"


#: Where two types are compared, the one that comes first here.
_PRECEDENCE = (
    ParameterType.STRING,
    ParameterType.BOOLEAN,
    ParameterType.NUMBER_DOUBLE,
    ParameterType.NUMBER_INTEGER,
)


def _operand_type(operand: object) -> ParameterType:
    found = operand.channel_type if isinstance(operand, PipelineChannel) else constant_type(operand)
    if found not in _PRECEDENCE:
        what = f"the {operand.described}" if isinstance(operand, PipelineChannel) else preview(operand)
        raise AuthoringError(
            f"A condition compares text, numbers and bools, and {what} is of type {found or type(operand).__name__}. "
            "Compare in a component, and let it return a bool."
        )
    assert isinstance(found, ParameterType)
    return found


def _operand_text(operand: Any) -> str:
    if isinstance(operand, PipelineChannel):
        reference = f"inputs.parameter_values['{operand.added_input}']"
        return f"int({reference})" if operand.channel_type is ParameterType.NUMBER_INTEGER else reference
    if isinstance(operand, str):
        return f"'{operand}'"
    return str(operand).lower() if isinstance(operand, bool) else str(operand)


def _converted(text: str, to: ParameterType) -> str:
    if to is ParameterType.STRING:
        return f"'{text}'"
    if to is ParameterType.NUMBER_DOUBLE:
        return f"double({text})"
    try:
        return "true" if int(text) == 0 else "false"  # the wrong way round, as the KFP SDK compiles it
    except ValueError:
        raise AuthoringError(
            "A bool is compared with a number that is known only when the pipeline runs, or with a fraction. "
            "Compare it with True or False."
        ) from None


class OneOf:
    """Joins what the branches of a condition give into one value: that of the branch which ran.

    Args:
        *channels: outputs of tasks in the branches of one `If` … `Else`, all of the same type.

    Returns:
        A channel, to be passed to tasks or returned.

    Raises:
        AuthoringError: if they are not in the branches of one condition, or that has no `Else`.
        AuthoringTypeError: if their types differ.
    """

    def __new__(cls, *channels: PipelineChannel) -> Any:
        the_trace("OneOf")
        for channel in channels:
            if not isinstance(channel, PipelineChannel) or isinstance(channel, (Collected, OneOfChannel)):
                raise AuthoringError(
                    f"dsl.OneOf takes outputs of tasks, and {type(channel).__name__} is none: it can hold neither a "
                    "dsl.Collected nor another dsl.OneOf."
                )
        if not channels:
            raise AuthoringError("dsl.OneOf needs the outputs that it chooses from: one of each branch.")
        first = channels[0]
        for channel in channels:
            kinds = (channel.channel_type, channel.is_artifact_list), (first.channel_type, first.is_artifact_list)
            if kinds[0] != kinds[1]:
                raise AuthoringTypeError(
                    f"dsl.OneOf needs outputs of one type: the {first.described} is {first.shown_type}, and the "
                    f"{channel.described} is {channel.shown_type}."
                )
        branches = _branches_of(channels)
        made = OneOfArtifact if isinstance(first, PipelineArtifactChannel) else OneOfParameter
        return made(branches.next_output(), branches, channels)


def _branches_of(channels: Sequence[PipelineChannel]) -> ConditionBranches:
    """The branches that all the channels come from: the innermost ones, if conditions are nested."""
    paths = [path_of(channel.task) if isinstance(channel.task, PipelineTask) else () for channel in channels]
    common = [group for group in paths[0] if all(any(group is other for other in path) for path in paths)]
    branches = next((group for group in reversed(common) if isinstance(group, ConditionBranches)), None)
    if branches is None or not isinstance(branches.groups[-1], Else):
        raise AuthoringError(
            "dsl.OneOf needs outputs of tasks in the branches of one condition that ends with a dsl.Else, so that one "
            "of them is always there."
        )
    return branches
