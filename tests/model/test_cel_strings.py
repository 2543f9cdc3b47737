"""Text in quotes, as CEL writes it."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standpipe.model import cel_strings
from standpipe.model.cel_strings import LITERAL, quote, unquote


def read(literal: str) -> str:
    match = re.fullmatch(LITERAL, literal)
    assert match, literal
    return unquote(match)


def test_the_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(cel_strings).failed == 0


@given(st.text())
def test_a_text_is_restored_from_its_literal(text: str) -> None:
    assert read(quote(text)) == text


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (r"'\a\b\f\n\r\t\v'", "\a\b\f\n\r\t\v"),
        (r"'\\ \' \" \` \?'", "\\ ' \" ` ?"),
        (r"'\x41\X42\u00e9\U0001F600'", "AB\xe9\N{GRINNING FACE}"),
        (r"'\101\377'", "A\xff"),
        (r"'\ud800'", "\ufffd"),
        (r'''"it's \"here\""''', 'it\'s "here"'),
        (r"""'''a\n'b''\''''""", "a\n'b'''"),
        ('"""\n"two" lines"""', '\n"two" lines'),
        (r"r'C:\new'", r"C:\new"),
        (r'R"\"', "\\"),
        ("r'''a\n\\n'''", "a\n\\n"),
        ("''", ""),
        ("''''''", ""),
    ],
)
def test_a_literal_has_the_value_that_cel_gives_it(literal: str, text: str) -> None:
    assert read(literal) == text


@pytest.mark.parametrize(
    "literal",
    [
        *(r"'\p'", r"'\x4'", r"'\u004'", r"'\400'", r"'\18'", r"'\U00110000'", r"'\'"),
        *("'a\nb'", "'it's'", "'open", "r'a'b'"),
    ],
)
def test_what_cel_cannot_parse_is_no_literal(literal: str) -> None:
    assert not re.fullmatch(LITERAL, literal)
