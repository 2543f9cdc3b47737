"""PyYAML is the judge: what it writes for data without aliases is right, byte for byte."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe import ir
from standpipe.ir import yaml_writer
from standpipe.ir.yaml_writer import write_yaml
from standpipe.model.plan import Plan
from standpipe.model.types import Json
from tests.ir.strategies import plans

WORDS = st.sampled_from(
    [
        "true",
        "No",
        "null",
        "~",
        "1",
        "1.5",
        "0x1f",
        "1e3",
        "2024-01-01",
        "=",
        "<<",
        "y",
        "-",
        "---",
        "a: b",
        "a #b",
        "{{$}}",
    ]
)
LINES = st.text("ab{}./-_ \n\"'\\#:", max_size=200)
TEXT = WORDS | st.text(max_size=12) | LINES | st.from_regex(r"[a-z]{1,4}( [a-z.-]{1,9}){,30}", fullmatch=True)
KEYS = WORDS | st.text("ab-_. é:", min_size=1, max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), min_size=1, max_size=2)


class Tree(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def by_pyyaml(documents: list[dict[str, Json]]) -> str:
    text: str = yaml.dump_all(documents, Dumper=Tree, sort_keys=True)
    return text


@settings(max_examples=50, deadline=None)
@given(DOCUMENTS)
def test_any_json_is_written_as_by_pyyaml(documents: list[dict[str, Json]]) -> None:
    assert write_yaml(documents) == by_pyyaml(documents)


@settings(max_examples=60, deadline=None)
@given(LINES.map(lambda text: f"def f():\n    {text}"), st.integers(1, 90))
def test_source_code_has_the_same_line_breaks(text: str, width: int) -> None:
    documents: list[dict[str, Json]] = [{"k" * width: text, "list": [text, [text]]}]

    assert write_yaml(documents) == by_pyyaml(documents)


@settings(max_examples=20, deadline=None)
@given(plans())
def test_plans_are_written_as_by_pyyaml(plan: Plan) -> None:
    documents = [ir.emit(plan), *filter(None, [ir.emit_platforms(plan)])]

    assert ir.dumps(plan).endswith(by_pyyaml(documents))


@pytest.mark.parametrize("key", ["", "k" * 123, "two\nlines", "two\u2028lines"])
def test_keys_of_another_notation(key: str) -> None:
    documents: list[dict[str, Json]] = [{"a": {key: [1.0]}}]

    assert write_yaml(documents) == by_pyyaml(documents)


def test_a_shared_object_is_written_at_each_place() -> None:
    shared: Json = {"b": [1.0]}

    assert write_yaml([{"x": shared, "y": [shared]}]) == "x:\n  b:\n  - 1.0\ny:\n- b:\n  - 1.0\n"
    assert write_yaml([{"x": shared, "": shared}]) == "? ''\n: b:\n  - 1.0\nx:\n  b:\n  - 1.0\n"


def test_pyyaml_writes_a_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    dump = yaml_writer._dump
    monkeypatch.setattr(yaml_writer, "_dump", lambda data: texts.append(data) or dump(data))

    write_yaml([{"tasks": [{"command": ["pip: install", "a b"], "number": 1.5} for _ in range(100)]}])

    assert len(texts) == 1
