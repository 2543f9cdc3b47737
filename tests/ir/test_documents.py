from __future__ import annotations

import json

import pytest
import yaml

from standpipe.errors import SpecError
from standpipe.ir import documents
from standpipe.ir.documents import parse


def message(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text, "x.yaml")
    return str(caught.value)


def test_yaml_and_json() -> None:
    assert parse("a: 1\n---\nb: [x, 2.5]\n", "x") == [{"a": 1}, {"b": ["x", 2.5]}]
    assert parse('\n {"a": [1, null]}', "x") == [{"a": [1, None]}]
    assert parse("{a: 1}", "x") == [{"a": 1}]
    assert parse("", "x") == []


def test_aliases_within_reason() -> None:
    assert parse("a: &a [1, 2]\nb: [*a, *a]\n", "x") == [{"a": [1, 2], "b": [[1, 2], [1, 2]]}]


def bomb(levels: int) -> str:
    """A billion laughs: each level repeats the one before nine times."""
    lines = ["l0: &l0 lol"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1", "x.yaml is not a compiled pipeline: expected a mapping, got a list."),
        ("hello", "x.yaml is not a compiled pipeline: expected a mapping, got plain text."),
        ("a: 1\n---\n", "x.yaml is not a compiled pipeline: expected a mapping, got an empty document."),
        ("a: 1\nb: [", "x.yaml cannot be read as YAML: "),
        ("a: 1\na: 2", "x.yaml cannot be read as YAML: duplicate key 'a' (line 2, column 1)"),
        ("x:\n  on: 1", "expected text as a key: put it in quotes (merge keys are not supported) (line 2, column 3)"),
        ("1: 2", "expected text as a key"),
        ("a: &a {b: 1}\nc: {<<: *a}", "expected text as a key"),
        ("a: *a", "anchor &a is not defined before this alias (line 1, column 4)"),
        ("a: &a [*a]", "anchor &a is not defined before this alias (line 1, column 8)"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: 2024-99-99", "x.yaml cannot be read as YAML: "),
        ("a: \x00", "x.yaml cannot be read as YAML: "),
        ("[" * 200_000, "nest"),
        (bomb(12), "aliases expand to more than 10000000 characters (line "),
        ('{"a": 1, "a": 2}', "x.yaml: duplicate key 'a'"),
        ('{"a": NaN}', "x.yaml: expected a finite number, got NaN"),
        ('{"a":' * 100_000, "x.yaml is not a compiled pipeline: nested too deeply."),
        ('{"a": 1,, }', "x.yaml cannot be read as YAML: "),
    ],
)
def test_an_invalid_document_is_rejected(text: str, expected: str) -> None:
    assert expected in message(text)


def test_long_texts_are_counted_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_ALIASED", 1000)
    text = f"a: &a {'x' * 100}\nb: [{', '.join(['*a'] * 8)}]"

    assert parse(text, "x")[0]["b"][7] == "x" * 100
    assert "aliases expand to more than" in message(text.replace("[", "[*a, *a, *a, "))


def test_the_python_loader_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML was built without libyaml."""
    monkeypatch.setattr(documents, "_BaseLoader", yaml.SafeLoader)

    assert parse("a: &a [1]\nb: *a", "x") == [{"a": [1], "b": [1]}]
    assert "nested too deeply" in message("[" * 20_000)


def test_a_json_file_of_some_size_is_read_quickly_as_json() -> None:
    document = {"a": [{"k": str(number)} for number in range(1000)]}

    assert parse(json.dumps(document), "x") == [document]
