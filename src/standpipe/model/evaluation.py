"""Evaluation of conditions and selectors, by the rules of cel-go as the KFP backend calls it.

Values have types, and nothing is converted unless a function does it. An expression that cannot be evaluated is an
error, never false. Values are data: text in a value is never read as a part of the expression.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from standpipe.model.expressions import (
    Call,
    Comparison,
    Expression,
    ExpressionError,
    Index,
    Literal,
    Logical,
    Negative,
    Not,
    Tree,
    Variable,
)
from standpipe.model.json_values import parse_json
from standpipe.model.types import Json
from standpipe.model.values import preview, to_text, type_name

_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(expression: Expression, variables: Mapping[str, Json]) -> Json:
    """Evaluate an expression.

    Args:
        expression: the expression.
        variables: the values of the names that it can use.

    Returns:
        The value of the expression.

    Raises:
        ExpressionError: if a name or field is missing, or a value has the wrong type.
    """
    try:
        return _evaluate(expression.tree, variables)
    except ExpressionError as error:
        raise ExpressionError(f"cannot evaluate {preview(expression.text, 200)}: {error}") from error


def holds(condition: Expression, inputs: Mapping[str, Json]) -> bool:
    """Return whether a condition is true.

    Args:
        condition: the condition.
        inputs: the values of the task's parameters, by name.

    Raises:
        ExpressionError: if the condition cannot be evaluated, or its value is not a boolean.
    """
    value = evaluate(condition, {"inputs": {"parameter_values": inputs}})
    if not isinstance(value, bool):
        raise ExpressionError(
            f"expected a boolean from the condition {preview(condition.text, 200)}, got {preview(value)}"
        )
    return value


def select(selector: Expression, value: Json) -> Json:
    """Return the part of a value that a selector reads.

    Args:
        selector: the selector. Its names are those of protobuf's `Value`: `string_value` is the whole value as text;
            `struct_value`, `list_value` and so on are the value itself, if it has that type.
        value: the value.

    Raises:
        ExpressionError: if the value has no such part.
    """
    return evaluate(selector, {"string_value": to_text(value), **_value_field(value)})


def _value_field(value: Json) -> dict[str, Json]:
    """Return the one field of protobuf's `Value` that is set for a value."""
    if value is None:
        return {"null_value": None}
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, (int, float)):
        return {"number_value": value}
    if isinstance(value, list):
        return {"list_value": value}
    return {"struct_value": value} if isinstance(value, dict) else {}


def _evaluate(tree: Tree, variables: Mapping[str, Json]) -> Json:
    if isinstance(tree, Literal):
        return tree.value
    if isinstance(tree, Variable):
        if tree.name not in variables:
            raise ExpressionError(f"unknown name {tree.name!r}, expected one of {', '.join(variables)}")
        return variables[tree.name]
    if isinstance(tree, Index):
        return _read_part(_evaluate(tree.operand, variables), _evaluate(tree.key, variables))
    if isinstance(tree, Call):
        return _FUNCTIONS[tree.function](_evaluate(tree.argument, variables))
    if isinstance(tree, Not):
        return not _require_boolean(_evaluate(tree.operand, variables), "!")
    if isinstance(tree, Negative):
        return -_require_number(_evaluate(tree.operand, variables), "-")
    if isinstance(tree, Comparison):
        return _compare(tree.operator, _evaluate(tree.left, variables), _evaluate(tree.right, variables))
    if isinstance(tree, Logical):
        return _evaluate_logical(tree, variables)
    raise ExpressionError(
        f"the KFP compiler put {tree.text} in quotes, because a parameter that is not text is compared with text. "
        "Compare it with a value of its own type"
    )


