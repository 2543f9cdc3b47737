"""The lines of fields in a compiled YAML file, without parsing it: compiled files are in block style."""

from __future__ import annotations

import re

_KEY = re.compile(r"(?P<indent> *)(?P<list>- )?(?P<key>'[^']*'|\"[^\"]*\"|[^\s#'\"][^:]*):(?:\s|$)")


class CompiledLines:
    """The lines of a compiled file. A file in JSON, or one that cannot be read, has no lines of fields."""

    def __init__(self, file: str) -> None:
        self._lines = self._read(file) if file.endswith((".yaml", ".yml")) else {}

    def find(self, path: str) -> int:
        """Return the line of a field, or of the closest one above it; 0 if there is none.

        The settings for Kubernetes are in another document of the file, whose fields have the same paths.

        Args:
            path: the path of the field, such as `root.dag.tasks.train`.
        """
        while path and path not in self._lines:
            path = path.rpartition(".")[0]
        return self._lines.get(path, 0)

    def _read(self, file: str) -> dict[str, int]:
        try:
            with open(file, encoding="utf-8") as opened:
                lines = opened.read().split("\n")
        except (OSError, ValueError):
            return {}  # the loader has said why
        found: dict[str, int] = {}
        stack: list[tuple[int, str]] = []
        text_indent = -1  # of the key whose text of several lines this is
        for number, line in enumerate(lines, start=1):
            indent = len(line) - len(line.lstrip(" "))
            if not line.strip() or (0 <= text_indent < indent):
                continue
            text_indent = -1
            if line.startswith("---"):
                stack.clear()
            match = _KEY.match(line)
            if match is None or match["list"]:
                continue
            while stack and stack[-1][0] >= indent:
                stack.pop()
            stack.append((indent, match["key"].strip("'\"")))
            found.setdefault(".".join(key for _, key in stack), number)
            if line.rstrip().endswith(("|", "|-", "|+", ">", ">-", ">+")):
                text_indent = indent
        return found
