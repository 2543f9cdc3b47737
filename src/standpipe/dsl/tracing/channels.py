"""Channels: the values that exist only when a pipeline runs, as they are passed around while it is traced."""

from __future__ import annotations

import re
import reprlib
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, Protocol

from standpipe.dsl.tracing.marks import MARK_PATTERN, register_mark, resolve_mark
from standpipe.dsl.tracing.source_locations import warn_caller
from standpipe.dsl.tracing.unknown_values import UnknownValue
from standpipe.dsl.types import parse_annotation, sdk_type_name, value_annotation
from standpipe.errors import AuthoringAttributeError, AuthoringError, InvalidTopologyException
from standpipe.model.plan import RawItems
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType, Input, Json, Output, ParameterType
from standpipe.model.values import preview, shorten

#: The prefix of the inputs that the compiler adds for values from outside a group or inside text. The KFP SDK's prefix.
ADDED_INPUT_PREFIX = "pipelinechannel--"


class Producer(Protocol):
    """A task, or a group of tasks that has an output of one of them as its own."""

    @property
    def name(self) -> str:
        """The name, unique in the pipeline."""


class PipelineChannel(UnknownValue):
    """An output of a task, or an input of the pipeline that is being traced (then `task` is None).

    `str(channel)` is a mark that stands for the value, so that a channel can be used in f-strings. The mark is replaced
    when the Plan is built.

    Attributes of items of loops hide fields of the same name (`item.a` is a field): see `LoopValue`. So texts for
    messages come from functions: `describe_channel`, `describe_type`.

    Args:
        name: the name of the output or input.
        declared_type: its type; `channel_type` is the same as text, under the names of the KFP SDK.
        is_artifact_list: whether it is a list of artifacts of that type.
        task: the task or group that produces it.
        type_annotation: the type in the author's notation, such as `typing.List[str]`, if that says more.
    """

    def __init__(
        self,
        name: str,
        declared_type: ParameterType | ArtifactType,
        is_artifact_list: bool = False,
        task: Any = None,
        type_annotation: str = "",
    ) -> None:
        self.name = name
        self.declared_type = declared_type
        self.is_artifact_list = is_artifact_list
        self.task = task
        self.type_annotation = type_annotation

    @property
    def task_name(self) -> str | None:
        return self.task.name if self.task else None

    @property
    def full_name(self) -> str:
        return f"{self.task.name}-{self.name}" if self.task else self.name

    @property
    def added_input(self) -> str:
        """The name of the input that brings this value into a group, or to a task that has it inside text."""
        return ADDED_INPUT_PREFIX + self.full_name

    @property
    def channel_type(self) -> str:
        """The type as the KFP SDK writes it: `String`, `typing.List[str]`, `system.Model@0.0.1`."""
        return sdk_type_name(self.declared_type, self.type_annotation)

    @property
    def pattern(self) -> str:
        """The mark that stands for the value inside text: `str(channel)`."""
        return str(self)

    def __str__(self) -> str:
        text = f"{{{{channel:task={self.task_name or ''};name={self.name};type={self.channel_type};}}}}"
        return register_mark(text, self)

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> Comparison:  # type: ignore[override]  # a condition, in KFP's notation
        return Comparison("==", self, other)

    def __ne__(self, other: object) -> Comparison:  # type: ignore[override]
        return Comparison("!=", self, other)

    def __lt__(self, other: object) -> Comparison:
        return Comparison("<", self, other)

    def __le__(self, other: object) -> Comparison:
        return Comparison("<=", self, other)

    def __gt__(self, other: object) -> Comparison:
        return Comparison(">", self, other)

    def __ge__(self, other: object) -> Comparison:
        return Comparison(">=", self, other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        """Return True, with a warning, as for a `Comparison`."""
        _warn_of_truth_value(f"The {describe_channel(self)}")
        return True

    def _describe(self) -> str:
        return f"output {self.name!r} of task {self.task.name!r}" if self.task else f"pipeline input {self.name!r}"


def describe_channel(channel: PipelineChannel) -> str:
    """Return what a channel is, for messages: `output 'model' of task 'train'`."""
    return channel._describe()


def describe_value(value: object) -> str:
    """Return a value for messages, in the author's words: `the pipeline input 'n'`, or text with names for marks.

    A collection is not shown by its `repr`, since not every channel in it has a text.

    >>> describe_value([5, "a"])
    "[5, 'a']"
    """
    return shorten(_Description().repr(value))


class _Description(reprlib.Repr):
    """The beginning of a value as text. The other methods are hooks of `reprlib`."""

    def repr1(self, value: object, level: int) -> str:
        return f"the {describe_channel(value)}" if isinstance(value, PipelineChannel) else super().repr1(value, level)

    def repr_str(self, value: str, level: int) -> str:
        return re.sub(MARK_PATTERN, lambda mark: f"{{{mark['name']}}}", repr(value))

    def repr_int(self, value: int, level: int) -> str:
        return preview(value)  # Python refuses to write one of more than 4300 digits

    def repr_instance(self, value: object, level: int) -> str:
        return repr(value)


def describe_type(channel: PipelineChannel) -> str:
    """Return the type of a channel, for messages: `str`, `List[Model]`."""
    return f"List[{channel.declared_type.label}]" if channel.is_artifact_list else channel.declared_type.label


class Comparison:
    """A comparison with a value that exists only when the pipeline runs: the condition of a `dsl.If`.

    The names of the attributes are those of the KFP SDK's `ConditionOperation`.
    """

    def __init__(self, operator: str, left_operand: object, right_operand: object) -> None:
        self.operator = operator
        self.left_operand = left_operand
        self.right_operand = right_operand

    @property
    def operands(self) -> tuple[object, object]:
        return self.left_operand, self.right_operand

    def __bool__(self) -> bool:
        """Return True, with a warning: Python asks for a truth value in `and`, `or`, `not`, `in` and plain `if`."""
        _warn_of_truth_value(f"A comparison with {describe_value(self.left_operand)}")
        return True


def _warn_of_truth_value(subject: str) -> None:
    from standpipe.dsl.tracing.truth_values import warn_of_truth_value  # with `ast`, which few pipelines need

    warn_of_truth_value(subject)


class PipelineParameterChannel(PipelineChannel):
    """A channel for a parameter."""


class PipelineArtifactChannel(PipelineChannel):
    """A channel for an artifact, or for a list of artifacts."""


# --- loops ------------------------------------------------------------------------------------------------------------


#: The attributes of items and fields of loops that the KFP SDK's have, too. They hide fields of the same names.
SDK_ATTRIBUTES = frozenset({"name", "channel_type", "task", "task_name", "full_name", "pattern"})
#: Those that only ours have. In a pipeline function they are fields of the item.
_OWN_ATTRIBUTES = frozenset(
    {"added_input", "declared_type", "is_artifact_list", "item", "key", "loop_items", "type_annotation"}
)
_OBSERVED_ATTRIBUTES = SDK_ATTRIBUTES | _OWN_ATTRIBUTES


class LoopValue(PipelineChannel):
    """The item of a loop, or a field of it: what a pipeline function expects fields in, as attributes.

    An attribute of the KFP SDK's is read as there, with a warning: `item.name` compiles to a constant text.
    """

    _has_fields = False

    @property
    def channel_type(self) -> str:
        return super().channel_type if "[" in self.type_annotation else self.type_annotation or super().channel_type

    def __getattribute__(self, name: str) -> Any:
        if name not in _OBSERVED_ATTRIBUTES or _is_internal(sys._getframe(1)):
            return super().__getattribute__(name)
        if name in _OWN_ATTRIBUTES and self._has_fields:
            return self.__getattr__(name)
        value = super().__getattribute__(name)
        if name in _OWN_ATTRIBUTES:
            return value
        warn_caller(
            f".{name} of the {self._describe()} is an attribute of the loop variable, as in the KFP SDK: "
            f"{preview(value)}, the same in each iteration. {self._explain_field(name)}"
        )
        return value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # looked up by Python itself, for example by `copy`
        raise AuthoringAttributeError(f"The {self._describe()} has no attribute {name!r}. {self._explain_field(name)}")

    def _explain_field(self, name: str) -> str:
        """Return how a task gets the field with this name."""
        return f"Pass the whole value to a component, and read {name!r} there."


def _is_internal(frame: FrameType) -> bool:
    """Return whether a frame belongs to Standpipe or to an extension of KFP, and not to a pipeline."""
    package = (frame.f_globals.get("__name__") or "").partition(".")[0]
    return package in ("standpipe", "kfp")


class LoopItem(LoopValue):
    """The item of an iteration. `loop_items` are the items of the loop: a channel, or a list in the pipeline's code."""

    def __init__(
        self,
        name: str,
        declared_type: ParameterType | ArtifactType,
        loop_items: PipelineChannel | RawItems,
        task: Any = None,
        type_annotation: str = "",
    ) -> None:
        super().__init__(name, declared_type, False, task, type_annotation)
        self.loop_items = loop_items

    def _describe(self) -> str:
        return f"item {self.name!r} of a loop"


class LoopParameter(LoopItem, PipelineParameterChannel):
    """An item that is a parameter. If the items are dicts, `item["a"]` is a field, and so is an unknown attribute.

    Raises:
        AuthoringError: if the key is not a text that KFP can compile.
    """

    _has_fields = True

    def __getattr__(self, name: str) -> LoopField:
        if name.startswith("__"):
            raise AttributeError(name)  # looked up by Python itself, for example by `copy`
        return self[name]

    def __getitem__(self, key: str) -> LoopField:
        if not isinstance(key, str) or not re.fullmatch(_FIELD_NAME, key):
            raise AuthoringError(
                f"The {self._describe()} is known only when the pipeline runs. Expected the key of a field, such as "
                f"'size', of letters, digits, '_' and '-', got {preview(key)}. Pass the whole item to a component, and "
                "read the part there."
            )
        return LoopField(f"{self.name}-subvar-{key}", value_annotation(self.type_annotation), self, key)

    def _explain_field(self, name: str) -> str:
        return (
            f"For the field of the item, write item[{name!r}]; for the KFP SDK as well, rename the field, or pass the "
            "whole item to a component and read it there."
        )


class LoopArtifact(LoopItem, PipelineArtifactChannel):
    """An item that is an artifact."""


class LoopField(LoopValue, PipelineParameterChannel):
    """A field of an item that is a dict."""

    def __init__(self, name: str, type_annotation: str, item: LoopItem, key: str) -> None:
        super().__init__(name, parse_annotation(type_annotation), False, item.task, type_annotation)
        self.item = item
        self.key = key

    def _describe(self) -> str:
        return f"field {self.key!r} of the items of a loop"


_FIELD_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"


# --- channels that combine others -------------------------------------------------------------------------------------


class Collected(PipelineChannel):
    """The outputs of a task in all iterations of a loop, as a list, for tasks outside the loop and for the pipeline.

    Args:
        output: an output of a task in a `dsl.ParallelFor`.

    Raises:
        AuthoringError: if `output` is something else.
    """

    def __init__(self, output: PipelineChannel) -> None:
        if not isinstance(output, PipelineChannel) or isinstance(output, (OneOfChannel, LoopItem, LoopField)):
            raise AuthoringError(
                f"dsl.Collected: expected an output of a task in a dsl.ParallelFor, got {describe_value(output)}."
            )
        is_artifact = isinstance(output.declared_type, ArtifactType)
        collected_type = output.declared_type if is_artifact else ParameterType.LIST
        super().__init__(output.name, collected_type, is_artifact, output.task)
        self.output = output

    def _describe(self) -> str:
        return f"dsl.Collected of the {describe_channel(self.output)}"

    def __str__(self) -> str:
        raise InvalidTopologyException(
            "A dsl.Collected cannot be used inside text, lists or dicts: pass it to an input."
        )


class OneOfInText(AuthoringError, NotImplementedError):
    """A `dsl.OneOf` is used inside text; the KFP SDK raises a NotImplementedError."""


class OneOfChannel(PipelineChannel):
    """The output of the one branch that runs. Its `task` is the group of the branches."""

    def __init__(self, name: str, branches: Producer, channels: Sequence[PipelineChannel]) -> None:
        first = channels[0]
        super().__init__(name, first.declared_type, first.is_artifact_list, branches, first.type_annotation)
        self.channels = channels

    def _describe(self) -> str:
        branches = " and ".join(f"the {describe_channel(channel)}" for channel in self.channels)
        return f"dsl.OneOf of {branches}"

    def __str__(self) -> str:
        raise OneOfInText("A dsl.OneOf cannot be used inside text, lists or dicts: pass it to an input.")


class OneOfParameter(OneOfChannel, PipelineParameterChannel):
    """A `dsl.OneOf` of parameters."""


class OneOfArtifact(OneOfChannel, PipelineArtifactChannel):
    """A `dsl.OneOf` of artifacts."""


# --- create and find channels -----------------------------------------------------------------------------------------


def create_channel(
    name: str,
    type: ParameterType | ArtifactType,
    *,
    is_list: bool = False,
    task: Producer | None = None,
    annotation: str = "",
) -> PipelineChannel:
    """Return a channel of the class that fits its type."""
    cls = PipelineParameterChannel if isinstance(type, ParameterType) else PipelineArtifactChannel
    return cls(name, type, is_list, task, annotation)


def create_input_channel(name: str, declared: Input) -> PipelineChannel:
    """Return the channel of a pipeline's input."""
    if isinstance(declared, ArtifactInput):
        return create_channel(name, declared.type, is_list=declared.is_list)
    return create_channel(name, declared.type, annotation=declared.annotation)


def create_output_channel(name: str, declared: Output, task: Producer) -> PipelineChannel:
    """Return the channel of a task's output."""
    if isinstance(declared, ArtifactOutput):
        return create_channel(name, declared.type, is_list=declared.is_list, task=task)
    return create_channel(name, declared.type, task=task, annotation=declared.annotation)


def find_channels(value: Json | PipelineChannel, location: str) -> Iterator[PipelineChannel]:
    """Yield the channels in a value, one for each occurrence.

    Args:
        value: a channel, or JSON whose texts may hold marks.
        location: the location of the value, for the message.

    Raises:
        AuthoringError: if one of the channels belongs to another pipeline.
    """
    if isinstance(value, PipelineChannel):
        yield value
    elif isinstance(value, str):
        for match in re.finditer(MARK_PATTERN, value):
            yield resolve_mark(match[0], location)
    elif isinstance(value, dict):
        for item in value.values():
            yield from find_channels(item, location)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from find_channels(item, location)


def replace_channels(value: Json | PipelineChannel, location: str = "A value") -> Json:
    """Return the value with each channel replaced by KFP's placeholder for the input that brings it.

    Raises:
        AuthoringError: if one of the channels belongs to another pipeline.
    """
    if isinstance(value, PipelineChannel):
        return _input_placeholder(value)
    if isinstance(value, str):
        return re.sub(MARK_PATTERN, lambda match: _input_placeholder(resolve_mark(match[0], location)), value)
    if isinstance(value, dict):
        return {key: replace_channels(item, location) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace_channels(item, location) for item in value]
    return value


def _input_placeholder(channel: PipelineChannel) -> str:
    return "{{$.inputs.parameters['" + channel.added_input + "']}}"