def _read_part(whole: Json, key: Json) -> Json:
    if isinstance(whole, dict) and isinstance(key, str):
        if key in whole:
            return whole[key]
        raise ExpressionError(f"unknown field {key!r}, expected one of {', '.join(map(repr, whole)) or 'none'}")
    if isinstance(whole, list) and isinstance(key, int) and not isinstance(key, bool):
        if 0 <= key < len(whole):
            return whole[key]
        raise ExpressionError(f"index {key} is out of range for a list of length {len(whole)}")
    raise ExpressionError(f"cannot read {preview(key)} of {preview(whole)}, which is {type_name(whole)}")


def _evaluate_logical(tree: Logical, variables: Mapping[str, Json]) -> bool:
    """Evaluate `&&` or `||`. As in CEL, one deciding operand is enough, even if another one cannot be evaluated."""
    decides = tree.operator == "||"
    problem: ExpressionError | None = None
    for operand in tree.operands:
        try:
            if _require_boolean(_evaluate(operand, variables), tree.operator) is decides:
                return decides
        except ExpressionError as error:
            problem = problem or error
    if problem:
        raise problem
    return not decides


def _require_boolean(value: Json, symbol: str) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(
            f"expected a boolean as an operand of {symbol}, got {preview(value)} ({type_name(value)})"
        )
    return value


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _require_number(value: Json, symbol: str) -> Any:
    if not _is_number(value):
        raise ExpressionError(f"expected a number as an operand of {symbol}, got {preview(value)} ({type_name(value)})")
    return value


def _compare(symbol: str, left: Json, right: Json) -> bool:
    if symbol in ("==", "!="):
        return _equal(left, right) is (symbol == "==")
    comparable = (_is_number(left) and _is_number(right)) or (
        type(left) is type(right) and isinstance(left, (str, bool))
    )
    if not comparable:
        raise ExpressionError(
            f"cannot order {preview(left)} ({type_name(left)}) and {preview(right)} ({type_name(right)}): "
            "expected two numbers, two texts or two booleans"
        )
    return _ORDERINGS[symbol](left, right)


def _equal(left: Json, right: Json) -> bool:
    """Return whether two values are equal. In CEL, unlike Python, `true == 1` is false."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    same_kind = type(left) is type(right) or (_is_number(left) and _is_number(right))
    return same_kind and bool(left == right)


def _to_int(value: Json) -> int:
    if _is_number(value) or isinstance(value, str):
        try:
            return int(value)
        except (ValueError, OverflowError) as error:
            raise ExpressionError(f"int() cannot convert {preview(value)}: {error}") from error
    raise ExpressionError(f"int() expected a number or text, got {preview(value)} ({type_name(value)})")


def _to_double(value: Json) -> float:
    if _is_number(value) or isinstance(value, str):
        try:
            return float(value)
        except (ValueError, OverflowError) as error:
            raise ExpressionError(f"double() cannot convert {preview(value)}: {error}") from error
    raise ExpressionError(f"double() expected a number or text, got {preview(value)} ({type_name(value)})")


def _to_bool(value: Json) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    raise ExpressionError(f"bool() expected a boolean, 'true' or 'false', got {preview(value)}")


def _to_string(value: Json) -> str:
    if isinstance(value, (str, int, float)):
        return to_text(value)
    raise ExpressionError(f"string() expected text, a number or a boolean, got {preview(value)} ({type_name(value)})")


def _size(value: Json) -> int:
    if isinstance(value, (str, list, dict)):
        return len(value)
    raise ExpressionError(f"size() expected text, a list or a map, got {preview(value)} ({type_name(value)})")


def _parse_json(value: Json) -> Json:
    if not isinstance(value, str):
        raise ExpressionError(f"parseJson() expected text, got {preview(value)} ({type_name(value)})")
    try:
        return parse_json(value)
    except ValueError as error:
        raise ExpressionError(f"invalid JSON {preview(value)}: {error}") from error


_FUNCTIONS: dict[str, Callable[[Json], Json]] = {
    "int": _to_int,
    "double": _to_double,
    "bool": _to_bool,
    "string": _to_string,
    "size": _size,
    "parseJson": _parse_json,
}
