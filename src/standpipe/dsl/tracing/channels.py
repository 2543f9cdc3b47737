"""Values that exist only when a pipeline runs, as its author handles them while it is traced."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, Protocol

from standpipe.dsl.tracing import trace as tracing
from standpipe.errors import AuthoringError
from standpipe.model.plan import RawItems
from standpipe.model.types import ArtifactInput, ArtifactOutput, ArtifactType, Input, Json, Output, ParameterType

#: The prefix of inputs that the compiler adds for values that come from outside of a group or stand inside of text.
ADDED = "pipelinechannel--"


class Producer(Protocol):
    """A task, or a group of tasks that passes an output of one of them on."""

    @property
    def name(self) -> str:
        """Its name, unique in the pipeline."""


class PipelineChannel:
    """An output of a task, or an input of the pipeline that is being traced (its `task` is None then).

    As text it is a mark that stands for the value, so that it can be used in f-strings; the mark is taken out again
    when the pipeline's Plan is made. `written` is the type as its author wrote it, where that says more. The names of
    attributes are such as fields of dicts in loops seldom have: `item.type` is a field.
    """

    def __init__(
        self,
        name: str,
        channel_type: ParameterType | ArtifactType,
        is_artifact_list: bool = False,
        task: Any = None,
        written: str = "",
    ) -> None:
        self.name = name
        self.channel_type = channel_type
        self.is_artifact_list = is_artifact_list
        self.task = task
        self.written = written

    @property
    def task_name(self) -> str | None:
        return self.task.name if self.task else None

    @property
    def full_name(self) -> str:
        return f"{self.task.name}-{self.name}" if self.task else self.name

    @property
    def added_input(self) -> str:
        """The name of the input that brings this value into a group, or to a task which has it inside of text."""
        return ADDED + self.full_name

    @property
    def described(self) -> str:
        """What it is, for messages."""
        return f"output {self.name!r} of task {self.task.name!r}" if self.task else f"pipeline input {self.name!r}"

    @property
    def shown_type(self) -> str:
        """The type as messages show it."""
        return f"List[{self.channel_type}]" if self.is_artifact_list else str(self.channel_type)

    def __str__(self) -> str:
        return tracing.mark(
            self, f"{{{{channel:task={self.task_name or ''};name={self.name};type={self.shown_type};}}}}"
        )

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> Comparison:  # type: ignore[override]  # a condition, as KFP writes it
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


class Comparison:
    """A value that exists only when the pipeline runs, compared: the condition of a `dsl.If`."""

    def __init__(self, operator: str, left: object, right: object) -> None:
        self.operator = operator
        self.left = left
        self.right = right

    @property
    def operands(self) -> tuple[object, object]:
        return self.left, self.right

    def __bool__(self) -> NoReturn:
        raise AuthoringError(
            f"A comparison with {_described(self.left)} is neither true nor false while the pipeline is traced: its "
            "value is known only when the pipeline runs. Use it in `with dsl.If(...):`, or compare in a component."
        )


def _described(operand: object) -> str:
    return f"the {operand.described}" if isinstance(operand, PipelineChannel) else repr(operand)


class PipelineParameterChannel(PipelineChannel):
    """A channel that brings a parameter."""


class PipelineArtifactChannel(PipelineChannel):
    """A channel that brings an artifact, or a list of them."""


# --- loops ------------------------------------------------------------------------------------------------------------


class LoopItem(PipelineChannel):
    """The item of an iteration. `loop_items` is what the loop is over: a channel, or items that the author wrote."""

    def __init__(
        self,
        name: str,
        channel_type: ParameterType | ArtifactType,
        loop_items: PipelineChannel | RawItems,
        task: Any = None,
        written: str = "",
    ) -> None:
        super().__init__(name, channel_type, False, task, written)
        self.loop_items = loop_items

    @property
    def described(self) -> str:
        return f"item {self.name!r} of a loop"


class LoopParameter(LoopItem, PipelineParameterChannel):
    """An item that is a parameter. Of items that are dicts, each attribute is a field: `item.a`."""

    def __getattr__(self, name: str) -> LoopField:
        if name.startswith("__"):
            raise AttributeError(name)  # Python's own questions, such as copy's
        written = field_annotation(self.written)
        full_name = f"{self.name}-subvar-{name}"
        return LoopField(full_name, written, self, name)


class LoopArtifact(LoopItem, PipelineArtifactChannel):
    """An item that is an artifact."""


class LoopField(PipelineParameterChannel):
    """A field of an item that is a dict."""

    def __init__(self, name: str, written: str, item: LoopItem, key: str) -> None:
        super().__init__(name, written_type(written), False, item.task, written)
        self.item = item
        self.key = key

    @property
    def described(self) -> str:
        return f"field {self.key!r} of the items of a loop"


_WRITTEN = r"(?:typing\.)?(?P<name>\w+)(?:\[(?P<arguments>.+)\])?"
_BY_WRITTEN_NAME = {
    **dict.fromkeys(("int", "integer"), ParameterType.NUMBER_INTEGER),
    **dict.fromkeys(("float", "double"), ParameterType.NUMBER_DOUBLE),
    **dict.fromkeys(("bool", "boolean"), ParameterType.BOOLEAN),
    **dict.fromkeys(("list", "jsonarray"), ParameterType.LIST),
    **dict.fromkeys(("dict", "jsonobject"), ParameterType.STRUCT),
}


def written_type(annotation: str) -> ParameterType:
    """The parameter type that a written type stands for; text where nothing better is known, as KFP has it.

    >>> written_type("typing.List[str]"), written_type("int"), written_type("")
    (<ParameterType.LIST: 'LIST'>, <ParameterType.NUMBER_INTEGER: 'NUMBER_INTEGER'>, <ParameterType.STRING: 'STRING'>)
    """
    match = re.fullmatch(_WRITTEN, annotation)
    return _BY_WRITTEN_NAME.get(match["name"].lower() if match else "", ParameterType.STRING)


def item_annotation(annotation: str) -> str:
    """The written type of a list's items.

    >>> item_annotation("typing.List[typing.Dict[str, int]]"), item_annotation("list")
    ('typing.Dict[str, int]', '')
    """
    match = re.fullmatch(_WRITTEN, annotation)
    return (match["arguments"] or "") if match else ""


def field_annotation(annotation: str) -> str:
    """The written type of the values of a dict.

    >>> field_annotation("typing.Dict[str, int]"), field_annotation("dict")
    ('int', '')
    """
    _, _, value = item_annotation(annotation).partition(",")
    return value.strip()


# --- gathering --------------------------------------------------------------------------------------------------------


class Collected(PipelineChannel):
    """What a task in a loop gives in all iterations, as a list, for tasks outside of the loop and for the pipeline.

    Args:
        output: an output of a task in a `dsl.ParallelFor`.

    Raises:
        AuthoringError: if `output` is no such thing.
    """

    def __init__(self, output: PipelineChannel) -> None:
        if not isinstance(output, PipelineChannel) or isinstance(output, (OneOfChannel, LoopItem, LoopField)):
            raise AuthoringError(
                "dsl.Collected takes an output of a task in a dsl.ParallelFor, and not a "
                f"{'dsl.OneOf' if isinstance(output, OneOfChannel) else type(output).__name__}."
            )
        is_artifact = isinstance(output.channel_type, ArtifactType)
        gathered = output.channel_type if is_artifact else ParameterType.LIST
        super().__init__(output.name, gathered, is_artifact, output.task)
        self.output = output

    def __str__(self) -> str:
        raise AuthoringError("A dsl.Collected cannot stand inside of text, lists or dicts: pass it to an input.")


class OneOfChannel(PipelineChannel):
    """What the one branch that runs gives. Its `task` is the group of the branches."""

    def __init__(self, name: str, branches: Producer, channels: Sequence[PipelineChannel]) -> None:
        first = channels[0]
        super().__init__(name, first.channel_type, first.is_artifact_list, branches, first.written)
        self.channels = channels

    @property
    def described(self) -> str:
        return "dsl.OneOf"

    def __str__(self) -> str:
        raise AuthoringError("A dsl.OneOf cannot stand inside of text, lists or dicts: pass it to an input.")


class OneOfParameter(OneOfChannel, PipelineParameterChannel):
    """A `dsl.OneOf` of parameters."""


class OneOfArtifact(OneOfChannel, PipelineArtifactChannel):
    """A `dsl.OneOf` of artifacts."""


# --- making and finding channels --------------------------------------------------------------------------------------


def channel(
    name: str,
    type: ParameterType | ArtifactType,
    *,
    is_list: bool = False,
    task: Producer | None = None,
    annotation: str = "",
) -> PipelineChannel:
    """A channel of the class that fits its type."""
    cls = PipelineParameterChannel if isinstance(type, ParameterType) else PipelineArtifactChannel
    return cls(name, type, is_list, task, annotation)


def input_channel(name: str, declared: Input) -> PipelineChannel:
    """The channel of a pipeline's input."""
    if isinstance(declared, ArtifactInput):
        return channel(name, declared.type, is_list=declared.is_list)
    return channel(name, declared.type, annotation=declared.annotation)


