"""Plans in the run store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from standpipe.errors import StorageError
from standpipe.model.plan import Constant, Container, Plan, PythonFunction
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


def test_secrets_are_not_stored() -> None:
    made = plan(dag(node("a", x=Constant("the secret word"))))
    body, _ = dump(made, Redactor(["secret word"]))
    assert "secret" not in body
    assert load(body) == plan(dag(node("a", x=Constant("the ***"))))


@pytest.mark.parametrize("body", ["", "{", "[]", '{"$": "Plan"}', '{"$": "Unheard"}', '{"$": "Enum", "name": "X"}'])
def test_a_body_that_is_not_a_plan_is_an_error(body: str) -> None:
    with pytest.raises(StorageError, match="cannot be read from the run store"):
        load(body)
