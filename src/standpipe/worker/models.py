"""Pydantic models as inputs and outputs of components.

KFP passes a model as the JSON that it is dumped to. The rules are those of the KFP SDK after 2.17.3
(kubeflow/pipelines #13995, August 2026). Pydantic is not imported here: an annotation can only be a model if its module
has imported it.
"""

from __future__ import annotations

import functools
import operator
import sys
import typing
from types import FunctionType
from typing import Any, Callable, Dict, Iterator, Tuple

from . import annotations as ann

#: Values that are nested more deeply are refused later (`model/json_values.py`), whatever is in them.
_MAX_DEPTH = 100


def is_model(annotation: Any) -> bool:
    """Return whether an annotation is a Pydantic model."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    # `list[int]` is an instance of `type` in Python 3.9 and 3.10
    is_class = isinstance(annotation, type) and typing.get_origin(annotation) is None
    return base is not None and is_class and issubclass(annotation, base)


def plain_type(annotation: Any) -> Any:
    """Return an annotation with the type of its JSON in place of a model: `dict`, or the root type of a `RootModel`.

    Models in `list[...]` and `dict[...]` are replaced as well.

    Raises:
        TypeError: if the release of Pydantic is too old.
    """
    if "pydantic" not in sys.modules:
        return annotation
    bare = ann.strip_optional(annotation)
    if is_model(bare):
        check_version(bare)
        is_root_model = issubclass(bare, sys.modules["pydantic"].RootModel)
        return plain_type(bare.model_fields["root"].annotation) if is_root_model else dict
    origin, arguments = typing.get_origin(bare), typing.get_args(bare)
    plain = tuple(map(plain_type, arguments))
    return origin[plain] if origin in (list, dict) and plain != arguments else annotation


def models_in(annotation: Any) -> Iterator[type]:
    """Yield the models in an annotation: itself, or those in its arguments, such as that of `Optional[Model]`."""
    if is_model(annotation):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def check_version(model: Any) -> None:
    """Raise a TypeError if the release of Pydantic that a model comes from is older than 2."""
    version = sys.modules["pydantic"].VERSION
    if int(version.split(".")[0]) < 2:
        raise TypeError(
            f"The model {model.__module__}.{model.__qualname__} requires pydantic>=2, found pydantic=={version}. "
            "Upgrade it here, and where the component runs: packages_to_install=['pydantic>=2'], or another base_image."
        )


def dump(value: Any) -> Any:
    """Return a value with JSON in place of each model, also in lists and dicts.

    A value without models is returned as it is, and so is a list or dict in itself, which is not JSON anyway.
    """
    return _dump(value, ()) if "pydantic" in sys.modules else value


def _dump(value: Any, parents: Tuple[int, ...]) -> Any:
    if is_model(type(value)):
        check_version(type(value))
        return value.model_dump(mode="json", by_alias=True)
    if id(value) in parents or len(parents) > _MAX_DEPTH:
        return value
    if type(value) in (list, tuple):
        items = [_dump(item, (*parents, id(value))) for item in value]
        return value if all(map(operator.is_, items, value)) else items
    if type(value) is dict:
        entries = {key: _dump(item, (*parents, id(value))) for key, item in value.items()}
        return value if all(map(operator.is_, entries.values(), value.values())) else entries
    return value


def adapt(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes and returns JSON where a component's function takes and returns models.

    It has the annotations of the JSON, so that an executor need not know of models, and the function is its
    `__wrapped__`. A function without models is returned as it is, as are other callable objects.
    """
    if "pydantic" not in sys.modules or not isinstance(function, FunctionType):
        return function
    import inspect  # takes long to import, and few functions have models

    hints = ann.annotations_of(function)
    plain = {name: _plain_hint(hint) for name, hint in hints.items()}
    if plain == hints:
        return function
    models = {name: ann.strip_optional(hint) for name, hint in hints.items() if is_model(ann.strip_optional(hint))}
    returned = ann.strip_optional(hints.get("return"))
    is_optional = returned is not hints.get("return")
    who = f"the function {function.__name__!r}"
    validate_argument, dump_returned = _validate, _dump_returned  # the function below has other globals

    def call(**arguments: Any) -> Any:
        for name, value in arguments.items():
            if name in models and value is not None:
                arguments[name] = validate_argument(models[name], value, f"the input {name!r} of {who}")
        value = function(**arguments)
        return value if value is None and is_optional else dump_returned(value, returned, who)

    # An executor finds embedded files in the globals of the function.
    adapted = FunctionType(call.__code__, function.__globals__, function.__name__, None, call.__closure__)
    functools.update_wrapper(adapted, function)
    adapted.__annotations__ = plain
    signature = inspect.signature(function)
    parameters = [each.replace(annotation=plain.get(each.name)) for each in signature.parameters.values()]
    result = plain.get("return", signature.return_annotation)
    vars(adapted)["__signature__"] = signature.replace(parameters=parameters, return_annotation=result)
    return adapted


def _plain_hint(hint: Any) -> Any:
    if not ann.is_named_tuple(hint):
        return plain_type(hint)
    fields = ann.annotations_of(hint)
    plain = {name: plain_type(field) for name, field in fields.items()}
    return hint if plain == fields else typing.NamedTuple(hint.__name__, list(plain.items()))


def _validate(model: Any, value: Any, what: str) -> Any:
    try:
        return model.model_validate(value)
    except sys.modules["pydantic"].ValidationError as error:
        raise ValueError(f"{what} does not fit the model {model.__name__}: {error}") from None


def _dump_returned(value: Any, declared: Any, who: str) -> Any:
    """Return what a function returned with JSON in place of models; what is wrong otherwise is left to the executor."""
    if not ann.is_named_tuple(declared):
        return _dump_output(value, declared, f"{who} returned")
    hints = ann.annotations_of(declared)
    if not isinstance(value, tuple) or len(value) != len(hints):
        return value
    names: Tuple[str, ...] = getattr(value, "_fields", tuple(hints))
    dumped: Dict[str, Any] = {
        name: _dump_field(item, hints.get(name), f"{who} returned, for its output {name!r},")
        for name, item in zip(names, value)
    }
    return value._replace(**dumped) if hasattr(value, "_replace") else tuple(dumped.values())


def _dump_field(value: Any, hint: Any, what: str) -> Any:
    declared = ann.strip_optional(hint)
    return value if value is None and declared is not hint else _dump_output(value, declared, what)


def _dump_output(value: Any, declared: Any, what: str) -> Any:
    if not is_model(declared):
        return value
    if not isinstance(value, declared):
        raise TypeError(f"{what} a value of type {type(value).__name__}: expected the model {declared.__name__}")
    return dump(value)
