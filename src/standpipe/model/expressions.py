"""Conditions of tasks and selectors of values: the syntax tree and its parser.

The language is the part of CEL that KFP compiles to. A condition reads the inputs of its task
(`inputs.parameter_values['x']`), a selector reads one value (`parseJson(string_value)["field"]`). Names and rules are
those of the KFP backend (`backend/src/v2/expression`), which passes both to cel-go. An expression is parsed once, when
a Plan is made; `model.evaluation` evaluates it.

    condition   = conjunction { "||" conjunction }
    conjunction = comparison { "&&" comparison }
    comparison  = unary [ ("==" | "!=" | "<" | "<=" | ">" | ">=") unary ]
    unary       = "!" unary | "-" unary | member
    member      = primary { "." name | "[" condition "]" }
    primary     = number | text | "true" | "false" | "null" | name | function "(" condition ")" | "(" condition ")"

The KFP compiler writes text between quotes and does not escape it. So a quote ends a text only if what follows can
follow a text. If there are several readings, the first one that is a valid expression is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import field
from typing import Union

from standpipe.errors import StandpipeError
from standpipe.model.frozen import frozen
from standpipe.model.types import Json
from standpipe.model.values import preview


class ExpressionError(StandpipeError, ValueError):
    """An expression cannot be parsed or evaluated. The message names the part of it and the reason."""


@frozen
class Literal:
    """A value that is written in the expression."""

    value: Json


@frozen
class Variable:
    """A name that the caller of the evaluation provides a value for."""

    name: str


@frozen
class Index:
    """A field of a map, as `operand.key` or `operand["key"]`, or an element of a list."""

    operand: Tree
    key: Tree


@frozen
class Call:
    """A call of one of the `FUNCTIONS`."""

    function: str
    argument: Tree


@frozen
class Not:
    """The negation of a boolean."""

    operand: Tree


@frozen
class Negative:
    """A number with its sign inverted."""

    operand: Tree


@frozen
class Comparison:
    """The comparison of two values with one of the `COMPARISONS`."""

    operator: str
    left: Tree
    right: Tree


@frozen
class Logical:
    """Two or more operands joined by `&&` or `||`."""

    operator: str
    operands: tuple[Tree, ...]


@frozen
class QuotedReference:
    """A reference to an input that the KFP compiler has put in quotes.

    It does so if a parameter that is not text is compared with text. Such an expression cannot be evaluated.
    """

    text: str


Tree = Union[Literal, Variable, Index, Call, Not, Negative, Comparison, Logical, QuotedReference]


@frozen
class Expression:
    """An expression: its text and its syntax tree. Only the text is compared, as the tree follows from it."""

    text: str
    tree: Tree = field(compare=False)

    def __str__(self) -> str:
        return self.text


#: The functions that an expression can call; `model.evaluation` implements them.
FUNCTIONS = ("int", "double", "bool", "string", "size", "parseJson")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")

#: The maximum depth of a syntax tree.
_MAX_DEPTH = 50

#: The maximum number of readings of its quotes that are tried for an expression.
_MAX_READINGS = 100

#: The patterns are compiled when the first expression is parsed, as most runs parse none.
_LEXEME = r"""(?x) \s* (?:
    (?P<number> \d+ (?:\.\d+)? (?:[eE][+-]?\d+)? ) (?![\w.])
  | (?P<name> [A-Za-z_]\w* )
  | (?P<symbol> && | \|\| | [=!<>]= | [][()<>!.'"-] )
  | $
)"""
#: A quote that can end a text, judged by what follows it.
_END_OF_TEXT = r"%s(?=\s*(?:$|[])<>]|==|!=|&&|\|\|))"
_ESCAPED = r"\\([\\'\"])"
_QUOTED_REFERENCE = r"(?:int\()?inputs\.parameter_values\['[^']*'\]\)?"
_CONSTANTS: dict[str, Json] = {"true": True, "false": False, "null": None}


def parse(text: str) -> Expression:
    """Parse an expression.

    Args:
        text: the condition or selector, as it is written in a compiled file.

    Returns:
        The expression, whose text is `text`.

    Raises:
        ExpressionError: if the text is not a valid expression; the message names the position of the problem.
    """
    reading: list[int] | None = []
    problem: ExpressionError | None = None
    for _ in range(_MAX_READINGS):
        parser = _Parser(text, reading or [])
        try:
            return Expression(text, parser.parse())
        except ExpressionError as error:
            problem = problem or error
        reading = parser.next_reading()
        if reading is None:
            break
    assert problem
    raise problem


class _Parser:
    """A recursive descent parser for the grammar above.

    Args:
        text: the expression.
        reading: for each quoted text, in order, how many of the quotes that could end it are skipped. Further texts
            end at the first quote that can end them.
    """

    def __init__(self, text: str, reading: list[int]) -> None:
        self._text = text
        self._reading = reading
        self._texts: list[tuple[int, int]] = []  # the start of each text, and how many quotes are skipped in it
        self._at = 0
        self._depth = 0

    def parse(self) -> Tree:
        tree = self._condition()
        if self._peek():
            raise self._error(f"unexpected {self._peek()!r}")
        if _is_deep(tree):
            raise self._error("nested too deeply")
        return tree

    def next_reading(self) -> list[int] | None:
        """Return the reading to try next, None if there is none: the last text that can end later does so."""
        while self._texts:
            begin, skipped = self._texts.pop()
            if self._end_of_text(begin, skipped + 1) is not None:
                return [*(count for _, count in self._texts), skipped + 1]
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
                raise self._error(f"expected a boolean as an operand of {symbol}, got {preview(tree.value)}")
        return Logical(symbol, tuple(operands))

    def _comparison(self) -> Tree:
        left = self._unary()
        symbol = self._peek()
        if symbol in COMPARISONS:
            self._take(symbol)
            return Comparison(symbol, left, self._unary())
        return left

    def _unary(self) -> Tree:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error("nested too deeply")
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
            raise self._error(f"unknown function {name!r}, expected one of {', '.join(FUNCTIONS)}")
        argument = self._condition()
        self._expect(")")
        return Call(name, argument)

    def _quoted(self, quote: str) -> Tree:
        begin = self._at
        nth = len(self._texts)
        skipped = self._reading[nth] if nth < len(self._reading) else 0
        end = self._end_of_text(begin, skipped)
        if end is None:
            raise self._error(f"missing closing {quote}")
        self._texts.append((begin, skipped))
        self._at = end + 1
        text = self._text[begin:end]
        return (
            QuotedReference(text) if re.fullmatch(_QUOTED_REFERENCE, text) else Literal(re.sub(_ESCAPED, r"\1", text))
        )

    def _end_of_text(self, begin: int, skipped: int) -> int | None:
        """Return where the text that starts at `begin` ends if this many quotes are skipped; None if nowhere."""
        pattern = re.compile(_END_OF_TEXT % self._text[begin - 1])
        end = begin - 1
        for _ in range(skipped + 1):
            match = pattern.search(self._text, end + 1)
            if match is None:
                return None
            end = match.start()
        return end

    def _next(self) -> re.Match[str]:
        match = re.compile(_LEXEME).match(self._text, self._at)
        if match is None:
            raise self._error("unexpected character")
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
            raise self._error(f"expected {symbol!r}")

    def _name(self) -> str:
        match = self._next()
        if not match["name"]:
            raise self._error("expected a value")
        self._at = match.end()
        return match["name"]

    def _error(self, problem: str) -> ExpressionError:
        return ExpressionError(f"invalid expression {preview(self._text)}: {problem}, at character {self._at + 1}")


def _is_deep(tree: Tree) -> bool:
    """Whether evaluation would recurse too deeply: a long chain of fields nests without any brackets."""
    level: list[object] = [tree]
    for _ in range(2 * _MAX_DEPTH):
        level = [part for node in level for part in _parts(node)]
        if not level:
            return False
    return True


def _parts(node: object) -> list[object]:
    if isinstance(node, Logical):
        return [*node.operands]
    return [] if isinstance(node, (Literal, QuotedReference, Variable, str)) else list(vars(node).values())


def _number(text: str) -> int | float:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError as error:  # Python limits the number of digits
        raise ExpressionError(f"invalid number {preview(text)}: {error}") from error
