"""The code blocks of a Markdown page, with the comments that say how they are tested."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "AGENTS.md"]
PAGES = [*PAGES, *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]

_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<comment>[^\n]*?) -->\n\n?)?"
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\n]*)\n"
    r"(?P<text>.*?)"
    r"^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced code block.

    `line` is the number, in the page, of the first line of its text. `comment` is the text of the HTML comment right
    before it, or empty.
    """

    page: Path
    line: int
    language: str
    text: str
    comment: str

    @property
    def location(self) -> str:
        """Return the page and the line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    return list(_blocks(page, page.read_text(encoding="utf-8")))


def _blocks(page: Path, content: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(content):
        line = content.count("\n", 0, match.start("text")) + 1
        text = textwrap.dedent(match["text"])
        yield Block(page, line, match["language"].strip(), text, match["comment"] or "")
