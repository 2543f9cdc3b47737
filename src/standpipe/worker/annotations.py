"""The annotations of components, and functions that inspect them (`kfp/dsl/types/type_annotations.py`)."""

from __future__ import annotations

import re
import typing
from typing import Annotated, Any, Dict, Literal, Optional, Type, TypeVar, Union

from .artifacts import BY_TITLE, Artifact

T = TypeVar("T")


class InputAnnotation:
    """Marks an input artifact."""


class OutputAnnotation:
    """Marks an output artifact."""


class EmbeddedAnnotation:
    """Marks an artifact that is shipped with the component itself."""


Input = Annotated[T, InputAnnotation]
Output = Annotated[T, OutputAnnotation]
EmbeddedInput = Annotated[T, EmbeddedAnnotation]

#: Names of parameter types, in lower case, with their Python types.
PARAMETER_TYPES: Dict[str, type] = {
    **dict.fromkeys(("string", "str", "text"), str),
    **dict.fromkeys(("integer", "int"), int),
    **dict.fromkeys(("double", "float"), float),
    **dict.fromkeys(("boolean", "bool"), bool),
    **dict.fromkeys(("list", "jsonarray"), list),
    **dict.fromkeys(("dict", "jsonobject"), dict),
}

_ARTIFACT_NAMES = {title.partition(".")[2].lower(): known for title, known in BY_TITLE.items()}


class _Path:
    """The base of `InputPath` and `OutputPath`.

    Args:
        type: a parameter's type, or an artifact class or its name; without a type, any artifact.

    `type` is the parameter's type as it was passed, or `title@version` of the artifact's schema.
    """

    def __init__(self, type: Any = None) -> None:
        self.type = _path_type(type)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Path) and other.__class__ is self.__class__ and other.type == self.type

    def __hash__(self) -> int:
        return hash((self.__class__, str(self.type)))

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.type!r})"

    def __call__(self) -> None:
        """Do nothing: `typing` of Python 3.9 and 3.10 accepts only callable objects as annotations."""


class InputPath(_Path):
    """Annotates the parameter of a function that receives the path of an input artifact."""


class OutputPath(_Path):
    """Annotates the parameter of a function that receives the path to write an output to."""


def annotations_of(annotated: Any) -> Dict[str, Any]:
    """Return the annotations of a function or class; those that are text are evaluated in its module.

    Text that cannot be evaluated, such as the type names of KFP's first version (`'Integer'`), stays text.
    """
    try:
        return typing.get_type_hints(annotated, include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError):
        return {name: _evaluated(annotated, name) for name in annotated.__annotations__}


def strip_optional(annotation: Any) -> Any:
    """Return `X` of `Optional[X]`, of `Union[X, None]` and of `X | None`; anything else unchanged."""
    if not _is_union(annotation):
        return annotation
    others = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    return others[0] if len(others) == 1 and len(typing.get_args(annotation)) == 2 else annotation


def is_input(annotation: Any) -> bool:
    """Return whether it is `Input[...]`."""
    return _marker(annotation) is InputAnnotation


def is_output(annotation: Any) -> bool:
    """Return whether it is `Output[...]`."""
    return _marker(annotation) is OutputAnnotation


def is_embedded(annotation: Any) -> bool:
    """Return whether it is `EmbeddedInput[...]`."""
    return _marker(annotation) is EmbeddedAnnotation


def strip_marker(annotation: Any) -> Any:
    """Return `X` of `Input[X]`, `Output[X]` and `EmbeddedInput[X]`; anything else unchanged."""
    return typing.get_args(annotation)[0] if _marker(annotation) is not None else annotation


def is_artifact_class(annotation: Any) -> bool:
    """Return whether it is a class with a schema, as artifact classes have: ours, the user's, or another package's."""
    has_schema = hasattr(annotation, "schema_title") and hasattr(annotation, "schema_version")
    return has_schema and isinstance(annotation, type)


def is_artifact_list(annotation: Any) -> bool:
    """Return whether it is a list of artifacts, bare or inside of `Input`, `Output` or `Optional`."""
    bare = strip_marker(strip_optional(annotation))
    return typing.get_origin(bare) is list and is_artifact_class(list_item(bare))


def list_item(annotation: Any) -> Any:
    """Return `X` of `List[X]` and `list[X]`; None for a bare `List`."""
    return (*typing.get_args(annotation), None)[0]


def artifact_class(annotation: Any) -> Optional[Type[Artifact]]:
    """Return the artifact class of an annotation, or of the list that it stands for; None if there is none.

    For `InputPath` and `OutputPath` it is KFP's class of the schema title.
    """
    bare = strip_marker(strip_optional(annotation))
    if isinstance(bare, _Path):
        title, _, version = bare.type.partition("@") if isinstance(bare.type, str) else ("", "", "")
        return BY_TITLE.get(title) if version else None
    if is_artifact_list(bare):
        bare = list_item(bare)
    return bare if is_artifact_class(bare) else None


def is_literal(annotation: Any) -> bool:
    """Return whether it is `Literal[...]`: a parameter that takes these values only."""
    return typing.get_origin(annotation) is Literal


def parameter_type(annotation: Any) -> Optional[type]:
    """Return the Python type of a parameter with this annotation (`str int float bool list dict`); None if it is none.

    The choices of a `Literal` must all be of one type.
    """
    bare = strip_optional(annotation)
    if isinstance(bare, typing.ForwardRef):
        bare = bare.__forward_arg__
    if isinstance(bare, str):
        name = re.match(r"(?:typing\.)?(\w+)(?:\[.*\])?$", bare, re.DOTALL)
        return PARAMETER_TYPES.get(name[1].lower()) if name else None
    if is_literal(bare):
        kinds = {type(choice) for choice in typing.get_args(bare)}
        bare = kinds.pop() if len(kinds) == 1 else None
    origin = typing.get_origin(bare) or bare
    return origin if origin in (str, int, float, bool, list, dict) else None


def is_named_tuple(annotation: Any) -> bool:
    """Return whether it is a class made by `typing.NamedTuple`: several named outputs."""
    return isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields")


def _marker(annotation: Any) -> Any:
    metadata = getattr(annotation, "__metadata__", None)
    known = (InputAnnotation, OutputAnnotation, EmbeddedAnnotation)
    return metadata[0] if metadata and metadata[0] in known else None


def _is_union(annotation: Any) -> bool:
    # `X | None` has a type of its own, which Python 3.9 lacks.
    return typing.get_origin(annotation) is Union or type(annotation).__name__ == "UnionType"


def _evaluated(annotated: Any, name: str) -> Any:
    raw = annotated.__annotations__[name]
    alone = _Annotated({name: raw}, getattr(annotated, "__globals__", {}))
    try:
        return typing.get_type_hints(alone, include_extras=True)[name]
    except (NameError, TypeError, SyntaxError, AttributeError):
        return raw


class _Annotated:
    """A single annotation, as `typing.get_type_hints` accepts it."""

    def __init__(self, annotations: Dict[str, Any], namespace: Dict[str, Any]) -> None:
        self.__annotations__ = annotations
        self.__globals__ = namespace


def _path_type(value: Any) -> Any:
    if isinstance(value, str):
        value = _ARTIFACT_NAMES.get(value.lower(), value)
    if is_artifact_class(value):
        return f"{value.schema_title}@{value.schema_version}"
    return value if parameter_type(value) else f"{Artifact.schema_title}@{Artifact.schema_version}"
