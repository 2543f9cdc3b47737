"""`If`, `Elif` and `Else`, and `OneOf`, which joins the outputs of their branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from standpipe.dsl.tracing.channels import (
    ADDED_INPUT_PREFIX,
    Collected,
    Comparison,
    OneOfArtifact,
    OneOfChannel,
    OneOfParameter,
    PipelineArtifactChannel,
    PipelineChannel,
    describe_channel,
    describe_type,
    describe_value,
)
from standpipe.dsl.tracing.groups import TasksGroup, enclosing_groups
from standpipe.dsl.tracing.source_locations import warn_caller
from standpipe.dsl.tracing.tasks import PipelineTask, TaskGroup
from standpipe.dsl.tracing.trace import Trace, require_trace
from standpipe.dsl.types import constant_type
from standpipe.errors import AuthoringError, AuthoringTypeError, InvalidControlFlowException
from standpipe.model.types import ParameterType

if TYPE_CHECKING:
    from standpipe.model.expressions import Expression


class ConditionBranches(TaskGroup):
    """The group around an `If` and the `Elif` or `Else` that follow it."""

    prefix = "condition-branches"

    def __init__(self) -> None:
        super().__init__()
        self._output_count = 0

    def next_output(self) -> str:
        """Return the name of the output for the next `OneOf` over these branches."""
        self._output_count += 1
        return f"{ADDED_INPUT_PREFIX}{self.name}-oneof-{self._output_count}"


class Branch(TasksGroup):
    """A branch of a condition. It runs if `comparison` is true and all the `earlier` comparisons are false.

    Args:
        earlier: the comparisons of the branches before this one.
        comparison: the comparison of this branch, None for an `Else`.
        name: the display name of the group.
    """

    prefix = "condition"

    def __init__(self, earlier: Sequence[Comparison], comparison: Comparison | None, name: str | None) -> None:
        super().__init__(name)
        self.earlier = tuple(earlier)
        self.comparison = comparison

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons of this branch and of those before it. All are false where a later branch runs."""
        return self.earlier if self.comparison is None else (*self.earlier, self.comparison)

    @property
    def operands(self) -> list[PipelineChannel]:
        """The channels that the condition compares."""
        return [
            operand
            for comparison in self.comparisons
            for operand in comparison.operands
            if isinstance(operand, PipelineChannel)
        ]

    @property
    def condition(self) -> Expression:
        """The condition in CEL. Its text is that of the KFP SDK, which may mean something else than the author."""
        from standpipe.model.expressions import parse  # here, as few programs have conditions

        return parse(self._format(_SDK), exact_text=self._format(_exact_constants()))

    def _format(self, constants: _Constants) -> str:
        terms = [f"!({_format_comparison(comparison, constants)})" for comparison in self.earlier]
        if self.comparison is not None:
            terms.append(_format_comparison(self.comparison, constants))
        return " && ".join(terms)


class If(Branch):
    """Runs its tasks only if a comparison is true when the pipeline runs.

    Args:
        condition: a comparison with an output of a task or an input of the pipeline: `task.output == 'yes'`.
        name: the display name of the group.

    Raises:
        AuthoringError: if the condition is not a comparison, or the operands cannot be compared.
    """

    def __init__(self, condition: Comparison | bool, name: str | None = None) -> None:
        super().__init__((), _check_condition(condition, "If"), name)


class Condition(If):
    """The deprecated name of `If`."""

    def __enter__(self) -> Any:
        warn_caller("dsl.Condition is deprecated: use dsl.If.", DeprecationWarning)
        return super().__enter__()


class _LaterBranch(Branch):
    """A branch that follows another one: an `Elif` or an `Else`."""

    def __init__(self, comparison: Comparison | None, name: str | None) -> None:
        construct = type(self).__name__
        siblings = require_trace(construct).group.groups
        previous = siblings[-1] if siblings else None
        if isinstance(previous, ConditionBranches) and isinstance(previous.groups[-1], Else):
            raise InvalidControlFlowException(
                f"dsl.{construct} follows a dsl.Else, which is the last branch of a condition: a condition has one "
                "dsl.Else, after its dsl.If and all its dsl.Elif."
            )
        if not isinstance(previous, Branch) or isinstance(previous, Else):
            raise InvalidControlFlowException(
                f"dsl.{construct} has no dsl.If before it: it must follow a dsl.If or dsl.Elif at the same level."
            )
        super().__init__(previous.comparisons, comparison, name)

    def __enter__(self) -> Any:
        trace = require_trace(type(self).__name__)
        if not isinstance(trace.group, ConditionBranches) or not isinstance(trace.group.groups[-1], Elif):
            _wrap_last_branch(trace)
        return super().__enter__()


