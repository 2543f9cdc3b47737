"""Evaluation of conditions and selectors."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from standpipe.errors import StandpipeError
from standpipe.model import evaluation
from standpipe.model.evaluation import evaluate, holds, select
from standpipe.model.expressions import FUNCTIONS, ExpressionError, parse

INPUTS = {"n": 5, "x": 2.5, "s": "pizza", "quoted": "it's", "b": True, "big": 2**60, "empty": "", "l": [1]}


def condition(text: str, **inputs: Any) -> bool:
    return holds(parse(text), {**INPUTS, **inputs})


def ref(name: str) -> str:
    return f"inputs.parameter_values['{name}']"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"int({ref('n')}) == 5", True),
        (f"int({ref('n')}) > 5", False),
        (f"int({ref('n')}) >= 5", True),
        (f"int({ref('n')}) != 4", True),
        (f"{ref('x')} <= 2.5", True),
        (f"{ref('x')} < 1e-07", False),
        (f"{ref('x')} > -1.5", True),
        (f"double(int({ref('n')})) == 5.0", True),
        (f"{ref('s')} == 'pizza'", True),
        (f"'pizza' == {ref('s')}", True),
        (f"{ref('s')} < 'quiche'", True),
        (f"!({ref('s')} == 'pizza')", False),
        (f"!({ref('s')} == 'pasta') && int({ref('n')}) == 5", True),
        (f"!({ref('s')} == 'pizza') && int({ref('n')}) == 5", False),
        (f"{ref('b')} == true", True),
        (f"{ref('b')} == false", False),
        (f"{ref('empty')} == ''", True),
        (f"int({ref('big')}) == {2**60}", True),
        (f"int({ref('big')}) == {2**60 + 1}", False),
        # what the compiler does not emit, and authors of files may
        (f"int({ref('n')}) == 4 || {ref('b')}", True),
        (f"({ref('b')} && (int({ref('n')}) > 4))", True),
        ('inputs.parameter_values.s == "pizza"', True),
        (f"size({ref('s')}) == 5", True),
        (f"string({ref('n')}) == '5'", True),
        (f"bool('true') == {ref('b')}", True),
    ],
)
def test_a_condition_is_evaluated_over_the_inputs(text: str, expected: bool) -> None:
    assert condition(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "it's",
        "'",
        "''",
        "a' && 'b",
        "don't (really')",
        "he said 'no' == maybe",
        "with \"both\" kinds of 'quotes'",
        "back\\slash \\d",
        "trailing \\",
        "{{$.foo}} %s {x}",
        "zwei\nZeilen",
        "&& || ! ( ) [ ] == <",
        "parameter_values['x']",
        "é ñ 漢 \U0001f600",
        "",
    ],
)
def test_text_that_the_compiler_does_not_escape_means_itself(text: str) -> None:
    assert condition(f"{ref('s')} == '{text}'", s=text)
    assert not condition(f"{ref('s')} == '{text}'", s=text + "x")
    assert condition(f"!({ref('s')} == '{text}') && int({ref('n')}) == 5", s="other")
    assert condition(f"'{text}' != {ref('s')}", s="other")


@given(st.text())
@example("1 == 1 || true")
def test_a_value_is_data_whatever_stands_in_it(value: str) -> None:
    assert condition(f"{ref('s')} == {ref('t')}", s=value, t=value)
    assert not condition(f"{ref('s')} == 'never this'", s=value)
    assert condition(f"{ref('s')} != {ref('t')}", s=value, t=value + "!")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ref("s"), "expected a boolean from the condition"),
        (ref("missing") + " == 1", "unknown field 'missing'"),
        (f"{ref('s')} > 1", "cannot order 'pizza' (str) and 1 (int)"),
        (f"int({ref('s')}) == 1", "int() cannot convert 'pizza'"),
        (f"int({ref('b')}) == 1", "int() expected a number or text"),
        (f"{ref('s')} && true", "expected a boolean as an operand of &&"),
        (f"!{ref('n')}", "expected a boolean as an operand of !"),
        ("unknown == 1", "unknown name 'unknown'"),
        (f"'int({ref('n')})' == '5'", "Compare it with a value of its own type"),
        (f"'{ref('b')}' == 'x'", "Compare it with a value of its own type"),
        ("double('x') > 1.0", "double() cannot convert 'x'"),
        (f"{ref('l')}['a'] == 1", "cannot read 'a' of [1]"),
        ("int(double('inf')) == 1", "int() cannot convert inf"),
    ],
)
def test_a_condition_that_cannot_be_evaluated_says_why(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        condition(text)
    assert words in str(caught.value)


def test_every_function_of_the_language_is_implemented() -> None:
    assert tuple(evaluation._FUNCTIONS) == FUNCTIONS


def test_values_of_different_types_are_not_equal() -> None:
    assert not condition(f"{ref('b')} == 1")
    assert not condition(f"{ref('n')} == '5'")
    assert condition(f"{ref('n')} == 5.0")
    assert condition(f"{ref('l')} != {ref('s')}")


def test_one_operand_that_decides_is_enough() -> None:
    assert not condition(f"{ref('missing')} == 1 && {ref('s')} == 'pasta'")
    assert condition(f"{ref('missing')} == 1 || {ref('s')} == 'pizza'")


@pytest.mark.parametrize(
    ("selector", "value", "part"),
    [
        ('parseJson(string_value)["a"]', {"a": 3, "b": 1}, 3),
        ('parseJson(string_value)["a"]', '{"a": [1, 2.5]}', [1, 2.5]),
        ("parseJson(string_value)[1]", [10, 20], 20),
        ('parseJson(string_value)["a"]["b"]', {"a": {"b": "é'"}}, "é'"),
        ("struct_value.a", {"a": True}, True),
        ("list_value[0]", ["x"], "x"),
        ("string_value", 3, "3"),
        ("number_value", 3.5, 3.5),
        ("bool_value", False, False),
        ("null_value", None, None),
    ],
)
def test_a_selector_takes_a_part_of_a_value(selector: str, value: Any, part: Any) -> None:
    got = select(parse(selector), value)
    assert got == part
    assert type(got) is type(part)


@pytest.mark.parametrize(
    ("selector", "value", "words"),
    [
        ('parseJson(string_value)["c"]', {"a": 3}, "unknown field 'c', expected one of 'a'"),
        ('parseJson(string_value)["c"]', "text", "invalid JSON 'text'"),
        ('parseJson(string_value)["c"]', [1], "cannot read 'c' of [1], which is list"),
        ("parseJson(string_value)[2]", [1], "index 2 is out of range for a list of length 1"),
        ("struct_value.a", [1], "unknown name 'struct_value'"),
    ],
)
def test_a_part_that_is_not_there_is_an_error(selector: str, value: Any, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        select(parse(selector), value)
    assert words in str(caught.value)


SYMBOLS = ["&&", "||", "==", "!=", "<", ">=", *"()[].!-'\" \n\\"]
WORDS = ["true", "null", "int(", "parseJson(", "string_value", "inputs", "1", "2.5", "'a'", "9" * 5000, "1e999"]
PIECES = st.sampled_from(SYMBOLS + WORDS)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)), st.dictionaries(st.text(), st.integers()))
def test_no_text_raises_anything_but_our_own_errors(text: str, inputs: dict[str, int]) -> None:
    with contextlib.suppress(StandpipeError):
        evaluate(parse(text), {"inputs": {"parameter_values": inputs}, "string_value": text})
