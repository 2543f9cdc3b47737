"""Placeholders: what stands in the command of a container component for values that are known only at run time."""

from __future__ import annotations

from collections.abc import Sequence
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


class Placeholder:
    """Stands for a value in a command. It can be an element of its own, or be used in f-strings."""

    def __init__(self, placeholder: ModelPlaceholder) -> None:
        self._placeholder = placeholder

    def __str__(self) -> str:
        return str(self._placeholder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Placeholder) and self._placeholder == other._placeholder

    def __hash__(self) -> int:
        return hash(self._placeholder)


class MetadataPlaceholder(Placeholder):
    """The metadata of an artifact. An index selects one entry."""

    _placeholder: ArtifactField

    def __getitem__(self, key: str) -> str:
        return str(ArtifactField(self._placeholder.side, self._placeholder.name, "metadata", key))


class ArtifactPlaceholder:
    """An artifact in a command. Its `.uri`, `.path` and `.metadata` are placeholders."""

    def __init__(self, side: str, name: str) -> None:
        self._side = side
        self._name = name

    @property
    def uri(self) -> Placeholder:
        return Placeholder(ArtifactField(self._side, self._name, "uri"))

    @property
    def path(self) -> Placeholder:
        return Placeholder(ArtifactField(self._side, self._name, "path"))

    @property
    def metadata(self) -> MetadataPlaceholder:
        return MetadataPlaceholder(ArtifactField(self._side, self._name, "metadata"))

    def __str__(self) -> str:
        raise AuthoringError(
            f"The artifact {self._name!r} itself cannot be used in a command. Write {self._name}.path or "
            f"{self._name}.uri."
        )

    def __getattr__(self, name: str) -> Any:
        raise AuthoringAttributeError(
            f"The artifact {self._name!r} has no attribute {name!r} in a command: use .uri, .path or .metadata."
        )


class ArtifactListPlaceholder(Placeholder):
    """A list of artifacts in a command. It can only be passed as a whole, as JSON."""

    def __getattr__(self, name: str) -> Any:
        raise AuthoringAttributeError(f"A list of artifacts has no {name!r} in a command: pass the whole list.")

    def __getitem__(self, index: object) -> Any:
        raise KeyError("An artifact of a list cannot be selected in a command: pass the whole list.")


class ConcatPlaceholder:
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


class IfPresentPlaceholder:
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


CommandLineElement = Union[str, Placeholder, ConcatPlaceholder, IfPresentPlaceholder]


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
    if isinstance(element, Placeholder):
        return Template((element._placeholder,))
    if isinstance(element, ConcatPlaceholder):
        return Concat(tuple(create_argument(item, location) for item in element.items))
    if isinstance(element, IfPresentPlaceholder):
        otherwise = _create_branch(element.else_, location) if element.else_ else None
        return IfPresent(element.input_name, _create_branch(element.then, location), otherwise)
    if isinstance(element, ArtifactPlaceholder):
        raise AuthoringError(
            f"{location}: the artifact {element._name!r} itself cannot be used in a command. Write "
            f"{element._name}.path or {element._name}.uri."
        )
    raise AuthoringTypeError(
        f"{location}: expected strings and placeholders in the command, got {element!r} of type "
        f"{type(element).__name__}. Convert it to a string."
    )


def _create_branch(branch: object, location: str) -> Argument | tuple[Argument, ...]:
    if isinstance(branch, (list, tuple)):
        return tuple(create_argument(item, location) for item in branch)
    return create_argument(branch, location)


def input_parameter(name: str) -> Placeholder:
    return Placeholder(InputParameter(name))


def output_parameter(name: str) -> Placeholder:
    return Placeholder(OutputParameterFile(name))


def artifact(side: str, name: str, *, is_list: bool) -> ArtifactPlaceholder | ArtifactListPlaceholder:
    return ArtifactListPlaceholder(ArtifactField(side, name)) if is_list else ArtifactPlaceholder(side, name)
