"""What fits where."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.model import go_text, kfp, values
from standpipe.model.json_values import check_json, parse_text
from standpipe.model.types import ParameterType
from standpipe.model.values import ValueMismatch, coerce, preview, to_text

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize("module", [values, kfp, go_text])
def test_the_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("5\n", ParameterType.NUMBER_INTEGER, 5),
        (" 1e3 ", ParameterType.NUMBER_DOUBLE, 1000.0),
        ("True", ParameterType.BOOLEAN, True),
        ("f", ParameterType.BOOLEAN, False),
        ("[1, 2.5]", ParameterType.LIST, [1, 2.5]),
        ('{"a": {}}', ParameterType.STRUCT, {"a": {}}),
        (" as it is\n", ParameterType.STRING, " as it is\n"),
        (".5\n", ParameterType.NUMBER_DOUBLE, 0.5),
        ("5.", ParameterType.NUMBER_DOUBLE, 5.0),
        ("-.5E-3", ParameterType.NUMBER_DOUBLE, -0.0005),
        ("5", ParameterType.NUMBER_DOUBLE, 5.0),
        ("-Infinity", ParameterType.NUMBER_DOUBLE, float("-inf")),
        ("inf", ParameterType.NUMBER_DOUBLE, float("inf")),
        ("007", ParameterType.NUMBER_INTEGER, 7),
        ("+5\r\n", ParameterType.NUMBER_INTEGER, 5),
        ("-9223372036854775808", ParameterType.NUMBER_INTEGER, -(2**63)),
        (" 1\t", ParameterType.BOOLEAN, True),
        (" t", ParameterType.BOOLEAN, True),
        ("FALSE", ParameterType.BOOLEAN, False),
        ("\n[1]\n", ParameterType.LIST, [1]),
    ],
)
def test_output_files_are_read_by_their_type(text: str, type_: ParameterType, value: object) -> None:
    read = parse_text(text, type_)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("five", ParameterType.NUMBER_INTEGER),
        ("5.0", ParameterType.NUMBER_INTEGER),
        ("1e3", ParameterType.NUMBER_INTEGER),
        ("1_000", ParameterType.NUMBER_INTEGER),
        ("0x10", ParameterType.NUMBER_INTEGER),
        ("\N{ARABIC-INDIC DIGIT FIVE}", ParameterType.NUMBER_INTEGER),
        ("9223372036854775808", ParameterType.NUMBER_INTEGER),
        ("9" * 5000, ParameterType.NUMBER_INTEGER),
        ("", ParameterType.NUMBER_INTEGER),
        ("1_000.5", ParameterType.NUMBER_DOUBLE),
        ("1e999", ParameterType.NUMBER_DOUBLE),
        (".", ParameterType.NUMBER_DOUBLE),
        ("1,5", ParameterType.NUMBER_DOUBLE),
        ("tRUE", ParameterType.BOOLEAN),
        ("yes", ParameterType.BOOLEAN),
        ("", ParameterType.NUMBER_DOUBLE),
        ("maybe", ParameterType.BOOLEAN),
        ("{}", ParameterType.LIST),
        ("[", ParameterType.STRUCT),
    ],
)
def test_an_output_file_of_another_type_is_rejected(text: str, type_: ParameterType) -> None:
    with pytest.raises(ValueMismatch, match=type_.label):
        parse_text(text, type_)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5"),
        (-0.0, "-0"),
        (1e21, "1000000000000000000000"),
        (1.2345678901234566e25, "12345678901234566000000000"),
        (1e16, "10000000000000000"),
        (1e-7, "0.0000001"),
        (1.5e-7, "0.00000015"),
        (5e-324, "0." + "0" * 323 + "5"),
        (2**60 + 1, "1152921504606846977"),
        (False, "false"),
        ([1.0, 0.1, 1e-6, 1.5e-7, 1e20, 1e21, 1e-10], "[1,0.1,0.000001,1.5e-7,100000000000000000000,1e+21,1e-10]"),
        ({"b": {"z": None, "a": True}, "B": ()}, '{"B":[],"b":{"a":true,"z":null}}'),
        (["<a href='x'>&\u2028", 'é"\\\n\x01'], '["\\u003ca href=\'x\'\\u003e\\u0026\\u2028","é\\"\\\\\\n\\u0001"]'),
    ],
)
def test_values_are_written_as_go_writes_them(value: object, text: str) -> None:
    assert to_text(value) == text


@given(st.floats(allow_nan=False))
def test_a_double_is_restored_from_its_text(value: float) -> None:
    text = to_text(value)
    assert "e" not in text
    assert parse_text(text, ParameterType.NUMBER_DOUBLE) == value


@given(json_values)
def test_text_accepts_any_json(value: object) -> None:
    assert isinstance(coerce(value, ParameterType.STRING), str)
    check_json(value)


@settings(max_examples=40)
@given(st.lists(json_values) | st.dictionaries(st.text(), json_values))
def test_lists_and_structs_are_restored_from_text(value: object) -> None:
    type_ = ParameterType.LIST if isinstance(value, list) else ParameterType.STRUCT
    assert same(parse_text(to_text(value), type_), value)


def same(read: object, written: object) -> bool:
    """Return whether two values are equal. A double above 2**53 is read as the integer that has its shortest text."""
    if isinstance(written, list):
        return isinstance(read, list) and len(read) == len(written) and all(map(same, read, written))
    if isinstance(written, dict):
        return isinstance(read, dict) and read.keys() == written.keys() and all(same(read[k], written[k]) for k in read)
    return float(read) == written if isinstance(written, float) else read == written  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": [1, {2}]}, r"the value\['a'\]\[1\] is of type set: expected"),
        ([float("nan")], r"the value\[0\] is nan"),
        ({1: 2}, "the key 1"),
    ],
)
def test_what_json_cannot_hold_is_named_by_its_path(value: object, says: str) -> None:
    with pytest.raises(ValueMismatch, match=says):
        check_json(value)


def test_a_long_value_is_cut_for_messages() -> None:
    assert len(preview("x" * 1000)) < 100
