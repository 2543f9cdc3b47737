from __future__ import annotations

import pytest

from standpipe.errors import SpecError, UnsupportedError
from standpipe.ir.loops import emit_loop, load_loop
from standpipe.ir.section import Section
from standpipe.model.plan import InputItems, Loop, RawItems
from standpipe.model.types import Json
from tests.ir.strategies import exact


def items(raw: Json) -> dict[str, Json]:
    return {"parameterIterator": {"itemInput": "x", "items": {"raw": raw}}}


@pytest.mark.parametrize(
    ("loop", "of_artifacts", "fields"),
    [
        (Loop(RawItems((1, 2.0, "é")), "x"), False, items('[1, 2.0, "\\u00e9"]')),
        (Loop(RawItems(({"b": None, "a": [10**30]},)), "x"), False, items('[{"a": [%d], "b": null}]' % 10**30)),
        (Loop(RawItems(()), "x"), False, items("[]")),
        (
            Loop(InputItems("xs"), "x", parallelism=3),
            False,
            {
                "parameterIterator": {"itemInput": "x", "items": {"inputParameter": "xs"}},
                "iteratorPolicy": {"parallelismLimit": 3},
            },
        ),
        (
            Loop(InputItems("xs"), "x"),
            True,
            {"artifactIterator": {"itemInput": "x", "items": {"inputArtifact": "xs"}}},
        ),
    ],
)
def test_loops(loop: Loop, of_artifacts: bool, fields: dict[str, Json]) -> None:
    section = Section(fields, "task")

    assert emit_loop(loop, of_artifacts, "task") == fields
    assert exact(load_loop(section)) == exact(loop)
    section.check_all_taken()


def test_no_loop() -> None:
    assert load_loop(Section({"taskInfo": {}})) is None


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        (
            items('{"a": 1}'),
            SpecError,
            r"^t\.parameterIterator\.items\.raw: expected a JSON list as text, got .*",
        ),
        (items("1, 2"), SpecError, r"^t\.parameterIterator\.items\.raw: expected a JSON list as text, got '1, 2'"),
        (items("[NaN]"), SpecError, r"^t\.parameterIterator\.items\.raw: the items are not JSON: .*\[0\] is nan"),
        (items("[1e999]"), SpecError, r"items\.raw: the items are not JSON: .*\[0\] is inf"),
        (items("[" * 100_000), SpecError, r"items\.raw: expected a JSON list"),
        (items("[%s]" % ("9" * 5000)), SpecError, r"items\.raw: expected a JSON list"),
        (
            {"parameterIterator": {"itemInput": "x"}},
            SpecError,
            r"^t\.parameterIterator\.items\.inputParameter: missing required",
        ),
        (
            {"artifactIterator": {"items": {"inputArtifact": "xs"}}},
            SpecError,
            r"^t\.artifactIterator\.itemInput: missing required field",
        ),
        (
            {**items("[]"), "iteratorPolicy": {"parallelismLimit": -1}},
            SpecError,
            r"^t\.iteratorPolicy\.parallelismLimit: expected 0 \(no limit\) or more, got -1",
        ),
        ({**items("[]"), "iteratorPolicy": {"more": 1}}, UnsupportedError, r"^t\.iteratorPolicy\.more: "),
    ],
)
def test_an_invalid_loop_is_rejected(fields: dict[str, Json], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        load_loop(Section(fields, "t"))


@pytest.mark.parametrize(
    ("item", "of_artifacts", "says"),
    [
        (float("nan"), False, r"^t\.parameterIterator\.items\.raw: the items are not JSON: .* is nan"),
        (object(), False, r"^t\.parameterIterator\.items\.raw: the items are not JSON: .* is of type object"),
        ("a", True, r"^t\.artifactIterator\.items: expected an input with a list of artifacts"),
    ],
)
def test_items_that_cannot_be_written(item: Json, of_artifacts: bool, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        emit_loop(Loop(RawItems((item,)), "x"), of_artifacts, "t")
