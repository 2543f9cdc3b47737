"""Protobuf is the judge: what it makes of JSON is right, or the JSON is doubtful."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standpipe import ir
from standpipe.ir import proto
from standpipe.ir.canonical_json import Doubtful, convert_message
from standpipe.model.plan import Plan
from standpipe.model.types import Json
from tests.ir.strategies import plans

TEXT = st.sampled_from(["", "a", "é", "\ud800", "1.5s", "3", "true"])
ODD = st.sampled_from([None, {}, [], "", 0, 0.0, -0.0, True, "x", [None], {"a": None}, (), 2**31, 2**60, 1e300])
VALUES = st.recursive(ODD | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
SCALARS = {"STRING": TEXT, "BOOL": st.booleans(), "INT32": st.integers(0, 3), "DOUBLE": st.floats()}
DURATIONS = st.sampled_from(["0s", "1.500s", "60.000000000s", "3", "1h"])


def data_for(field: Any, depth: int) -> st.SearchStrategy[Json]:
    """Return data for one value of a field: mostly valid."""
    message = field.message_type
    if message is None:
        if field.enum_type is not None:
            return st.sampled_from([value.name for value in field.enum_type.values] + ["X"])
        names = {getattr(type(field), f"TYPE_{name}"): strategy for name, strategy in SCALARS.items()}
        return names.get(field.type, ODD)
    if not message.full_name.startswith("google."):
        return data_of(message, depth - 1)
    return {"Value": VALUES, "Struct": st.dictionaries(TEXT, VALUES, max_size=3), "Duration": DURATIONS}[message.name]


@functools.cache
def data_of(descriptor: Any, depth: int) -> st.SearchStrategy[Json]:
    """Return data for a message: mostly valid, with few levels."""
    if depth < 0:
        return st.just({})
    fields: dict[str, st.SearchStrategy[Json]] = {}
    for field in descriptor.fields:
        if field.message_type and field.message_type.GetOptions().map_entry:
            item = data_for(field.message_type.fields_by_name["value"], depth)
            strategy: st.SearchStrategy[Json] = st.dictionaries(TEXT, item, max_size=2)
        else:
            item = data_for(field, depth)
            strategy = st.lists(item, max_size=2) if field.is_repeated else item
        fields[field.json_name] = strategy
    return st.sets(st.sampled_from(sorted(fields)), max_size=3).flatmap(
        lambda names: st.fixed_dictionaries({name: fields[name] for name in sorted(names)})
    )


def judged(data: Json, name: str) -> str:
    try:
        return repr(proto._round_trip(data, getattr(proto.load_messages(), name)))
    except proto._ERRORS:
        return "invalid"


def converted(data: Json, name: str) -> str:
    try:
        return repr(convert_message(data, getattr(proto.load_messages(), name).DESCRIPTOR))
    except (Doubtful, *proto._ERRORS):
        return "doubtful"


@pytest.mark.parametrize("name", ["ComponentSpec", "PipelineTaskSpec", "PipelineDeploymentConfig", "PlatformSpec"])
def test_messages_are_converted_as_by_protobuf(name: str) -> None:
    descriptor = getattr(proto.load_messages(), name).DESCRIPTOR

    @settings(max_examples=60, deadline=None)
    @given(data_of(descriptor, 5))
    def check(data: Json) -> None:
        assert converted(data, name) in (judged(data, name), "doubtful")

    check()


@settings(max_examples=20, deadline=None)
@given(plans())
def test_no_plan_is_doubtful(plan: Plan) -> None:
    spec = ir.emit(plan)

    assert converted(spec, "PipelineSpec") == judged(spec, "PipelineSpec")


@pytest.mark.parametrize(
    "data",
    [
        {"dag": {}, "executorLabel": "a"},
        {"executor_label": "a"},
        {"executorLabel": None},
        {"executorLabel": "\ud800"},
        {"unknown": 1},
        {"inputDefinitions": []},
        {"inputDefinitions": {"parameters": {1: {}}}},
        {"inputDefinitions": {"parameters": {"a": {"parameterType": 3}}}},
        {"inputDefinitions": {"parameters": {"a": {"defaultValue": float("nan")}}}},
        {"inputDefinitions": {"parameters": {"a": {"defaultValue": 2**60}}}},
    ],
)
def test_doubtful_json(data: Json) -> None:
    assert converted(data, "ComponentSpec") == "doubtful"


def test_a_deep_value_is_doubtful() -> None:
    value: Json = 1.0
    for _ in range(70):
        value = [value]
    data = {"inputDefinitions": {"parameters": {"a": {"defaultValue": value}}}}

    assert converted(data, "ComponentSpec") == "doubtful"
    assert judged(data, "ComponentSpec") != "invalid"
