"""Parsing of conditions and selectors."""

from __future__ import annotations

import pytest

from standpipe.model.evaluation import holds
from standpipe.model.expressions import ExpressionError, parse


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


def test_expressions_are_compared_by_their_text() -> None:
    assert parse("a == 1") == parse("a == 1") != parse("a  == 1")
    assert str(parse("a  == 1")) == "a  == 1"
