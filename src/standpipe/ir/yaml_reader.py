"""YAML as `yaml_writer` and the KFP SDK write it -> plain data, in a tenth of the time that PyYAML and libyaml take.

Such files have mappings and lists in block style, each indented by two spaces, with all values in ASCII. Parts that
occur again, as those of equal tasks do, are read once. Everything else is `Unusual`: libyaml has to read the document,
so the result is always that of libyaml, and so are the errors.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from standpipe.ir.yaml_writer import is_plain
from standpipe.model.types import Json

_HEADER = re.compile(r"(?:#[^\n]*\n)*")

_LONGEST_KEY = 122
#: libyaml reads at most 100 levels here (`documents.MAX_DEPTH`); each has two spaces.
_DEEPEST_INDENT = 100
_KEY = r"[A-Za-z_][A-Za-z0-9_./{}-]*(?: [A-Za-z0-9_./{}]+)*|'(?:[^'\n]|'')+'"
_STARTS_MAPPING = re.compile(rf"(?:{_KEY}):(?: |$)")

_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
#: Text without quotes that means the same everywhere: it begins with no indicator, and has no comment or key. Its other
#: lines may begin with indicators.
_LINE_REST = r"(?:(?!: |:$| #| $)[ -~])*"
_FIRST_LINE = re.compile(rf"(?!---|\.\.\.|- |-$)[A-Za-z0-9_./(+$-]{_LINE_REST}")
_NEXT_LINE = re.compile(rf"[!-\"$-9;-~]{_LINE_REST}")


class Unusual(Exception):
    """The text is not written in this style."""


def read_yaml(text: str, read_scalar: Callable[[str], Json]) -> list[Json]:
    """Return the documents of a text. Equal parts of them may be one object.

    Args:
        text: YAML.
        read_scalar: reads a number, a quoted text, or text of several lines.

    Raises:
        Unusual: if libyaml has to read it.
    """
    header_end = _HEADER.match(text).end()  # type: ignore[union-attr]  # it also matches nothing
    body = text[header_end:]
    if not body.isascii() or not text.replace("\n", "").isprintable() or not body.endswith("\n"):
        raise Unusual
    reader = _Reader(read_scalar)
    return [reader.read_mapping(f"{document}\n", 0) for document in body[:-1].split("\n---\n")]


@functools.cache
def _entry_pattern(indent: int) -> re.Pattern[str]:
    """Return the pattern of an entry of a mapping: its key, and its value with more lines, or the lines below it."""
    deeper = f" {{{indent + 1}}}.*\n|\n"
    items = f" {{{indent}}}-.*\n"
    return re.compile(f" {{{indent}}}({_KEY}):(?: (.+)\n((?:{deeper})*)|\n((?:{deeper}|{items})+))")


@functools.cache
def _item_pattern(indent: int) -> re.Pattern[str]:
    """Return the pattern of an item of a list: its first line, and its other lines."""
    return re.compile(f" {{{indent}}}- (.+)\n((?: {{{indent + 1}}}.*\n|\n)*)")


class _Reader:
    """Reads collections from their lines, which are indented, and keeps them by these lines."""

    def __init__(self, read_scalar: Callable[[str], Json]) -> None:
        self._read_scalar = read_scalar
        self._collections: dict[tuple[str, int], Json] = {}
        self._scalars: dict[str, Json] = {}

    def read_mapping(self, lines: str, indent: int) -> Json:
        """Read the lines of a mapping, which begin with `indent` spaces."""
        key = lines, indent
        if key not in self._collections:
            self._collections[key] = self._read_entries(lines, indent)
        return self._collections[key]

    def _read_entries(self, lines: str, indent: int) -> dict[str, Json]:
        result: dict[str, Json] = {}
        for name, first, more, below in _split(lines, _entry_pattern(indent), indent):
            key = name if is_plain(name) and len(name) <= _LONGEST_KEY else self._read_key(name)
            if key in result:
                raise Unusual
            if first is not None:
                result[key] = self._read_value(first, more)
            elif below.startswith("-", indent):
                result[key] = self._read_list(below, indent)
            else:
                result[key] = self.read_mapping(below, indent + 2)
        return result

    def _read_list(self, lines: str, indent: int) -> Json:
        key = lines, -1 - indent
        if key not in self._collections:
            self._collections[key] = [
                self._read_item(first, more, indent) for first, more in _split(lines, _item_pattern(indent), indent)
            ]
        return self._collections[key]

    def _read_item(self, first: str, more: str, indent: int) -> Json:
        is_list = first.startswith("- ")
        if not is_list and not _STARTS_MAPPING.match(first):
            return self._read_value(first, more)
        lines = f"{' ' * (indent + 2)}{first}\n{more}"
        return self._read_list(lines, indent + 2) if is_list else self.read_mapping(lines, indent + 2)

    def _read_key(self, text: str) -> str:
        key = self._read_value(text, "")
        if len(text) > _LONGEST_KEY or not isinstance(key, str):
            raise Unusual
        return key

    def _read_value(self, first: str, more: str) -> Json:
        """Read a value that is not a collection in block style. `more` has its lines after the first."""
        if not more and is_plain(first):
            return first
        text = f"{first}\n{more}" if more else first
        if text not in self._scalars:
            if not _QUOTED.fullmatch(text.rstrip("\n")) and not _is_unquoted(text) and text not in ("{}", "[]"):
                raise Unusual
            self._scalars[text] = self._read_scalar(text)
        return self._scalars[text]


def _split(lines: str, pattern: re.Pattern[str], indent: int) -> Iterator[tuple[str, ...]]:
    """Yield the groups of a pattern that matches one entry or item after another."""
    if indent > _DEEPEST_INDENT or not lines:
        raise Unusual
    position = 0
    while position < len(lines):
        match = pattern.match(lines, position)
        if match is None:
            raise Unusual
        yield match.groups()
        position = match.end()


def _is_unquoted(text: str) -> bool:
    first, *more = text.removesuffix("\n").split("\n")
    return bool(_FIRST_LINE.fullmatch(first)) and all(_NEXT_LINE.fullmatch(line.lstrip(" ")) for line in more)
