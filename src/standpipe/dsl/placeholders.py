"""Placeholders: what stands in the command of a container component for values that are known only at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

from standpipe.errors import AuthoringAttributeError, AuthoringError, AuthoringTypeError
from standpipe.model.templates import (
    Argument,
    ArtifactField,
    Concat,
    IfPresent,
    InputParameter,
    OutputParameterFile,
    Template,
    parse_text,
)
from standpipe.model.templates import Placeholder as ModelPlaceholder
from standpipe.model.types import ArtifactInput, ArtifactOutput, Input, Output, ParameterType


class Placeholder:
    """Stands for a value in a command. It can be an element of its own, or be used in f-strings."""

    def _to_string(self) -> str:
        """Return the text that the placeholder compiles to, under the KFP SDK's name."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self._to_string()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and vars(self) == vars(other)

    __hash__ = object.__hash__


class _Reference(Placeholder):
    """A placeholder for one value. `_field` is the field of an artifact, empty for a whole list of artifacts."""

    _field = ""

    def _reference(self, key: str = "") -> ModelPlaceholder:
        """Return the placeholder as the Plan has it; `key` selects an entry of the metadata."""
        raise NotImplementedError

    def _to_string(self) -> str:
        return str(self._reference())

    def __hash__(self) -> int:
        return hash(self._reference())


class _InputPlaceholder(_Reference):
    def __init__(self, input_name: str) -> None:
        self.input_name = input_name

    def _reference(self, key: str = "") -> ModelPlaceholder:
        return ArtifactField("inputs", self.input_name, self._field, key)


class _OutputPlaceholder(_Reference):
    def __init__(self, output_name: str) -> None:
        self.output_name = output_name

    def _reference(self, key: str = "") -> ModelPlaceholder:
        return ArtifactField("outputs", self.output_name, self._field, key)


class InputValuePlaceholder(_InputPlaceholder):
    """The value of an input parameter."""

    #: The type of the parameter in a PipelineSpec. Libraries read it to know which values to quote.
    _ir_type: str

    def _reference(self, key: str = "") -> ModelPlaceholder:
        return InputParameter(self.input_name)


class OutputParameterPlaceholder(_OutputPlaceholder):
    """The file for an output parameter."""

    def _reference(self, key: str = "") -> ModelPlaceholder:
        return OutputParameterFile(self.output_name)


class InputUriPlaceholder(_InputPlaceholder):
    """The URI of an input artifact."""

    _field = "uri"


class OutputUriPlaceholder(_OutputPlaceholder):
    """The URI of an output artifact."""

    _field = "uri"


class InputPathPlaceholder(_InputPlaceholder):
    """The path of an input artifact."""

    _field = "path"


class OutputPathPlaceholder(_OutputPlaceholder):
    """The path of an output artifact."""

    _field = "path"


class InputMetadataPlaceholder(_InputPlaceholder):
    """The metadata of an input artifact. An index selects one entry."""

    _field = "metadata"

    def __getitem__(self, key: str) -> str:
        return str(self._reference(key))


class OutputMetadataPlaceholder(_OutputPlaceholder):
    """The metadata of an output artifact. An index selects one entry."""

    _field = "metadata"

    def __getitem__(self, key: str) -> str:
        return str(self._reference(key))


class _WholeList:
    """A list of artifacts in a command. It can only be passed as a whole, as JSON."""

    def __getattr__(self, name: str) -> Any:
        raise AuthoringAttributeError(f"A list of artifacts has no {name!r} in a command: pass the whole list.")

    def __getitem__(self, index: object) -> Any:
        raise KeyError("An artifact of a list cannot be selected in a command: pass the whole list.")


class InputListOfArtifactsPlaceholder(_WholeList, _InputPlaceholder):
    """A list of input artifacts, as JSON."""


class OutputListOfArtifactsPlaceholder(_WholeList, _OutputPlaceholder):
    """A list of output artifacts, as JSON."""


class ContainerComponentArtifactChannel:
    """An artifact in a command. Its `.uri`, `.path` and `.metadata` are placeholders.

    Args:
        io_type: `input` or `output`.
        var_name: the name of the artifact.
    """

    def __init__(self, io_type: str, var_name: str) -> None:
        self._io_type = io_type
        self._var_name = var_name

    @property
    def uri(self) -> Placeholder:
        return _BY_SIDE[self._io_type]["uri"](self._var_name)

    @property
    def path(self) -> Placeholder:
        return _BY_SIDE[self._io_type]["path"](self._var_name)

    @property
    def metadata(self) -> Placeholder:
        return _BY_SIDE[self._io_type]["metadata"](self._var_name)

    def __str__(self) -> str:
        raise AuthoringError(
            f"The artifact {self._var_name!r} itself cannot be used in a command. Write {self._var_name}.path or "
            f"{self._var_name}.uri."
        )

    def __getattr__(self, name: str) -> Any:
        raise AuthoringAttributeError(
            f"The artifact {self._var_name!r} has no attribute {name!r} in a command: use .uri, .path or .metadata."
        )