class Elif(_LaterBranch):
    """Runs its tasks if its comparison is true and those of the `If` and `Elif` before it are false.

    Args:
        condition: a comparison, as for `If`.
        name: the display name of the group.

    Raises:
        InvalidControlFlowException: if it does not follow an `If` or `Elif`.
        AuthoringError: if the condition is not a comparison.
    """

    def __init__(self, condition: Comparison | bool, name: str | None = None) -> None:
        super().__init__(_check_condition(condition, "Elif"), name)


class Else(_LaterBranch):
    """Runs its tasks if all comparisons of the `If` and `Elif` before it are false.

    Args:
        name: the display name of the group.

    Raises:
        InvalidControlFlowException: if it does not follow an `If` or `Elif`.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(None, name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        require_trace("Else").leave_group()  # the group of the branches ends with the last branch


def _wrap_last_branch(trace: Trace) -> None:
    """Move the branch before an `Elif` or `Else` into a new group for all branches, which takes over its number."""
    branch = trace.group.groups.pop()
    branches = ConditionBranches()
    number = branch.name.rpartition("-")[2]
    branches.name = f"{branches.prefix}-{number}"
    branches.source_location = branch.source_location
    branch.name = f"{branch.prefix}-{trace.next_group_number()}"
    trace.enter_group(branches)
    trace.enter_group(branch)
    trace.leave_group()


def _check_condition(condition: object, construct: str) -> Comparison:
    if not isinstance(condition, Comparison):
        kind = "" if isinstance(condition, PipelineChannel) else f" of type {type(condition).__name__}"
        raise AuthoringError(
            f"dsl.{construct} expected a comparison with an output of a task or an input of the pipeline, such as "
            f"task.output == 'yes', got {describe_value(condition)}{kind}."
        )
    _format_comparison(condition, _SDK)  # raises if it cannot be compiled
    _warn_of_meaning(condition)
    return condition


def _warn_of_meaning(comparison: Comparison) -> None:
    """Warn of a comparison that is valid, but hardly means what its author expects, here and on a cluster."""
    types = {_operand_type(operand) for operand in comparison.operands}
    numbers = [each for each in comparison.operands if _is_number(each)]
    if comparison.operator not in ("==", "!=") and ParameterType.STRING in types and numbers:
        warn_caller(
            f"A condition orders text and the number {numbers[0]!r}: the number is compared as text, and '10' is less "
            "than '9'. Declare the other operand as int or float; items of a loop by the list, as list[int].",
        )
    for text in comparison.operands:
        if isinstance(text, str) and "{{$" in text:
            warn_caller(
                f"A condition compares with {describe_value(text)}: placeholders are not replaced in conditions, here "
                "and on a cluster. Pass the placeholder to a component, and compare with its output.",
            )


def _is_number(operand: object) -> bool:
    return isinstance(operand, (int, float)) and not isinstance(operand, bool)


class _Constants(NamedTuple):
    """How constants are written in CEL."""

    quote: Callable[[str], str]
    number_as_text: Callable[[float], str]
    boolean_of: Callable[[int], bool]


#: As the KFP SDK compiles them (2.17.3, `compiler/pipeline_spec_builder.py`): it does not escape text, writes numbers
#: that are compared with text as Python does, and inverts whole numbers that are compared with a bool.
_SDK = _Constants(lambda text: f"'{text}'", str, lambda number: number == 0)


def _exact_constants() -> _Constants:
    """Return how constants are written so that they mean what they do in Python; a number as text is that of a task."""
    from standpipe.model import cel_strings, go_text  # here, as few programs have conditions

    def number_as_text(number: float) -> str:
        return go_text.format_double(number) if isinstance(number, float) else str(number)

    return _Constants(cel_strings.quote, number_as_text, bool)


def _format_comparison(comparison: Comparison, constants: _Constants) -> str:
    """Return a comparison in CEL.

    Raises:
        AuthoringError: if an operand is not a string, a number or a bool, or if the two have no common type.
    """
    types = [_operand_type(operand) for operand in comparison.operands]
    common_type = next(candidate for candidate in _PRECEDENCE if candidate in types)
    left, right = (
        _format_operand(operand, constants)
        if operand_type is common_type
        else _convert_operand(operand, common_type, constants)
        for operand, operand_type in zip(comparison.operands, types, strict=True)
    )
    return f"{left} {comparison.operator} {right}"


#: The common type of two operands is the one that comes first here.
_PRECEDENCE = (
    ParameterType.STRING,
    ParameterType.BOOLEAN,
    ParameterType.NUMBER_DOUBLE,
    ParameterType.NUMBER_INTEGER,
)


def _operand_type(operand: object) -> ParameterType:
    operand_type = operand.declared_type if isinstance(operand, PipelineChannel) else constant_type(operand)
    if operand_type not in _PRECEDENCE:
        subject = describe_value(operand)
        kind = operand_type.label if operand_type else type(operand).__name__
        raise AuthoringError(
            f"A condition compares strings, numbers and bools, and {subject} is of type {kind}. "
            "Compare in a component that returns a bool."
        )
    assert isinstance(operand_type, ParameterType)
    return operand_type


def _format_operand(operand: Any, constants: _Constants) -> str:
    if isinstance(operand, PipelineChannel):
        reference = f"inputs.parameter_values['{operand.added_input}']"
        return f"int({reference})" if operand.declared_type is ParameterType.NUMBER_INTEGER else reference
    if isinstance(operand, str):
        return constants.quote(operand)
    return str(operand).lower() if isinstance(operand, bool) else str(operand)


def _convert_operand(operand: Any, to: ParameterType, constants: _Constants) -> str:
    text = _format_operand(operand, constants)
    if to is ParameterType.STRING:
        return constants.quote(constants.number_as_text(operand) if _is_number(operand) else text)
    if to is ParameterType.NUMBER_DOUBLE:
        return f"double({text})"
    if not isinstance(operand, int):
        raise AuthoringError(
            "A bool is compared with a fraction, or with a number that is known only when the pipeline runs. "
            "Compare it with True or False."
        )
    return str(constants.boolean_of(operand)).lower()


class OneOf:
    """Joins outputs of the branches of a condition into one value: the output of the branch that runs.

    Args:
        *channels: outputs of tasks in the branches of one `If` … `Else`, all of the same type.

    Returns:
        A channel that can be passed to tasks or returned.

    Raises:
        AuthoringError: if they are not in the branches of one condition, or that has no `Else`.
        AuthoringTypeError: if their types differ.
    """

    def __new__(cls, *channels: PipelineChannel) -> Any:
        require_trace("OneOf")
        for channel in channels:
            if not isinstance(channel, PipelineChannel) or isinstance(channel, (Collected, OneOfChannel)):
                raise AuthoringError(
                    f"dsl.OneOf expected outputs of tasks, got {describe_value(channel)}. It can contain neither a "
                    "dsl.Collected nor another dsl.OneOf."
                )
        if not channels:
            raise AuthoringError("dsl.OneOf expected the outputs to choose from: one of each branch.")
        first = channels[0]
        for channel in channels:
            if (channel.declared_type, channel.is_artifact_list) != (first.declared_type, first.is_artifact_list):
                raise AuthoringTypeError(
                    f"dsl.OneOf expected outputs of one type: the {describe_channel(first)} is {describe_type(first)}, "
                    f"and the {describe_channel(channel)} is {describe_type(channel)}."
                )
        branches = _find_branches(channels)
        channel_class = OneOfArtifact if isinstance(first, PipelineArtifactChannel) else OneOfParameter
        return channel_class(branches.next_output(), branches, channels)


def _find_branches(channels: Sequence[PipelineChannel]) -> ConditionBranches:
    """Return the branches that all the channels come from: the innermost ones, if conditions are nested."""
    paths = [enclosing_groups(channel.task) if isinstance(channel.task, PipelineTask) else () for channel in channels]
    common_groups = [group for group in paths[0] if all(any(group is other for other in path) for path in paths)]
    branches = next((group for group in reversed(common_groups) if isinstance(group, ConditionBranches)), None)
    if branches is None or not isinstance(branches.groups[-1], Else):
        raise AuthoringError(
            "dsl.OneOf expected outputs of tasks in the branches of one condition that ends with a dsl.Else, so that "
            "one of the branches always runs."
        )
    return branches
