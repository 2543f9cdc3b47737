"""What the author of a container component writes in its command for values that are known only later."""

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
    """Stands for a value in a command; usable as an element of its own and in f-strings."""

    def __init__(self, placeholder: ModelPlaceholder) -> None:
        self._placeholder = placeholder

    def __str__(self) -> str:
        return str(self._placeholder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Placeholder) and self._placeholder == other._placeholder

    def __hash__(self) -> int:
        return hash(self._placeholder)


class MetadataPlaceholder(Placeholder):
    """The metadata of an artifact; an index selects one entry."""

    _placeholder: ArtifactField

    def __getitem__(self, key: str) -> str:
        return str(ArtifactField(self._placeholder.side, self._placeholder.name, "metadata", key))


class ArtifactPlaceholder:
    """An artifact in a command: of it one can say `.uri`, `.path` and `.metadata`."""

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
            f"The artifact {self._name!r} cannot stand in a command by itself. "
            f"Write {self._name}.path or {self._name}.uri."
        )

    def __getattr__(self, name: str) -> Any:
        raise AuthoringAttributeError(
            f"The artifact {self._name!r} has no attribute {name!r} in a command: use .uri, .path or .metadata."
        )


class ArtifactListPlaceholder(Placeholder):
    """A list of artifacts in a command: it can only be passed as a whole, as JSON."""

    def __getattr__(self, name: str) -> Any:
        raise AuthoringAttributeError(f"A list of artifacts has no {name!r} in a command: pass the whole list.")

    def __getitem__(self, index: object) -> Any:
        raise KeyError("One artifact of a list cannot be chosen in a command: pass the whole list.")


class ConcatPlaceholder:
    """Several elements joined to one argument.

    Args:
        items: text, placeholders, and each `IfPresentPlaceholder` whose branches are single elements.

    Raises:
        AuthoringError: if a branch within is a list.
    """

    def __init__(self, items: Sequence[CommandLineElement]) -> None:
        self.items = list(items)
        for item in self.items:
            _refuse_list_branches(item)

    def __str__(self) -> str:
        raise AuthoringError("A ConcatPlaceholder cannot stand in an f-string: put the text among its items.")


class IfPresentPlaceholder:
    """One argument or several, depending on whether an optional input was given.

    Args:
        input_name: the input.
        then: what stands there if the input was given: an element, or a list of them.
        else_: what stands there otherwise; nothing if left out.
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
        raise AuthoringError("An IfPresentPlaceholder cannot stand in an f-string: use a ConcatPlaceholder.")


CommandLineElement = Union[str, Placeholder, ConcatPlaceholder, IfPresentPlaceholder]


def _refuse_list_branches(item: object) -> None:
    if isinstance(item, IfPresentPlaceholder):
        for branch in (item.then, item.else_):
            if isinstance(branch, (list, tuple)):
                raise AuthoringError(
                    f"The IfPresentPlaceholder for {item.input_name!r} stands in a ConcatPlaceholder, "
                    "so its branches must be single elements, not lists."
                )
            _refuse_list_branches(branch)
    elif isinstance(item, ConcatPlaceholder):
        for inner in item.items:
            _refuse_list_branches(inner)


def argument(element: object, where: str) -> Argument:
    """The argument that an element of a command means.

    Raises:
        AuthoringTypeError: if it is neither text nor a placeholder.
    """
    if isinstance(element, str):
        return parse_text(element)
    if isinstance(element, Placeholder):
        return Template((element._placeholder,))
    if isinstance(element, ConcatPlaceholder):
        return Concat(tuple(argument(item, where) for item in element.items))
    if isinstance(element, IfPresentPlaceholder):
        otherwise = _branch(element.else_, where) if element.else_ else None
        return IfPresent(element.input_name, _branch(element.then, where), otherwise)
    if isinstance(element, ArtifactPlaceholder):
        raise AuthoringError(
            f"{where}: the artifact {element._name!r} cannot stand in a command by itself. "
            f"Write {element._name}.path or {element._name}.uri."
        )
    raise AuthoringTypeError(
        f"{where}: {element!r}, of type {type(element).__name__}, cannot stand in a command: text is wanted. "
        "Put it in quotes, or write a placeholder."
    )


def _branch(branch: object, where: str) -> Argument | tuple[Argument, ...]:
    if isinstance(branch, (list, tuple)):
        return tuple(argument(item, where) for item in branch)
    return argument(branch, where)


def input_parameter(name: str) -> Placeholder:
    return Placeholder(InputParameter(name))


def output_parameter(name: str) -> Placeholder:
    return Placeholder(OutputParameterFile(name))


def artifact(side: str, name: str, *, is_list: bool) -> ArtifactPlaceholder | ArtifactListPlaceholder:
    return ArtifactListPlaceholder(ArtifactField(side, name)) if is_list else ArtifactPlaceholder(side, name)
