"""The Python program of a component, as the rules read it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from standpipe.model.plan import Container, PythonFunction, SourceLocation
from standpipe.model.python_source import parse_source
from standpipe.support.properties import cached_property

#: What a program with embedded files has (`dsl.functions.embedding`): modules in them can be imported.
_EMBEDDED = "__KFP_EMBEDDED_ARCHIVE_B64"

_PACKAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Program:
    """A Python program and the image that runs it."""

    def __init__(self, function: PythonFunction, image: str) -> None:
        self.function = function
        self.image = image

    @classmethod
    def of(cls, container: Container) -> Program | None:
        """Return the program of a container; None if it is another command."""
        if not isinstance(container.program, PythonFunction):
            return None
        return cls(container.program, str(container.image))

    @cached_property
    def tree(self) -> ast.Module | None:
        """The syntax tree; None if this version of Python cannot parse it."""
        try:
            return parse_source(self.function.source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    @cached_property
    def definition(self) -> ast.FunctionDef | None:
        """The function that is called."""
        nodes = self.tree.body if self.tree else []
        named = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == self.function.name]
        return named[-1] if named else None

    @cached_property
    def python(self) -> tuple[int, int] | None:
        """The version of Python in the image, for official images with a tag such as `python:3.9-slim`."""
        match = re.fullmatch(r"(?:docker\.io/)?(?:library/)?python:(3)\.(\d+)(?:[.a-z0-9-]*)(?:@.*)?", self.image)
        return (int(match[1]), int(match[2])) if match else None

    @property
    def has_embedded_files(self) -> bool:
        return _EMBEDDED in self.function.source

    @cached_property
    def package_names(self) -> set[str]:
        """The names of the packages that are installed, as modules are written."""
        matches = (_PACKAGE_NAME.match(package) for package in self.function.packages)
        return {match[0].lower().replace("-", "_") for match in matches if match}

    def nodes(self) -> Iterator[ast.AST]:
        """Yield the nodes of the syntax tree."""
        return ast.walk(self.tree) if self.tree else iter(())

    def author_nodes(self) -> Iterator[ast.AST]:
        """Yield the nodes of the functions and classes that the program defines: without imports that KFP adds."""
        for node in self.tree.body if self.tree else ():
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from ast.walk(node)

    def locate(self, line: int) -> SourceLocation | None:
        """Return where a line of the program comes from; None if it is not from a file of the author."""
        for section in self.function.sections:
            if section.start <= line < section.start + section.count:
                return SourceLocation(section.location.file, section.location.line + line - section.start)
        return None

    def line_of(self, name: str) -> int:
        """Return the first line in which a name is used; 0 if it is not."""
        lines = [node.lineno for node in self.nodes() if isinstance(node, ast.Name) and node.id == name]
        return min(lines, default=0)
