"""The words of the project: those that its glossary replaces by standard terms stand nowhere in sources and docs.

The glossary is docs/contributing/glossary.md. The words here are those of its column "do not write", as far as a
program can tell them from their ordinary use.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: What is not written, and what is written instead.
PHRASES: dict[str, str] = {
    r"go(es|ing)? on|went on": "resume, continue, is running",
    r"(is|are|be|was|were) done again": "rerun",
    r"anew|once more": "again, a new run",
    r"tr(y|ies|ied|ying) again": "retry, attempt N of M",
    r"(come|comes|came|coming) to (an|its|their|a good) end": "end, stop",
    r"tak(e|es|en|ing) (it |them )?down": "stop, remove",
    r"(?<![\"`])seal(s|ed|er|ing)?": "checksum",
    r"stor(y|ies)": "history, failure report, transitions",
    r"last words": "error details, the end of its log",
    r"(is|are) wanted": "expected …, got …",
    r"(?<!there )(is|are|was|were) no (?!longer|more|other|limit|such)[a-z`'\"]+": "is not a …, expected …",
    r"one too many": "expected …, got …",
    r"look(s|ed|ing)? back": "run history",
    r"on purpose|to go wrong": "fault injection",
    r"elsewhere": "the path, another machine",
    r"whoever|whatever becomes": "the caller, the process that",
    r"so to say|of ours": "nothing",
    r"authors?' own": "user-provided",
}

#: Participles and pronouns that are no names of things.
NAMES = {"anew", "asked", "given", "gone", "lost", "said", "told"}

#: Where a word is not ours to choose, with the reason.
EXEMPT = {
    "src/standpipe/dsl/functions/notebook_program.py": "its text is part of compiled documents",
}

_ANY = re.compile("|".join(rf"(?:\b(?:{phrase})\b)" for phrase in PHRASES), re.IGNORECASE)

SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def unwanted_phrases(text: str) -> list[str]:
    """Return the phrases of a text that the glossary replaces, with their lines."""
    lines = enumerate(text.splitlines(), start=1)
    return [f"line {number}: {match[0]!r}" for number, line in lines for match in _ANY.finditer(line)]


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield the comments and texts of a Python source, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            yield from enumerate(token.string.splitlines(), start=token.start[0])


def unwanted_names(tree: ast.AST) -> list[str]:
    """Return the variables, parameters, attributes and functions whose names are no names of things."""
    names: set[tuple[int, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add((node.lineno, node.id))
        elif isinstance(node, ast.arg):
            names.add((node.lineno, node.arg))
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add((node.lineno, node.name))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add((node.lineno, node.attr))
    return [f"line {line}: the name {name!r}" for line, name in sorted(names) if name.strip("_") in NAMES]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_source_is_written_in_the_words_of_the_glossary(path: Path) -> None:
    if name_of(path) in EXEMPT:
        return
    source = path.read_text(encoding="utf-8")

    phrases = [f"line {line}: {match[0]!r}" for line, text in prose(source) for match in _ANY.finditer(text)]
    assert phrases == []
    assert unwanted_names(ast.parse(source)) == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_page_is_written_in_the_words_of_the_glossary(path: Path) -> None:
    if path.name == "glossary.md":
        return  # it lists the words
    text = path.read_text(encoding="utf-8")
    assert unwanted_phrases(text) == []


def test_unwanted_phrases_are_seen() -> None:
    assert unwanted_phrases("A run goes on.\nIt is no longer there.\nThe seal is no number.") == [
        "line 1: 'goes on'",
        "line 3: 'seal'",
        "line 3: 'is no number'",
    ]


def test_unwanted_names_are_seen() -> None:
    tree = ast.parse("def f(given):\n    told = given\n    self._lost = told\n    return told.gone\n")

    assert unwanted_names(tree) == [
        "line 1: the name 'given'",
        "line 2: the name 'told'",
        "line 3: the name '_lost'",
    ]
