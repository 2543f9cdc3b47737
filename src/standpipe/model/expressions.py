"""Conditions of tasks and selectors of values: the part of CEL that KFP compiles to, parsed once into a small tree.

A condition speaks of the inputs of its task (`inputs.parameter_values['x']`), a selector of one value
(`parseJson(string_value)["field"]`). Names and rules are those of the KFP backend (`backend/src/v2/expression`), which
hands both to cel-go: values have types, nothing is converted unless a function says so, and what cannot be evaluated
is an error. Values are data: what stands in them is never read as a part of the expression.

    condition   = conjunction { "||" conjunction }
    conjunction = comparison { "&&" comparison }
    comparison  = unary [ ("==" | "!=" | "<" | "<=" | ">" | ">=") unary ]
    unary       = "!" unary | "-" unary | member
    member      = primary { "." name | "[" condition "]" }
    primary     = number | text | "true" | "false" | "null" | name | function "(" condition ")" | "(" condition ")"

The KFP compiler writes text between quotes without escaping it. So a quote ends a text only where something follows
that may follow a text, and of several readings the first one that is an expression holds.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Union

from standpipe.errors import StandpipeError
from standpipe.model.frozen import frozen
from standpipe.model.types import Json
from standpipe.model.values import as_text, kind_of, preview


class ExpressionError(StandpipeError, ValueError):
    """An expression that cannot be read or evaluated; the message says what in it, and why."""


@frozen
class Literal:
    """A value that the expression itself holds."""

    value: Json


@frozen
class Variable:
    """A name that whoever evaluates the expression gives a value to."""

    name: str


@frozen
class Index:
    """A field of a map, as `operand.key` or `operand["key"]`, or an element of a list."""

    operand: Tree
    key: Tree


@frozen
class Call:
    """One of `FUNCTIONS`, applied to its argument."""

    function: str
    argument: Tree


@frozen
class Not:
    """True of what is false."""

    operand: Tree


@frozen
class Negative:
    """A number with the other sign."""

    operand: Tree


@frozen
class Comparison:
    """Whether two values are equal, or in which order."""

    operator: str
    left: Tree
    right: Tree


@frozen
class Logical:
    """Two or more operands joined by `&&` or `||`."""

    operator: str
    operands: tuple[Tree, ...]


@frozen
class Unquoted:
    """Text that the KFP compiler made of a reference to an input: it put quotes around it, and escapes none."""

    text: str


Tree = Union[Literal, Variable, Index, Call, Not, Negative, Comparison, Logical, Unquoted]


@frozen
class Expression:
    """An expression as it was written, and what it means. The text says all, so it alone is compared."""

    text: str
    tree: Tree = field(compare=False)

    def __str__(self) -> str:
        return self.text


#: How deeply an expression may be nested.
_DEEPEST = 50

#: How many readings of its quotes are tried before an expression is given up.
_MOST_READINGS = 100

#: The patterns are compiled when the first expression comes.
_LEXEME = r"""(?x) \s* (?:
    (?P<number> \d+ (?:\.\d+)? (?:[eE][+-]?\d+)? ) (?![\w.])
  | (?P<name> [A-Za-z_]\w* )
  | (?P<symbol> && | \|\| | [=!<>]= | [][()<>!.'"-] )
  | $
)"""
#: A quote that may end a text, by what follows it.
_END_OF_TEXT = r"%s(?=\s*(?:$|[])<>]|==|!=|&&|\|\|))"
_ESCAPED = r"\\([\\'\"])"
_QUOTED_REFERENCE = r"(?:int\()?inputs\.parameter_values\['[^']*'\]\)?"
_CONSTANTS: dict[str, Json] = {"true": True, "false": False, "null": None}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def parse(text: str) -> Expression:
    """Reads an expression.

    Raises:
        ExpressionError: if it is none.
    """
    reading: list[int] | None = []
    problem: ExpressionError | None = None
    for _ in range(_MOST_READINGS):
        parser = _Parser(text, reading or [])
        try:
            return Expression(text, parser.whole())
        except ExpressionError as error:
            problem = problem or error
        reading = parser.next_reading()
        if reading is None:
            break
    assert problem
    raise problem


class _Parser:
    """Recursive descent over the grammar above.

    `reading` says of each text, in order, how many quotes that could end it do not; the first possible one ends all
    further texts.
    """

    def __init__(self, text: str, reading: list[int]) -> None:
        self._text = text
        self._reading = reading
        self._texts: list[tuple[int, int]] = []  # where each text begins, and how many quotes were passed over in it
        self._at = 0
        self._depth = 0

    def whole(self) -> Tree:
        tree = self._condition()
        if self._peek():
            raise self._problem(f"{self._peek()!r} is one too many")
        if _is_deep(tree):
            raise self._problem("it is nested too deeply")
        return tree

    def next_reading(self) -> list[int] | None:
        """The reading to try after this one: another quote ends the last text that can end elsewhere."""
        while self._texts:
            begin, passed_over = self._texts.pop()
            if self._end_of_text(begin, passed_over + 1) is not None:
                return [*(passed for _, passed in self._texts), passed_over + 1]
        return None

    def _condition(self) -> Tree:
        return self._joined("||", lambda: self._joined("&&", self._comparison))

    def _joined(self, symbol: str, operand: Callable[[], Tree]) -> Tree:
        operands = [operand()]
        while self._take(symbol):
            operands.append(operand())
        if len(operands) == 1:
            return operands[0]
        for tree in operands:
            if isinstance(tree, Literal) and not isinstance(tree.value, bool):
                raise self._problem(f"{symbol} is for true and false, and {preview(tree.value)} is neither")
        return Logical(symbol, tuple(operands))

    def _comparison(self) -> Tree:
        left = self._unary()
        symbol = self._peek()
        if symbol in _COMPARISONS or symbol in ("==", "!="):
            self._take(symbol)
            return Comparison(symbol, left, self._unary())
        return left

    def _unary(self) -> Tree:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._problem("it is nested too deeply")
        tree: Tree
        if self._take("!"):
            tree = Not(self._unary())
        elif self._take("-"):
            tree = Negative(self._unary())
        else:
            tree = self._member()
        self._depth -= 1
        return tree

    def _member(self) -> Tree:
        tree = self._primary()
        while True:
            if self._take("."):
                tree = Index(tree, Literal(self._name()))
            elif self._take("["):
                tree = Index(tree, self._condition())
                self._expect("]")
            else:
                return tree

    def _primary(self) -> Tree:
        if self._take("("):
            tree = self._condition()
            self._expect(")")
            return tree
        for quote in "'\"":
            if self._take(quote):
                return self._quoted(quote)
        match = self._next()
        if match["number"]:
            self._at = match.end()
            return Literal(_number(match["number"]))
        name = self._name()
        if name in _CONSTANTS:
            return Literal(_CONSTANTS[name])
        if not self._take("("):
            return Variable(name)
        if name not in FUNCTIONS:
            raise self._problem(f"there is no function {name!r}; there are {', '.join(FUNCTIONS)}")
        argument = self._condition()
        self._expect(")")
        return Call(name, argument)

    def _quoted(self, quote: str) -> Tree:
        begin = self._at
        nth = len(self._texts)
        passed_over = self._reading[nth] if nth < len(self._reading) else 0
        end = self._end_of_text(begin, passed_over)
        if end is None:
            raise self._problem(f"the text that begins with {quote} has no end")
        self._texts.append((begin, passed_over))
        self._at = end + 1
        text = self._text[begin:end]
        return Unquoted(text) if re.fullmatch(_QUOTED_REFERENCE, text) else Literal(re.sub(_ESCAPED, r"\1", text))

    def _end_of_text(self, begin: int, passed_over: int) -> int | None:
        """Where the text ends that begins at `begin`, if so many quotes that could end it do not."""
        pattern = re.compile(_END_OF_TEXT % self._text[begin - 1])
        end = begin - 1
        for _ in range(passed_over + 1):
            match = pattern.search(self._text, end + 1)
            if match is None:
                return None
            end = match.start()
        return end

    def _next(self) -> re.Match[str]:
        match = re.compile(_LEXEME).match(self._text, self._at)
        if match is None:
            raise self._problem("it goes on with what is no part of an expression")
        return match

    def _peek(self) -> str:
        return self._next()[0].strip()

    def _take(self, symbol: str) -> bool:
        match = self._next()
        if match["symbol"] != symbol:
            return False
        self._at = match.end()
        return True

    def _expect(self, symbol: str) -> None:
        if not self._take(symbol):
            raise self._problem(f"{symbol!r} is missing")

    def _name(self) -> str:
        match = self._next()
        if not match["name"]:
            raise self._problem("a value is missing")
        self._at = match.end()
        return match["name"]

    def _problem(self, what: str) -> ExpressionError:
        return ExpressionError(f"{preview(self._text)} cannot be read: {what}, at character {self._at + 1}")


def _is_deep(tree: Tree) -> bool:
    """Whether evaluating would recurse too deeply: chains of fields are long without brackets."""
    level: list[object] = [tree]
    for _ in range(2 * _DEEPEST):
        level = [part for node in level for part in _parts(node)]
        if not level:
            return False
    return True


def _parts(node: object) -> list[object]:
    if isinstance(node, Logical):
        return [*node.operands]
    return [] if isinstance(node, (Literal, Unquoted, Variable, str)) else list(vars(node).values())


def _number(text: str) -> int | float:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError as error:  # Python refuses integers of thousands of digits
        raise ExpressionError(f"the number {preview(text)} cannot be read: {error}") from error


# --- evaluation -------------------------------------------------------------------------------------------------------


def evaluate(expression: Expression, variables: Mapping[str, Json]) -> Json:
    """The value of an expression.

    Raises:
        ExpressionError: if it has none: a name or field is missing, or a type does not fit.
    """
    try:
        return _value(expression.tree, variables)
    except ExpressionError as error:
        raise ExpressionError(f"{preview(expression.text, 200)} cannot be evaluated: {error}") from error


def holds(condition: Expression, inputs: Mapping[str, Json]) -> bool:
    """Whether a condition is true of a task's parameters.

    Raises:
        ExpressionError: if it cannot be evaluated, or its value is not a bool.
    """
    value = evaluate(condition, {"inputs": {"parameter_values": inputs}})
    if not isinstance(value, bool):
        raise ExpressionError(f"{preview(condition.text, 200)} is {preview(value)}, and a condition is true or false")
    return value


def select(selector: Expression, value: Json) -> Json:
    """The part of a value that a selector takes: `string_value` is all of it as text, `struct_value` a map, and so on.

    Raises:
        ExpressionError: if there is no such part.
    """
    return evaluate(selector, {"string_value": as_text(value), **_fields(value)})


def _fields(value: Json) -> dict[str, Json]:
    """The one field of a protobuf `Value` that is set."""
    if value is None:
        return {"null_value": None}
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, (int, float)):
        return {"number_value": value}
    if isinstance(value, list):
        return {"list_value": value}
    return {"struct_value": value} if isinstance(value, dict) else {}


def _value(tree: Tree, variables: Mapping[str, Json]) -> Json:
    if isinstance(tree, Literal):
        return tree.value
    if isinstance(tree, Variable):
        if tree.name not in variables:
            raise ExpressionError(f"there is no {tree.name!r}, only {', '.join(variables)}")
        return variables[tree.name]
    if isinstance(tree, Index):
        return _part(_value(tree.operand, variables), _value(tree.key, variables))
    if isinstance(tree, Call):
        return FUNCTIONS[tree.function](_value(tree.argument, variables))
    if isinstance(tree, Not):
        return not _boolean(_value(tree.operand, variables), "!")
    if isinstance(tree, Negative):
        return -_number_or_refuse(_value(tree.operand, variables), "-")
    if isinstance(tree, Comparison):
        return _compare(tree.operator, _value(tree.left, variables), _value(tree.right, variables))
    if isinstance(tree, Logical):
        return _joined(tree, variables)
    raise ExpressionError(
        f"the KFP compiler put {tree.text} in quotes, because a parameter that is no text is compared with text. "
        "Compare it with a value of its own type"
    )


def _part(whole: Json, key: Json) -> Json:
    if isinstance(whole, dict) and isinstance(key, str):
        if key in whole:
            return whole[key]
        raise ExpressionError(f"there is no {key!r} in it, only {', '.join(map(repr, whole)) or 'nothing'}")
    if isinstance(whole, list) and isinstance(key, int) and not isinstance(key, bool):
        if 0 <= key < len(whole):
            return whole[key]
        raise ExpressionError(f"there is no element {key} in a list of {len(whole)}")
    raise ExpressionError(f"{preview(key)} cannot be taken of {preview(whole)}, which is {kind_of(whole)}")


def _joined(tree: Logical, variables: Mapping[str, Json]) -> bool:
    """As in CEL, one operand that decides is enough, even if another one cannot be evaluated."""
    decides = tree.operator == "||"
    problem: ExpressionError | None = None
    for operand in tree.operands:
        try:
            if _boolean(_value(operand, variables), tree.operator) is decides:
                return decides
        except ExpressionError as error:
            problem = problem or error
    if problem:
        raise problem
    return not decides


def _boolean(value: Json, where: str) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"{where} is for true and false, and {preview(value)} is {kind_of(value)}")
    return value


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number_or_refuse(value: Json, where: str) -> Any:
    if not _is_number(value):
        raise ExpressionError(f"{where} is for numbers, and {preview(value)} is {kind_of(value)}")
    return value


def _compare(symbol: str, left: Json, right: Json) -> bool:
    if symbol in ("==", "!="):
        return _equal(left, right) is (symbol == "==")
    comparable = (_is_number(left) and _is_number(right)) or (
        type(left) is type(right) and isinstance(left, (str, bool))
    )
    if not comparable:
        raise ExpressionError(
            f"{preview(left)}, which is {kind_of(left)}, and {preview(right)}, which is {kind_of(right)}, have no order"
        )
    return _COMPARISONS[symbol](left, right)


def _equal(left: Json, right: Json) -> bool:
    """Values of different types are never equal; `True == 1` is Python's notion, not CEL's."""
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
            raise ExpressionError(f"int() of {preview(value)}: {error}") from error
    raise ExpressionError(f"int() takes a number or text, and {preview(value)} is {kind_of(value)}")


def _to_double(value: Json) -> float:
    if _is_number(value) or isinstance(value, str):
        try:
            return float(value)
        except (ValueError, OverflowError) as error:
            raise ExpressionError(f"double() of {preview(value)}: {error}") from error
    raise ExpressionError(f"double() takes a number or text, and {preview(value)} is {kind_of(value)}")


def _to_bool(value: Json) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    raise ExpressionError(f"bool() takes true, false, or one of them as text, and not {preview(value)}")


def _to_string(value: Json) -> str:
    if isinstance(value, (str, int, float)):
        return as_text(value)
    raise ExpressionError(f"string() takes text, a number or a bool, and {preview(value)} is {kind_of(value)}")


def _size(value: Json) -> int:
    if isinstance(value, (str, list, dict)):
        return len(value)
    raise ExpressionError(f"size() takes text, a list or a map, and {preview(value)} is {kind_of(value)}")


def _parse_json(value: Json) -> Json:
    if not isinstance(value, str):
        raise ExpressionError(f"parseJson() takes text, and {preview(value)} is {kind_of(value)}")
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ExpressionError(f"{preview(value)} is not JSON: {error}") from error


FUNCTIONS: dict[str, Callable[[Json], Json]] = {
    "int": _to_int,
    "double": _to_double,
    "bool": _to_bool,
    "string": _to_string,
    "size": _size,
    "parseJson": _parse_json,
}
