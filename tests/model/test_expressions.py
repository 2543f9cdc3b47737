"""Parsing of conditions and selectors."""

from __future__ import annotations

import pytest

from standpipe.model.cel_strings import quote
from standpipe.model.evaluation import evaluate, holds
from standpipe.model.expressions import ExpressionError, describe_cluster_reading, parse


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "1 2",
        "(1",
        "a == b == c",
        "a && ",
        "x[",
        "'open",
        "__import__('os').system('true')",
        "f(1)",
        "a.1",
        "1.2.3",
        "0x10",
        "a ? b : c",
        "[1]",
        "a == 'x' remainder",
        "\x00",
    ],
)
def test_an_invalid_expression_is_rejected(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


def test_nesting_has_a_limit_and_length_has_none() -> None:
    for text in (
        "(" * 5000 + "1" + ")" * 5000,
        "!" * 5000 + "true",
        "a" + ".b" * 5000,
        "-" * 5000 + "1",
        "int(" * 5000,
    ):
        with pytest.raises(ExpressionError):
            parse(text)
    assert holds(parse(" && ".join(["!(inputs.parameter_values['s'] == 'pasta')"] * 2000)), {"s": "pizza"})


@pytest.mark.parametrize(
    ("authored", "reading"),
    [
        ("plain", ""),
        ('a "quoted" text', ""),
        (r"C:\new", r"reads 'C:\new' for 'C:\\new'"),
        (r"\u0041", r"reads 'A' for '\\u0041'"),
        ("\\\\", r"reads '\\' for '\\\\'"),
        (r"C:\path", "cannot parse the text"),
        ("it's", "cannot parse the text"),
        ("two\nlines", "cannot parse the text"),
        ("a' || 'b' == 'b", "reads another condition"),
    ],
)
def test_what_a_cluster_reads_is_compared_with_what_the_author_wrote(authored: str, reading: str) -> None:
    expression = parse(f"s == '{authored}'", f"s == {quote(authored)}")

    assert evaluate(expression, {"s": authored}) is True
    assert evaluate(expression, {"s": authored + "x"}) is False
    assert describe_cluster_reading(expression) == reading


def test_a_text_in_a_compiled_file_means_what_a_cluster_reads() -> None:
    assert evaluate(parse(r"s == 'C:\new'"), {"s": "C:\new"}) is True
    assert evaluate(parse(r"s == 'C:\new'"), {"s": r"C:\new"}) is False
    assert evaluate(parse(r"s == r'C:\new'"), {"s": r"C:\new"}) is True
    assert evaluate(parse(r"s == 'C:\path'"), {"s": r"C:\path"}) is True  # no cluster can parse it


def test_expressions_are_compared_by_text_and_meaning() -> None:
    assert parse(r"s == 'C:\new'") != parse(r"s == 'C:\new'", r"s == 'C:\\new'")
    assert parse("s == 'it's'") == parse("s == 'it's'", r"s == 'it\'s'")


def test_expressions_are_compared_by_their_text() -> None:
    assert parse("a == 1") == parse("a == 1") != parse("a  == 1")
    assert str(parse("a  == 1")) == "a  == 1"
