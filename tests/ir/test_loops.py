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
    section.end()


def test_no_loop() -> None:
    assert load_loop(Section({"taskInfo": {}})) is None


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        (
            items('{"a": 1}'),
            SpecError,
            r"^t\.parameterIterator\.items\.raw: it is .*, and the items of a loop are a list",
        ),
        (items("1, 2"), SpecError, r"^t\.parameterIterator\.items\.raw: it is '1, 2', and the text of a JSON list"),
        (items("[NaN]"), SpecError, r"^t\.parameterIterator\.items\.raw: the items are no JSON: .*\[0\] is nan"),
        (items("[1e999]"), SpecError, r"items\.raw: the items are no JSON: .*\[0\] is inf"),
        (items("[" * 100_000), SpecError, r"items\.raw: it is "),
        (items("[%s]" % ("9" * 5000)), SpecError, r"items\.raw: it is "),
        (
            {"parameterIterator": {"itemInput": "x"}},
            SpecError,
            r"^t\.parameterIterator\.items\.inputParameter: it is miss",
        ),
        (
            {"artifactIterator": {"items": {"inputArtifact": "xs"}}},
            SpecError,
            r"^t\.artifactIterator\.itemInput: it is missing",
        ),
        (
            {**items("[]"), "iteratorPolicy": {"parallelismLimit": -1}},
            SpecError,
            r"^t\.iteratorPolicy\.parallelismLimit: it is -1, and 0 is the least",
        ),
        ({**items("[]"), "iteratorPolicy": {"more": 1}}, UnsupportedError, r"^t\.iteratorPolicy\.more: "),
    ],
)
def test_what_is_no_loop_is_refused(fields: dict[str, Json], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        load_loop(Section(fields, "t"))


@pytest.mark.parametrize(
    ("item", "of_artifacts", "says"),
    [
        (float("nan"), False, r"^t\.parameterIterator\.items\.raw: the items are no JSON: .* is nan"),
        (object(), False, r"^t\.parameterIterator\.items\.raw: the items are no JSON: .* is a object"),
        ("a", True, r"^t\.artifactIterator\.items: the items are artifacts"),
    ],
)
def test_items_that_cannot_be_written(item: Json, of_artifacts: bool, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        emit_loop(Loop(RawItems((item,)), "x"), of_artifacts, "t")
