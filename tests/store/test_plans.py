"""Plans in the run store."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standpipe.errors import StorageError
from standpipe.model.expressions import parse
from standpipe.model.plan import Command, Constant, Container, Dag, Plan, PythonFunction, Trigger
from standpipe.model.redacted import is_redacted
from standpipe.store.plans import dump, load
from standpipe.support.redaction import Redactor
from tests.ir.strategies import exact, plans
from tests.plans import dag, node, plan


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_loading_is_the_inverse_of_dumping(made: Plan) -> None:
    body, digest = dump(made)
    assert exact(load(body)) == exact(made)
    assert dump(load(body)) == (body, digest)


def test_fields_that_compiled_files_lack_are_stored() -> None:
    function = PythonFunction("f", "def f(): ...", artifact_classes={"m.Mine": "class Mine: ..."})
    made = replace(plan(dag(node("a"))), executors={"exec": Container("image", function)})
    (found,) = load(dump(made)[0]).executors.values()
    assert isinstance(found, Container)
    assert isinstance(found.program, PythonFunction)
    assert found.program.artifact_classes == {"m.Mine": "class Mine: ..."}


@pytest.mark.parametrize("value", ["$", {"$": 1}, {"$": "tuple", "of": [1]}, {"$": "Plan"}, [{"$": {"$": None}}]])
def test_values_that_look_like_notation_are_values(value: object) -> None:
    made = plan(dag(node("a", x=Constant(value))))
    assert load(dump(made)[0]) == made


def test_values_of_subclasses_of_json_types_are_values() -> None:
    class Text(str):
        __slots__ = ()

    made = plan(dag(node("a", x=Constant({"a": [Text("b")]}))))
    assert load(dump(made)[0]) == made


def test_redaction_stores_no_defaults() -> None:
    made = replace(plan(dag(node("a"))), executors={"exec": Container("image", Command((), ()))})
    assert dump(made, Redactor(["secret word"])) == dump(made)


def test_secrets_are_not_stored() -> None:
    made = plan(dag(node("a", x=Constant("the secret word"))))
    body, _ = dump(made, Redactor(["secret word"]))
    assert "secret" not in body
    assert load(body) == plan(dag(node("a", x=Constant("the ***"))))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.data())
def test_a_plan_can_be_read_whatever_the_secrets_are(made: Plan, data: st.DataObject) -> None:
    words = sorted(set(re.findall(r"[\w-]{4,}", dump(made)[0])))
    secrets = data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=3))
    found = load(dump(made, Redactor(secrets))[0])
    for attribute in ("components", "executors"):
        assert list(getattr(found, attribute)) == list(getattr(made, attribute))
    for (_, one), (_, other) in zip(found.components_by_path(), made.components_by_path(), strict=True):
        assert [(name, port.type) for name, port in one.inputs.items()] == [
            (name, port.type) for name, port in other.inputs.items()
        ]
        if isinstance(one.body, Dag) and isinstance(other.body, Dag):
            assert list(one.body.nodes) == list(other.body.nodes)
    assert is_redacted(found) or without_descriptions(found) == without_descriptions(made)


def without_descriptions(plan: Plan) -> Any:
    """Return a Plan as JSON, without what no result depends on: nothing marks a secret that was there."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            names = ("annotation", "description", "display_name", "file")
            return {key: strip(item) for key, item in value.items() if key not in names}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return strip(json.loads(dump(plan)[0]))


@pytest.mark.parametrize(
    ("condition", "redacted"),
    [
        ("inputs.parameter_values['word'] == 'a word!'", "inputs.parameter_values['word'] == 'a ***!'"),
        ("inputs.parameter_values['word'] == 'x'", "inputs.parameter_values['word'] == 'x'"),
        ("inputs.parameter_values['word'] == 'it's'", "inputs.parameter_values['word'] == '***'"),  # as KFP writes it
    ],
)
def test_secrets_in_conditions_are_not_stored(condition: str, redacted: str) -> None:
    made = plan(dag(replace(node("a", x=Constant(1)), trigger=Trigger(condition=parse(condition)))))
    found = load(dump(made, Redactor(["word", "inputs", "it's"]))[0])
    assert isinstance(found.root.body, Dag)
    (stored,) = found.root.body.nodes.values()
    assert stored.trigger.condition == parse(redacted)
    assert is_redacted(found) is (condition != redacted)


@pytest.mark.parametrize("body", ["", "{", "[]", '{"$": "Plan"}', '{"$": "Unheard"}', '{"$": "Enum", "name": "X"}'])
def test_a_body_that_is_not_a_plan_is_an_error(body: str) -> None:
    with pytest.raises(StorageError, match="cannot be read from the run store"):
        load(body)
