"""Values that exist only when a pipeline runs, as its author handles them while it is traced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from standpipe.errors import AuthoringError
from standpipe.model.plan import Binding, FromInput, FromTask
from standpipe.model.types import ArtifactInput, ArtifactType, Input, Json, ParameterType

if TYPE_CHECKING:
    from standpipe.dsl.tasks import PipelineTask

#: The prefix of inputs that the compiler adds for values that stand inside of text (the KFP SDK's).
_ADDED_INPUT = "pipelinechannel--"


@dataclass(frozen=True, eq=False, repr=False)
class PipelineChannel:
    """An output of a task, or an input of the pipeline that is being traced.

    As text it is a mark that stands for the value, so that it can be used in f-strings; the mark is taken out again
    when the pipeline's Plan is made.
    """

    name: str
    type: ParameterType | ArtifactType
    is_artifact_list: bool = False
    task: PipelineTask | None = None

    @property
    def task_name(self) -> str | None:
        return self.task.name if self.task else None

    @property
    def full_name(self) -> str:
        return f"{self.task.name}-{self.name}" if self.task else self.name

    @property
    def added_input(self) -> str:
        """The name of the input that brings this value to a task which has it inside of text."""
        return _ADDED_INPUT + self.full_name

    @property
    def binding(self) -> Binding:
        return FromTask(self.task.name, self.name) if self.task else FromInput(self.name)

    @property
    def described(self) -> str:
        """What it is, for messages."""
        return f"output {self.name!r} of task {self.task.name!r}" if self.task else f"pipeline input {self.name!r}"

    @property
    def type_name(self) -> str:
        """The type as messages show it."""
        return f"List[{self.type}]" if self.is_artifact_list else str(self.type)

    def __str__(self) -> str:
        return "{{channel:task=" + (self.task_name or "") + ";name=" + self.name + ";}}"

    __repr__ = __str__

    def _compare(self, other: object) -> NoReturn:
        raise AuthoringError(
            f"The {self.described} cannot be compared while the pipeline is traced: its value is known only when the "
            "pipeline runs. Compare it in a component."
        )

    # Python would answer `==` by itself, and the pipeline would silently lose a branch.
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compare
    __hash__ = object.__hash__


class PipelineParameterChannel(PipelineChannel):
    """A channel that brings a parameter."""


class PipelineArtifactChannel(PipelineChannel):
    """A channel that brings an artifact, or a list of them."""


def channel(
    name: str, type: ParameterType | ArtifactType, *, is_list: bool = False, task: PipelineTask | None = None
) -> PipelineChannel:
    """A channel of the class that fits its type."""
    cls = PipelineParameterChannel if isinstance(type, ParameterType) else PipelineArtifactChannel
    return cls(name, type, is_list, task)


def input_channel(name: str, declared: Input) -> PipelineChannel:
    """The channel of a pipeline's input."""
    return channel(name, declared.type, is_list=isinstance(declared, ArtifactInput) and declared.is_list)


_MARK = r"\{\{channel:task=(?P<task>[^;{}]*);name=(?P<name>[^;{}]+);\}\}"


def has_marks(text: str) -> bool:
    """Whether a channel stands in the text."""
    return re.search(_MARK, text) is not None


def marks_in(value: Json | PipelineChannel) -> Iterator[tuple[str, str]]:
    """The (task name, output or input name) of each channel in a constant; the task name is empty for inputs."""
    if isinstance(value, PipelineChannel):
        yield value.task_name or "", value.name
    elif isinstance(value, str):
        for match in re.finditer(_MARK, value):
            yield match["task"], match["name"]
    elif isinstance(value, dict):
        for item in value.values():
            yield from marks_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from marks_in(item)


def replace_marks(value: Json | PipelineChannel) -> Json:
    """The constant with every channel in it replaced by KFP's placeholder for the input that brings its value."""
    if isinstance(value, PipelineChannel):
        return replace_marks(str(value))
    if isinstance(value, str):
        return re.sub(_MARK, _placeholder, value)
    if isinstance(value, dict):
        return {key: replace_marks(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace_marks(item) for item in value]
    return value


def _placeholder(match: re.Match[str]) -> str:
    full_name = f"{match['task']}-{match['name']}" if match["task"] else match["name"]
    return "{{$.inputs.parameters['" + _ADDED_INPUT + full_name + "']}}"