def output_channel(name: str, declared: Output, task: Producer) -> PipelineChannel:
    """The channel of a task's output."""
    if isinstance(declared, ArtifactOutput):
        return channel(name, declared.type, is_list=declared.is_list, task=task)
    return channel(name, declared.type, task=task, annotation=declared.annotation)


_MARK = r"\{\{channel:task=[^;{}]*;name=[^;{}]+;type=[^;{}]*;\}\}"


def has_marks(text: str) -> bool:
    """Whether a channel stands in the text."""
    return re.search(_MARK, text) is not None


def channels_in(value: Json | PipelineChannel, where: str) -> Iterator[PipelineChannel]:
    """The channels in a constant, each as often as it stands there.

    Raises:
        AuthoringError: if one of them belongs to another pipeline.
    """
    if isinstance(value, PipelineChannel):
        yield value
    elif isinstance(value, str):
        for match in re.finditer(_MARK, value):
            yield tracing.marked(match[0], where)
    elif isinstance(value, dict):
        for item in value.values():
            yield from channels_in(item, where)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from channels_in(item, where)


def replace_marks(value: Json | PipelineChannel, where: str = "A value") -> Json:
    """The constant with every channel in it replaced by KFP's placeholder for the input that brings its value."""
    if isinstance(value, PipelineChannel):
        return _placeholder(value)
    if isinstance(value, str):
        return re.sub(_MARK, lambda match: _placeholder(tracing.marked(match[0], where)), value)
    if isinstance(value, dict):
        return {key: replace_marks(item, where) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace_marks(item, where) for item in value]
    return value


def _placeholder(channel: PipelineChannel) -> str:
    return "{{$.inputs.parameters['" + channel.added_input + "']}}"
