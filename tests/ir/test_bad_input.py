"""Whatever is done to a compiled document: it is loaded, or refused with an error of ours."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standpipe import ir
from standpipe.errors import StandpipeError
from standpipe.model.expressions import parse
from standpipe.model.plan import (
    Component,
    Constant,
    Container,
    Dag,
    ExecutorRef,
    FinalStatus,
    FromInput,
    FromTask,
    Importer,
    InputItems,
    Loop,
    Node,
    Plan,
    PythonFunction,
    RawItems,
    Retry,
    Trigger,
    TriggerStrategy,
)
from standpipe.model.types import ArtifactOutput, Json, ParameterInput, ParameterOutput, ParameterType
from tests.ir.plans import MODEL, training

WRONG: list[Json] = [
    *(None, True, 0, -1, 1.5, 2**70, "", "x", "root", [], [None], [[]], ["x"], {}, {"": 1}, {"a": {"b": []}}),
    *("[1", "[1, 2]", '{"a": 1}', "NUMBER_INTEGER", "99s", "1e400s", "{{$", "inputs.parameter_values['x'] == 'it's'"),
    *("ALL_UPSTREAM_TASKS_COMPLETED", 7, 99, "1 <", '{"Concat": [1]}', '{"IfPresent": {}}', "é" * 300, "\ud800"),
]


@functools.cache
def everything() -> Plan:
    """A Plan with a bit of everything that a compiled file can hold."""
    plan = training()
    assert isinstance(plan.root.body, Dag)
    lists, text = ParameterInput(ParameterType.LIST), ParameterInput(ParameterType.STRING)
    body = Component(
        ExecutorRef("exec-f"), {"item": text, "items": lists}, {"all": ParameterOutput(ParameterType.LIST)}
    )
    imported = Component(ExecutorRef("exec-importer"), {"uri": text}, {"artifact": ArtifactOutput(MODEL)})
    status = ParameterInput(ParameterType.TASK_FINAL_STATUS, optional=True)
    nodes = {
        **plan.root.body.nodes,
        "loop": Node("loop", "comp-f", {"items": Constant([1])}, loop=Loop(RawItems((1, "a")), "item", 3)),
        "again": Node(
            "again",
            "comp-f",
            {"items": FromTask("loop", "all")},
            after=("loop",),
            loop=Loop(InputItems("items"), "item"),
        ),
        "importer": Node("importer", "comp-importer", {"uri": FromInput("rate")}, retry=Retry(2, 1.5)),
        "maybe": Node(
            "maybe",
            "comp-train",
            {"lr": FromTask("again", "all", parse('parseJson(string_value)["a"]')), "status": FinalStatus("loop")},
            after=("again", "loop"),
            trigger=Trigger(
                TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED, parse("inputs.parameter_values['lr'] == 'a'")
            ),
            caching=None,
        ),
    }
    return dataclasses.replace(
        plan,
        root=dataclasses.replace(
            plan.root,
            inputs={**plan.root.inputs, "status": status},
            body=Dag(nodes, {"score": (FromTask("test", "score"),) * 2}),
        ),
        components={**plan.components, "comp-f": body, "comp-importer": imported},
        executors={
            **plan.executors,
            "exec-f": Container("python:3.11", PythonFunction("f", "def f(): ...", ("a",))),
            "exec-importer": Importer(FromInput("uri"), MODEL, {"n": 1}),
        },
    )


def places(document: Json) -> list[tuple[Any, Any]]:
    """Every field and element, as what holds it and its key."""
    found: list[tuple[Any, Any]] = []
    holders = [document]
    while holders:
        holder = holders.pop()
        keys: Any = holder if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], (dict, list)):
                holders.append(holder[key])
    return found


@st.composite
def broken_documents(draw: st.DrawFn) -> Json:
    """A compiled document with a few changes: fields dropped, renamed, replaced, or moved to where others are."""
    document: Json = ir.emit(everything())
    for _ in range(draw(st.integers(1, 4))):
        found = places(document)
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        change = draw(st.sampled_from(["drop", "rename", "replace", "move"]))
        if change == "drop":
            del holder[key]
        elif change == "replace" or not isinstance(holder, dict):
            holder[key] = copy.deepcopy(draw(st.sampled_from(WRONG)))  # further changes may modify it
        elif change == "rename":
            holder[draw(st.sampled_from([*map(str, holder), "x", ""]))] = holder.pop(key)
        else:
            other, place = draw(st.sampled_from(found))
            other[place] = json.loads(json.dumps(holder[key]))
    return document


def test_everything_is_sound() -> None:
    assert ir.load(ir.emit(everything())) == everything()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken_documents())
def test_broken_documents_are_loaded_or_rejected(document: Json) -> None:
    try:
        plan = ir.load(document)
    except StandpipeError:
        return
    assert ir.load(ir.emit(plan)) == plan


@settings(max_examples=60, deadline=None)
@given(st.text("{}[]:,-&*!|>'\"% \n\tabnull01.#\x00\ud800é", max_size=60))
def test_texts_are_read_or_rejected(text: str) -> None:
    with contextlib.suppress(StandpipeError):
        ir.read_component(text)
