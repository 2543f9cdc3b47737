from __future__ import annotations

import pytest

from standpipe.errors import SpecError, UnsupportedError
from standpipe.ir.section import Section
from standpipe.model.expressions import parse


def test_paths() -> None:
    file = Section({"a": {"b": [{"c": 1}, {}]}, "t": {"x": {"y": 1}}})

    inner = file.take_section("a")

    assert inner.path_of("c") == "a.c"
    assert [entry.path for entry in inner.take_list("b")] == ["a.b[0]", "a.b[1]"]
    assert {name: section.path for name, section in file.take_sections("t").items()} == {"x": "t.x"}
    assert file.take_section("none").path == "none"


def test_fields_that_were_not_taken_are_reported() -> None:
    section = Section({"a": 1, "b": 2}, "root")

    assert section.take("a") == 1
    assert "b" in section
    with pytest.raises(UnsupportedError, match=r"^root\.b: this version of Standpipe does not support the field 'b'"):
        section.check_all_taken()
    assert section.take("b") == 2
    assert section.take("b", 0) == 0
    section.check_all_taken()


def test_taking_leaves_the_mapping_as_it_was() -> None:
    fields = {"a": 1}

    Section(fields).take("a")

    assert fields == {"a": 1}


@pytest.mark.parametrize("fields", [{}, {"name": ""}])
def test_what_is_required_is_there(fields: dict[str, str]) -> None:
    assert Section({"name": "x"}).take_text("name") == "x"
    with pytest.raises(SpecError, match=r"^root\.name: missing required field"):
        Section(fields, "root").take_text("name")


def test_expressions() -> None:
    section = Section({"good": "1 < 2", "bad": "1 <", "empty": ""}, "root")

    assert section.take_expression("good") == parse("1 < 2")
    assert section.take_expression("empty") is None
    with pytest.raises(SpecError, match=r"^root\.bad: invalid expression '1 <'"):
        section.take_expression("bad")
