"""Plain data -> YAML text, byte for byte as `yaml.safe_dump_all` writes it, in a twentieth of its time.

PyYAML needs 40 µs for each value, in Python; its C library breaks lines at other places. Here, mappings and lists are
written directly, and so is text without quotes, and source code. All other text is written by PyYAML, each only once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from standpipe.model.types import Json

#: Text that PyYAML writes without quotes, unless it is one of `_WORDS`. If it is too long, it breaks lines at spaces.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./{}-]*(?: [A-Za-z0-9_./{}]+)*", re.ASCII)
_WORDS = frozenset(
    spelling
    for word in ("yes", "no", "on", "off", "true", "false", "null")
    for spelling in (word, word.upper(), word.capitalize())
)
#: PyYAML writes longer keys, and those with line breaks, in another notation. It counts 5 characters for a tag.
_LONGEST_KEY = 122
_LINE_BREAK = re.compile("[\n\x85\u2028\u2029]")
_BEST_WIDTH = 80
_CODE = re.compile(r"[ -~\n]+")
_CODE_PARTS = re.compile(r'[\n"\\ ]|[^\n"\\ ]+')
_ESCAPES = {"\n": "\\n", '"': '\\"', "\\": "\\\\"}


class _Unusual(Exception):
    """PyYAML must write the documents."""


def write_yaml(documents: Sequence[dict[str, Json]]) -> str:
    """Return documents as YAML with sorted keys.

    Args:
        documents: JSON, without NaN and infinity. An object that occurs at several places is written at each of them.
    """
    writer = _Writer()
    try:
        return "---\n".join(writer.write_document(document) for document in documents)
    except _Unusual:
        text: str = yaml.dump_all(documents, Dumper=_DumperWithoutAliases, sort_keys=True)
        return text


class _DumperWithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


class _Writer:
    """Writes collections as lines. What occurs again, as the parts of equal tasks do, is written only once."""

    def __init__(self) -> None:
        self._lines: dict[tuple[int, int], str] = {}
        self._scalars: dict[tuple[str, int, int], str] = {}

    def write_document(self, document: dict[str, Json]) -> str:
        if not document:
            raise _Unusual
        return self._write_collection(document, 0)

    def _write_collection(self, collection: Json, indent: int) -> str:
        """Return the lines of a mapping or list that is not empty. `indent` is the number of spaces before each."""
        key = id(collection), indent
        lines = self._lines.get(key)
        if lines is None:
            write = self._write_mapping if type(collection) is dict else self._write_list
            lines = self._lines[key] = write(collection, indent)
        return lines

    def _write_mapping(self, mapping: dict[str, Json], indent: int) -> str:
        lines, margin = [], " " * indent
        for name in sorted(mapping):
            value = mapping[name]
            head = f"{margin}{name if is_plain(name) and len(name) <= _LONGEST_KEY else self._write_key(name)}:"
            if value and type(value) is dict:
                lines.append(f"{head}\n{self._write_collection(value, indent + 2)}")
            elif value and type(value) is list:
                lines.append(f"{head}\n{self._write_collection(value, indent)}")
            else:
                lines.append(f"{head} {self._write_scalar(value, len(head), indent)}\n")
        return "".join(lines)

    def _write_list(self, items: list[Json], indent: int) -> str:
        lines, margin = [], " " * indent
        for item in items:
            if item and type(item) in (dict, list):
                lines.append(f"{margin}- {self._write_collection(item, indent + 2)[indent + 2 :]}")
            else:
                lines.append(f"{margin}- {self._write_scalar(item, indent + 1, indent)}\n")
        return "".join(lines)

    def _write_key(self, name: str) -> str:
        if not name or len(name) > _LONGEST_KEY or _LINE_BREAK.search(name):
            raise _Unusual
        key = name, 0, -1
        if key not in self._scalars:
            self._scalars[key] = _dump({name: None}).removesuffix(": null\n")
        return self._scalars[key]

    def _write_scalar(self, value: Json, column: int, indent: int) -> str:
        """Return a value that is not a collection, or an empty one.

        Args:
            value: the value.
            column: the number of characters before the value in its line, without the space.
            indent: the number of spaces at the beginning of the line.
        """
        if type(value) is str:
            if is_plain(value) and (column + len(value) < _BEST_WIDTH or " " not in value):
                return value
            key = value, column, indent
            text = self._scalars.get(key)
            if text is None:
                write = _write_code if _is_code(value) else _write_text
                text = self._scalars[key] = write(value, column, indent)
            return text
        if value is None:
            return "null"
        if type(value) is bool:
            return "true" if value else "false"
        text = repr(value)
        return text if type(value) is int or "." in text else _dump([value])[2:-1]  # 1e+20 is 1.0e+20 in YAML


def _dump(data: Json) -> str:
    text: str = yaml.dump(data, Dumper=yaml.SafeDumper)
    return text


def is_plain(text: str) -> bool:
    """Return whether text is written without quotes, and read as text: one line that no other type has."""
    return _PLAIN.fullmatch(text) is not None and text not in _WORDS


def _is_code(text: str) -> bool:
    """Return whether it is text in ASCII that only double quotes can hold: it has spaces at the ends of lines."""
    return ("\n " in text or " \n" in text) and _CODE.fullmatch(text) is not None


def _write_code(text: str, column: int, indent: int) -> str:
    """Return text in double quotes. As by PyYAML, lines end at a space or an escape behind column 80."""
    parts, column, last = ['"'], column + 2, len(text) - 1
    line_break = "\\\n" + " " * (indent + 2)
    after_escape = False
    for match in _CODE_PARTS.finditer(text):
        part, position = match[0], match.start()
        escape = _ESCAPES.get(part)
        if escape:
            parts.append(escape)
            column += 2
        width = column - 1 if escape else column
        if width > _BEST_WIDTH and 0 < position < last and (escape or after_escape or part == " "):
            parts.append(line_break)
            column = indent + 2
            if text[position + 1 if escape else position] == " ":
                parts.append("\\")
                column += 1
        if not escape:
            parts.append(part)
            column += len(part)
        after_escape = bool(escape)
    return "".join([*parts, '"'])


def _write_text(text: str, column: int, indent: int) -> str:
    """Return text as PyYAML writes it at this place: in an item of a list, or the value of a key, of the same width."""
    data: Json = [text] if column == indent + 1 else {"k" * (column - indent - 1): text}
    outer = 0 if isinstance(data, dict) else 2  # a list without a mapping around it has other line breaks
    for _ in range(0, indent + outer, 2):
        data = {"k": data}
    prefix = sum(width + len("k:\n") for width in range(0, indent + outer, 2))
    return _dump(data)[prefix + column + 1 : -1]
