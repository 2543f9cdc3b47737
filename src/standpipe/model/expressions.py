r"""Conditions of tasks and selectors of values: the syntax tree and its parser.

The language is the part of CEL that KFP compiles to. A condition reads the inputs of its task
(`inputs.parameter_values['x']`), a selector reads one value (`parseJson(string_value)["field"]`). Names and rules are
those of the KFP backend (`backend/src/v2/expression`), which passes both to cel-go. An expression is parsed once, when
a Plan is made; `model.evaluation` evaluates it.

    condition   = conjunction { "||" conjunction }
    conjunction = comparison { "&&" comparison }
    comparison  = unary [ ("==" | "!=" | "<" | "<=" | ">" | ">=") unary ]
    unary       = "!" unary | "-" unary | member
    member      = primary { "." name | "[" condition "]" }
    primary     = number | string | "true" | "false" | "null" | name | function "(" condition ")" | "(" condition ")"

Strings are CEL's (`model.cel_strings`), so backslashes begin escapes. But the KFP compiler writes text between quotes
without escaping it: `'it's'`, `'C:\path'`. CEL has no meaning for such an expression, and a cluster fails. Here each
text means the characters between its quotes, and a quote ends a text only if what follows can follow a text. If there
are several readings, the first one that is a valid expression is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Union

from standpipe.errors import StandpipeError
from standpipe.model import cel_strings
from standpipe.model.frozen import field, frozen
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
    """An expression.

    Args:
        text: its text in compiled files.
        tree: what it means.
        exact_text: the text that the tree was parsed from, if that is not `text`: the same expression, with its strings
            escaped. The text that the KFP compiler writes for a condition may mean something else than its author did.
    """

    text: str
    tree: Tree
    exact_text: str = field(default="", compare=False)

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
#: A quote that can end a string that is not escaped, judged by what follows it.
_END_OF_STRING = r"%s(?=\s*(?:$|[])<>]|==|!=|&&|\|\|))"
_QUOTED_REFERENCE = r"(?:int\()?inputs\.parameter_values\['[^']*'\]\)?"
_CONSTANTS: dict[str, Json] = {"true": True, "false": False, "null": None}


def parse(text: str, exact_text: str = "") -> Expression:
    """Parse an expression.

    Args:
        text: the condition or selector, as it is written in a compiled file.
        exact_text: the same expression with its strings escaped, if it may mean something else.

    Returns:
        The expression, whose text is `text`.

    Raises:
        ExpressionError: if the text is not a valid expression; the message names the position of the problem.
    """
    if exact_text and exact_text != text:
        return Expression(text, parse(exact_text).tree, exact_text)
    try:
        return Expression(text, parse_cel(text))
    except ExpressionError:
        return Expression(text, _parse_unescaped(text))


def parse_cel(text: str) -> Tree:
    """Return what an expression means for a cluster.

    Raises:
        ExpressionError: if it is not valid CEL.
    """
    return _Parser(text).parse()


def describe_cluster_reading(expression: Expression) -> str:
    """Return how a cluster reads the text of an expression, as a verb phrase; empty if it reads what is meant."""
    try:
        tree = parse_cel(expression.text)
    except ExpressionError:
        return "cannot parse the text"
    if tree == expression.tree:
        return ""
    meant, read = _literals(expression.tree), _literals(tree)
    if len(meant) != len(read):
        return "reads another condition"
    return "reads " + " and ".join(
        f"{preview(theirs)} for {preview(ours)}"
        for ours, theirs in dict(zip(meant, read, strict=True)).items()
        if ours != theirs
    )


def _literals(tree: object) -> list[Json]:
    return [tree.value] if isinstance(tree, Literal) else [value for part in _parts(tree) for value in _literals(part)]


def _parse_unescaped(text: str) -> Tree:
    """Return what an expression means whose strings the KFP compiler has put between quotes as they are."""
    reading: list[int] | None = []
    problem: ExpressionError | None = None
    for _ in range(_MAX_READINGS):
        parser = _UnescapedParser(text, reading or [])
        try:
            return parser.parse()
        except ExpressionError as error:
            problem = problem or error
        reading = parser.next_reading()
        if reading is None:
            break
    assert problem
    raise problem


class _Parser:
    """A recursive descent parser for the grammar above."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def parse(self) -> Tree:
        tree = self._condition()
        if self._peek():
            raise self._error(f"unexpected {self._peek()!r}")
        if _is_deep(tree):
            raise self._error("nested too deeply")
        return tree

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
        string = self._string()
        if string is not None:
            is_reference = re.fullmatch(_QUOTED_REFERENCE, string)
            return QuotedReference(string) if is_reference else Literal(string)
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

    def _string(self) -> str | None:
        """Return the value of the string that begins here, None if something else does."""
        match = re.compile(cel_strings.LITERAL).match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return cel_strings.unquote(match)

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


class _UnescapedParser(_Parser):
    """The same for an expression whose strings are not escaped.

    Args:
        text: the expression.
        reading: for each string, in order, how many of the quotes that could end it are skipped. Further strings end at
            the first quote that can end them.
    """

    def __init__(self, text: str, reading: list[int]) -> None:
        super().__init__(text)
        self._reading = reading
        self._strings: list[tuple[int, int]] = []  # the start of each string, and how many quotes are skipped in it

    def next_reading(self) -> list[int] | None:
        """Return the reading to try next, None if there is none: the last string that can end later does so."""
        while self._strings:
            begin, skipped = self._strings.pop()
            if self._end_of_string(begin, skipped + 1) is not None:
                return [*(count for _, count in self._strings), skipped + 1]
        return None

    def _string(self) -> str | None:
        quote = next((quote for quote in "'\"" if self._take(quote)), "")
        if not quote:
            return None
        begin = self._at
        nth = len(self._strings)
        skipped = self._reading[nth] if nth < len(self._reading) else 0
        end = self._end_of_string(begin, skipped)
        if end is None:
            raise self._error(f"missing closing {quote}")
        self._strings.append((begin, skipped))
        self._at = end + 1
        return self._text[begin:end]

    def _end_of_string(self, begin: int, skipped: int) -> int | None:
        """Return where the string that starts at `begin` ends if this many quotes are skipped; None if nowhere."""
        pattern = re.compile(_END_OF_STRING % self._text[begin - 1])
        end = begin - 1
        for _ in range(skipped + 1):
            match = pattern.search(self._text, end + 1)
            if match is None:
                return None
            end = match.start()
        return end


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