_BY_SIDE: Mapping[str, Mapping[str, Callable[[str], Placeholder]]] = {
    "input": {
        "uri": InputUriPlaceholder,
        "path": InputPathPlaceholder,
        "metadata": InputMetadataPlaceholder,
        "list": InputListOfArtifactsPlaceholder,
    },
    "output": {
        "uri": OutputUriPlaceholder,
        "path": OutputPathPlaceholder,
        "metadata": OutputMetadataPlaceholder,
        "list": OutputListOfArtifactsPlaceholder,
    },
}


class ConcatPlaceholder(Placeholder):
    """Joins several elements to one argument.

    Args:
        items: strings and placeholders. The branches of an `IfPresentPlaceholder` must be single elements.

    Raises:
        AuthoringError: if a branch is a list.
    """

    def __init__(self, items: Sequence[CommandLineElement]) -> None:
        self.items = list(items)
        for item in self.items:
            _check_branches_are_elements(item)

    def __str__(self) -> str:
        raise AuthoringError("A ConcatPlaceholder cannot be used in an f-string: add the text to its items.")


class IfPresentPlaceholder(Placeholder):
    """One or several arguments that depend on whether an optional input has a value.

    Args:
        input_name: the name of the input.
        then: the element or list of elements if the input has a value.
        else_: the element or list of elements if it has none; nothing by default.
    """

    def __init__(
        self,
        input_name: str,
        then: CommandLineElement | Sequence[CommandLineElement],
        else_: CommandLineElement | Sequence[CommandLineElement] | None = None,
    ) -> None:
        self.input_name = input_name
        self.then = then
        self.else_ = else_

    def __str__(self) -> str:
        raise AuthoringError("An IfPresentPlaceholder cannot be used in an f-string: use a ConcatPlaceholder.")


CommandLineElement = Union[str, Placeholder]


def _check_branches_are_elements(item: object) -> None:
    if isinstance(item, IfPresentPlaceholder):
        for branch in (item.then, item.else_):
            if isinstance(branch, (list, tuple)):
                raise AuthoringError(
                    f"The IfPresentPlaceholder for {item.input_name!r} is in a ConcatPlaceholder, so its branches must "
                    "be single elements, not lists."
                )
            _check_branches_are_elements(branch)
    elif isinstance(item, ConcatPlaceholder):
        for inner in item.items:
            _check_branches_are_elements(inner)


def create_argument(element: object, location: str) -> Argument:
    """Return the argument for an element of a command.

    Raises:
        AuthoringTypeError: if it is neither a string nor a placeholder.
    """
    if isinstance(element, str):
        return parse_text(element)
    if isinstance(element, _Reference):
        return Template((element._reference(),))
    if isinstance(element, ConcatPlaceholder):
        return Concat(tuple(create_argument(item, location) for item in element.items))
    if isinstance(element, IfPresentPlaceholder):
        otherwise = _create_branch(element.else_, location) if element.else_ else None
        return IfPresent(element.input_name, _create_branch(element.then, location), otherwise)
    if isinstance(element, ContainerComponentArtifactChannel):
        raise AuthoringError(
            f"{location}: the artifact {element._var_name!r} itself cannot be used in a command. Write "
            f"{element._var_name}.path or {element._var_name}.uri."
        )
    raise AuthoringTypeError(
        f"{location}: expected strings and placeholders in the command, got {element!r} of type "
        f"{type(element).__name__}. Convert it to a string."
    )


def _create_branch(branch: object, location: str) -> Argument | tuple[Argument, ...]:
    if isinstance(branch, (list, tuple)):
        return tuple(create_argument(item, location) for item in branch)
    return create_argument(branch, location)


def create_placeholder(name: str, declared: Input | Output, side: str) -> Any:
    """Return what a function of a container component receives for an input or output.

    Args:
        name: its name.
        declared: its declaration.
        side: `input` or `output`.
    """
    if isinstance(declared, (ArtifactInput, ArtifactOutput)):
        if not declared.is_list:
            return ContainerComponentArtifactChannel(side, name)
        return _BY_SIDE[side]["list"](name)
    if side == "output":
        return OutputParameterPlaceholder(name)
    placeholder = InputValuePlaceholder(name)
    placeholder._ir_type = _IR_TYPES.get(declared.type, declared.type.value)
    return placeholder


#: The types of parameters that are structs for a container.
_IR_TYPES = {ParameterType.TASK_FINAL_STATUS: "STRUCT", ParameterType.TASK_CONFIG: "STRUCT"}
