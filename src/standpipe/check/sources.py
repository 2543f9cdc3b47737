"""The author's files: their lines, and which lines belong to a statement."""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Iterator

from standpipe.model.frozen import frozen
from standpipe.model.plan import SourceLocation
from standpipe.model.python_source import without_warnings
from standpipe.support.properties import cached_property

#: `# standpipe: noqa`, or with the ids of rules after it, which commas or spaces separate.
_COMMENT = re.compile(r"#\s*standpipe:\s*noqa\b(?P<codes>[:\s]*(?:[A-Z]+[0-9]+[,\s]*)*)", re.IGNORECASE)
_CODE = re.compile(r"[A-Z]+[0-9]+", re.IGNORECASE)


@frozen
class Suppression:
    """A comment that suppresses findings: `column` is counted from 1, and no `codes` stand for all rules."""

    line: int
    column: int
    text: str
    codes: tuple[str, ...]


class SourceFile:
    """A file of the author. A file that cannot be read has no lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines = linecache.getlines(name)  # it has the cells of notebooks, too

    def line(self, number: int) -> str:
        """Return a line without its line break; empty if there is none."""
        return self.lines[number - 1].rstrip("\r\n") if 0 < number <= len(self.lines) else ""

    @cached_property
    def suppressions(self) -> dict[int, Suppression]:
        """The comments that suppress findings, by their lines."""
        return {found.line: found for found in self._find_suppressions()}

    def span(self, line: int) -> range:
        """Return the lines of the statement that begins at or holds a line: of a function or a block, its head."""
        spans = [span for span in self._spans if line in span]
        return min(spans, key=len, default=range(line, line + 1))

    def _find_suppressions(self) -> Iterator[Suppression]:
        for number, text in enumerate(self.lines, start=1):
            match = _COMMENT.search(text)
            if match:
                codes = tuple(code.upper() for code in _CODE.findall(match["codes"]))
                yield Suppression(number, match.start() + 1, match[0].rstrip(), codes)

    @cached_property
    def _spans(self) -> list[range]:
        """The lines of all statements."""
        try:
            with without_warnings():
                tree = ast.parse("".join(self.lines), self.name)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []
        return [_span(node) for node in ast.walk(tree) if isinstance(node, ast.stmt)]


def find_mark(line: str, mark: str) -> int:
    """Return where a mark is in a line, not within a longer word; -1 if it is not there."""
    matches = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(mark)}(?!\w)", line)] if mark else []
    quoted = [start for start in matches if line[start - 1 : start] in ("'", '"')]
    return next(iter((*quoted, *matches)), -1)


class SourceFiles:
    """The files that locations name, each read once."""

    def __init__(self) -> None:
        self._files: dict[str, SourceFile] = {}

    def __getitem__(self, name: str) -> SourceFile:
        if name not in self._files:
            self._files[name] = SourceFile(name)
        return self._files[name]

    def find_mark(self, location: SourceLocation, mark: str, *, is_exact: bool) -> SourceLocation:
        """Return the location of the line with a mark: that of a location, or another one of its statement.

        Args:
            location: the location, which is the result if no line has the mark.
            mark: the text. As a string of the author it counts more.
            is_exact: whether other lines of the statement do not matter.
        """
        file = self[location.file]
        if is_exact:
            return location
        lines = [location.line, *file.span(location.line)]
        for text in (f'"{mark}"', f"'{mark}'", mark):
            for line in lines:
                if find_mark(file.line(line), text) >= 0:
                    return SourceLocation(location.file, line)
        return location

    def comments_at(self, location: SourceLocation) -> Iterator[Suppression]:
        """Yield the comments that suppress findings at the statement of a location."""
        file = self[location.file]
        if file.suppressions:
            for line in file.span(location.line):
                if line in file.suppressions:
                    yield file.suppressions[line]


def _span(node: ast.stmt) -> range:
    decorators = getattr(node, "decorator_list", [])
    first = min((each.lineno for each in decorators), default=node.lineno)
    body = getattr(node, "body", None)
    last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno or node.lineno
    return range(first, max(last, node.lineno) + 1)
