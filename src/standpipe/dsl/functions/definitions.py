"""Read the definitions of functions and classes from their files, without the indentation of what surrounds them."""

from __future__ import annotations

import inspect
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from types import CodeType
from typing import Any

from standpipe.dsl.tracing.source_locations import absolute_path
from standpipe.errors import AuthoringError
from standpipe.model.frozen import frozen
from standpipe.model.plan import SourceLocation

#: Tokens that take no part in the syntax.
_LAYOUT = (tokenize.COMMENT, tokenize.NL)

#: Tokens after which a statement begins.
_BETWEEN_STATEMENTS = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


@frozen
class Definition:
    """The source of a function or class, with a line break at its end, and the location of its first line."""

    text: str
    location: SourceLocation

    def __str__(self) -> str:
        return self.text


def read_function(function: Callable[..., Any]) -> Definition:
    """Return the definition of a function without its decorators and its indentation.

    Raises:
        AuthoringError: if Python has no source of it, for example of a function in the interactive interpreter, or if
            it is a lambda or asynchronous.
    """
    name = getattr(function, "__name__", function)
    try:
        lines, first = inspect.getsourcelines(function)
        text = "".join(lines)
        code = inspect.unwrap(function).__code__
        _check_belongs(text, code)
        tokens = _tokens(text)
    except (OSError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise AuthoringError(
            f"The source of the function {name!r} was not found ({error}). A component is shipped as source: define "
            "its function with `def` in a file or a notebook cell."
        ) from error
    row = next((token.start[0] for token in _statement_starts(tokens) if token.string == "def"), None)
    if row is None:
        raise AuthoringError(
            f"The source of the function {name!r} cannot be shipped: expected a function that is defined with `def` at "
            "the start of a line, not a lambda and not `async def`."
        )
    text = "\n".join(_dedent(text, tokens).split("\n")[row - 1 :])
    return Definition(text, SourceLocation(absolute_path(code.co_filename), first + row - 1))


def read_class(cls: type) -> Definition:
    """Return the definition of a class with its decorators and without its indentation.

    Raises:
        AuthoringError: if Python has no source of it.
    """
    try:
        lines, first = inspect.getsourcelines(cls)
        text = "".join(lines)
        text = _dedent(text, _tokens(text))
        file = inspect.getsourcefile(cls) or inspect.getfile(cls)
    except (OSError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise AuthoringError(
            f"The source of the artifact class {cls.__qualname__} was not found: {error}. Define it in a file."
        ) from error
    return Definition(text, SourceLocation(absolute_path(file), first))


def _check_belongs(text: str, code: CodeType) -> None:
    """Raise an OSError if the text is that of other code.

    `inspect` looks a source up by the name of its file. All code that `exec` runs is in `<string>`, and since Python
    3.13 that name stands for the program of `python -c`, if there is one.
    """
    name = code.co_name
    if name.isidentifier() and not re.search(rf"^\s*(async\s+)?def\s+{name}\b", text, re.MULTILINE):
        raise OSError(f"{code.co_filename} holds other code")


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    return [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in _LAYOUT]


def _statement_starts(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[tokenize.TokenInfo]:
    """Yield the first token of each statement that begins a line."""
    start = tokenize.TokenInfo(tokenize.NEWLINE, "", (0, 0), (0, 0), "")
    for before, token in pairwise([start, *tokens]):
        if before.type in _BETWEEN_STATEMENTS and token.type not in _BETWEEN_STATEMENTS:
            yield token


def _dedent(text: str, tokens: list[tokenize.TokenInfo]) -> str:
    """Return code without the indentation of its first line.

    As in the KFP SDK (`kfp/dsl/component_factory.py`, 2.17.3), blank lines become empty. Unlike there, a line that
    begins inside a string stays as it is, since its indentation is part of the value, and a line with less indentation,
    such as a comment, does not keep the others from losing theirs.
    """
    lines = text.split("\n")
    indentation = re.match(r"[ \t]*", lines[0])[0]  # type: ignore[index]  # it matches every text
    values = set(_lines_of_values(tokens))
    return "\n".join(
        line if number in values else line.removeprefix(indentation) if line.strip(" \t") else ""
        for number, line in enumerate(lines, 1)
    )


def _lines_of_values(tokens: list[tokenize.TokenInfo]) -> Iterator[int]:
    """Yield the numbers of the lines that begin inside a string.

    Docstrings and other statements that are only a string are left out: they have no value, and the compiler of Python
    3.13 removes the indentation of docstrings itself.
    """
    depth = first = 0
    for before, token, after in zip([None, *tokens], tokens, tokens[1:], strict=False):
        name = tokenize.tok_name[token.type]
        if name.endswith("STRING_START"):  # since Python 3.12, an f-string is several tokens, which may nest
            first = first if depth else token.start[0]
            depth += 1
        elif name.endswith("STRING_END"):
            depth -= 1
            yield from range(first + 1, token.end[0] + 1)
        elif token.type == tokenize.STRING:
            begins_statement = before is None or before.type in _BETWEEN_STATEMENTS
            if not (begins_statement and after.type == tokenize.NEWLINE):
                yield from range(token.start[0] + 1, token.end[0] + 1)
