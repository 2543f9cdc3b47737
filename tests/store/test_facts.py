"""Facts as text: decoding is the inverse of encoding."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe.errors import StorageError
from standpipe.model import events as e
from standpipe.model.refs import TaskRef
from standpipe.model.resources import ResourceRequest
from standpipe.model.states import TaskState
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Checksum, Collected
from standpipe.store.facts import decode, encode

TEXT = st.text(max_size=6) | st.sampled_from(["$collected", "$value", "/data/\udcff"])
NAMES = st.sampled_from(["x", "train", "$collected", "$value", "name"])
COUNTS = st.integers(0, 5)
SECONDS = st.floats(0, 1e10)
STEPS = st.tuples(NAMES, st.none() | COUNTS)
TASKS = st.lists(STEPS, max_size=3).map(lambda steps: TaskRef(tuple(steps)))
KEYS = st.sampled_from(["$collected", "$value", "a"])
LIKE_ARTIFACTS = st.fixed_dictionaries(
    {"name": TEXT, "type": st.just({"schema_title": "system.Model"}), "uri": TEXT},
    optional={"metadata": st.just({}), "more": TEXT},
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | LIKE_ARTIFACTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=8,
)
ARTIFACTS = st.builds(
    ArtifactValue,
    name=TEXT,
    type=st.builds(ArtifactType, TEXT, st.sampled_from(["0.0.1", "2"])),
    uri=TEXT,
    metadata=st.dictionaries(TEXT, JSON, max_size=2),
    custom_path=TEXT,
    checksum=st.none() | st.builds(Checksum, TEXT, COUNTS, TEXT),
    registration=st.none() | st.dictionaries(TEXT, JSON, max_size=2),
)
PLAIN_VALUES = JSON | ARTIFACTS | st.lists(ARTIFACTS, max_size=2)
VALUES = PLAIN_VALUES | st.recursive(
    st.lists(PLAIN_VALUES, max_size=2).map(Collected),
    lambda inner: st.lists(inner | JSON, max_size=3).map(Collected),
    max_leaves=4,
)
LOCATIONS = st.builds(e.CodeLocation, TEXT, COUNTS, TEXT, TEXT)
FAILURES = st.builds(
    e.Failure,
    *(TEXT, TEXT, TEXT, st.none() | COUNTS, st.none() | COUNTS, st.booleans(), st.none() | TASKS, COUNTS, TEXT),
    st.none() | LOCATIONS,
)
FAILED = st.builds(
    e.TaskFailed, TASKS, FAILURES, st.none() | st.builds(e.AttemptReport, SECONDS, SECONDS, COUNTS, COUNTS)
)

#: The strategy of a field by its annotation.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "int": COUNTS,
    "bool": st.booleans(),
    "str": TEXT,
    "float": SECONDS,
    "Value": VALUES,
    "tuple[Value, ...]": st.lists(VALUES, max_size=3).map(tuple),
    "tuple[str, ...]": st.lists(TEXT, max_size=2).map(tuple),
    "Mapping[str, Value]": st.dictionaries(NAMES, VALUES, max_size=2),
    "TaskRef": TASKS,
    "tuple[TaskRef, ...]": st.lists(TASKS, max_size=2).map(tuple),
    "TaskState": st.sampled_from(TaskState),
    "ResourceRequest": st.builds(
        ResourceRequest, SECONDS, COUNTS, COUNTS, st.none() | SECONDS, st.none() | COUNTS, TEXT
    ),
    "AttemptReport | None": st.none()
    | st.builds(e.AttemptReport, SECONDS, st.none() | SECONDS, st.none() | COUNTS, COUNTS, COUNTS),
    "Failure": FAILURES,
    "tuple[TaskFailed, ...]": st.lists(FAILED, max_size=2).map(tuple),
}


@st.composite
def facts_of(draw: st.DrawFn, kind: type) -> Any:
    return kind(**{field.name: draw(FIELDS[str(field.type)]) for field in fields(kind)})


def told(value: object) -> object:
    """Return a value with the types of its parts and the fields that comparisons ignore."""
    if is_dataclass(value):
        parts: object = {field.name: told(getattr(value, field.name)) for field in fields(value)}
    elif isinstance(value, dict):
        parts = {name: told(item) for name, item in value.items()}
    elif isinstance(value, (list, tuple)):
        parts = [told(item) for item in value]
    else:
        parts = value if isinstance(value, Enum) else repr(value)
    return type(value), parts


@pytest.mark.parametrize("kind", get_args(e.Fact), ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_decoding_is_the_inverse_of_encoding(kind: type, data: st.DataObject) -> None:
    fact = data.draw(facts_of(kind))

    assert told(decode(*encode(fact))) == told(fact)


LIKE_AN_ARTIFACT = {"name": "m", "type": {"schema_title": "system.Model"}, "uri": "/m"}
ARTIFACT = ArtifactValue("m", ArtifactType("system.Model"), "/m", checksum=Checksum("sha256:0", 3, "s"))


@pytest.mark.parametrize(
    "value",
    [
        *([], {}, "$collected", {"a": 1}, Collected(), Collected([Collected([1, [2]]), Collected(), 3])),
        *({"$collected": [1]}, {"$collected": {"$collected": [1]}}, {"$collected": None}, {"$collected": [1], "b": 2}),
        *({"a": {"$collected": [1]}}, [{"$collected": [1]}], Collected([{"$collected": [1]}, {"$value": {}}])),
        *({"$value": 1}, {"$value": {"$value": 1}}, ARTIFACT, [ARTIFACT], Collected([ARTIFACT, [ARTIFACT]])),
        *(LIKE_AN_ARTIFACT, [LIKE_AN_ARTIFACT], [[LIKE_AN_ARTIFACT]], [LIKE_AN_ARTIFACT, 1], {"a": LIKE_AN_ARTIFACT}),
        *({**LIKE_AN_ARTIFACT, "more": 1}, {**LIKE_AN_ARTIFACT, "type": "system.Model"}),
    ],
    ids=repr,
)
def test_values_that_look_alike_are_distinguished(value: object) -> None:
    task = TaskRef((("loop", 3), ("train", None)))
    facts = (
        e.TaskSucceeded(task, {"y": value}),
        e.LoopStarted(task, {"x": value}, (value, value)),
        e.IterationStarted(task, value),
    )
    for fact in facts:
        assert told(decode(*encode(fact))) == told(fact)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ({"$collected": [{"$collected": [1]}, 2]}, Collected([Collected([1]), 2])),
        ({"$collected": {"$collected": [1]}}, {"$collected": [1]}),
        (LIKE_AN_ARTIFACT, ArtifactValue("m", ArtifactType("system.Model"), "/m")),
        (
            [{**LIKE_AN_ARTIFACT, "metadata": {"a": 1}}],
            [ArtifactValue("m", ArtifactType("system.Model"), "/m", {"a": 1})],
        ),
    ],
    ids=repr,
)
def test_values_of_the_first_stores_are_read(written: object, value: object) -> None:
    fact = decode("RunStarted", json.dumps({"inputs": {"x": written}}))

    assert told(fact) == told(e.RunStarted({"x": value}))


def test_default_values_are_not_stored() -> None:
    task = TaskRef((("loop", 3), ("train", None)))

    assert encode(e.AttemptStarted(task, 0)) == ("AttemptStarted", '{"task":[["loop",3],["train",null]],"attempt":0}')


def test_unknown_names_of_a_newer_standpipe_are_an_error() -> None:
    with pytest.raises(StorageError, match="a fact of the unknown kind 'TaskDreamt': .* Upgrade Standpipe"):
        decode("TaskDreamt", "{}")
    with pytest.raises(StorageError, match=r"a RunStarted that cannot be read: unknown field 'mood'.* upgrade"):
        decode("RunStarted", '{"inputs": {}, "mood": "good"}')


@pytest.mark.parametrize("body", ["", "{", "[]", "3", "{}", '{"inputs": 3}', '{"task": 3, "because": ""}'])
def test_a_damaged_body_is_an_error(body: str) -> None:
    kind = "TaskSkipped" if "task" in body else "RunStarted"
    with pytest.raises(StorageError, match=f"has a {kind} that cannot be read: .*the store is damaged"):
        decode(kind, body)
