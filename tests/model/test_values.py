"""What fits where."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.model import kfp, values
from standpipe.model.types import ParameterType
from standpipe.model.values import ValueMismatch, check_json, coerce, parse_text, preview, to_text

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize("module", [values, kfp])
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
        ("", ParameterType.NUMBER_DOUBLE),
        ("maybe", ParameterType.BOOLEAN),
        ("{}", ParameterType.LIST),
        ("[", ParameterType.STRUCT),
    ],
)
def test_an_output_file_of_another_type_is_rejected(text: str, type_: ParameterType) -> None:
    with pytest.raises(ValueMismatch, match=str(type_)):
        parse_text(text, type_)


@given(json_values)
def test_text_accepts_any_json(value: object) -> None:
    assert isinstance(coerce(value, ParameterType.STRING), str)
    check_json(value)


@settings(max_examples=40)
@given(st.lists(json_values) | st.dictionaries(st.text(), json_values))
def test_lists_and_structs_are_restored_from_text(value: object) -> None:
    type_ = ParameterType.LIST if isinstance(value, list) else ParameterType.STRUCT
    assert parse_text(to_text(value), type_) == value


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
