"""libyaml is the judge: what is read without it is what it reads, and the rest is left to it."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe import ir
from standpipe.ir import documents
from standpipe.ir.yaml_reader import Unusual, read_yaml
from standpipe.ir.yaml_writer import write_yaml
from standpipe.model.types import Json
from tests.ir.plans import training
from tests.ir.test_yaml_writer import DOCUMENTS

PIECES = st.sampled_from(
    [
        *" \n#:'\"\\a[,|?&*!%~\t1é",
        "  ",
        "- ",
        " #",
        ": ",
        "---\n",
        "...",
        "{}",
        "null",
        "a: b\n",
        "  - c\n",
        "true: 1\n",
    ]
)
SIMPLE: st.SearchStrategy[Json] = st.recursive(
    st.sampled_from(
        [
            "a",
            "x y",
            "1",
            "true",
            "{{$}}",
            "a: b",
            "--x",
            "def f():\n    return 1\n",
            "word " * 30 + "end",
            "x " * 50 + "== - @",
        ]
    )
    | st.sampled_from([1.0, None, True, [], {}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b-c", "x y", "1"]), inner),
    max_leaves=10,
)


def by_libyaml(text: str) -> str:
    try:
        documents._check_size(yaml.parse(text, Loader=documents._BaseLoader), len(text))
        return repr(list(yaml.load_all(text, Loader=documents._Loader)))
    except (yaml.YAMLError, ValueError):
        return "invalid"


def directly(text: str) -> str:
    try:
        return repr(read_yaml(text, documents._load_scalar))
    except (Unusual, yaml.YAMLError, ValueError):
        return "unusual"


@settings(max_examples=50, deadline=None)
@given(DOCUMENTS)
def test_any_json_is_read_as_by_libyaml(data: list[dict[str, Json]]) -> None:
    text = write_yaml(data)

    assert directly(text) in (by_libyaml(text), "unusual")


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "root"]), SIMPLE, min_size=1), st.data())
def test_an_edited_file_is_read_as_by_libyaml(data: dict[str, Json], draw: st.DataObject) -> None:
    text = write_yaml([data])
    for _ in range(draw.draw(st.integers(0, 3))):
        start = draw.draw(st.integers(0, len(text)))
        text = text[:start] + draw.draw(PIECES | st.just("")) + text[start + draw.draw(st.integers(0, 3)) :]

    assert directly(text) in (by_libyaml(text), "unusual")


def test_compiled_files_are_usual() -> None:
    text = ir.dumps(training())

    assert directly(text) == by_libyaml(text)


@pytest.mark.parametrize(
    "text",
    [
        "a:\n  b: 'it''s'\n  c: \"x\\\n    \\ y\"\n  d:\n  - 1.5\n  - e: []\n    f: x\n  - - g\n---\nh: {}\n",
        "# A comment: é\n'1': long text\n  in two lines\n",
        "a: -5\nb: 2024-01-01\nc: 0x1f\nd: .5\ne: true\n",
    ],
)
def test_what_is_usual(text: str) -> None:
    assert directly(text) == by_libyaml(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: b",
        "a: é\n",
        "a: b # comment\n",
        "a: 'b' # comment\n",
        "a: b\n# comment\n",
        "a: b: c\n",
        "a: b\n  c: d\n",
        "a: b\n- c\n",
        "a: 1\na: 2\n",
        "1: 2\n",
        "'1': 2\n1: 2\n",
        "true: 2\n",
        "? a\n: b\n",
        "a: &b c\nd: *b\n",
        "a: !!str 1\n",
        "a: |\n  b\n",
        "a: [b, c]\n",
        "a:\n    b: c\n",
        "a:\n  - b\n",
        "a:\nb: c\n",
        "a: 'b\nc: d'\n",
        "a: 'b\n---\nc'\n",
        "---\na: b\n",
        "a: b\n...\n",
        "a: b\n\nc: d\n",
        "a: @b\n",
        "a: - b\n",
        "a:\tb\n",
        "a:  b\n",
        "a: b\r\n",
        "#\x07\na: b\n",
        "- a\n",
    ],
)
def test_what_is_left_to_libyaml(text: str) -> None:
    assert directly(text) == "unusual"


def test_deep_files_are_left_to_libyaml() -> None:
    text = "".join(f"{' ' * indent}a:\n" for indent in range(0, 120, 2)) + " " * 120 + "a: b\n"

    assert directly(text) == "unusual"
