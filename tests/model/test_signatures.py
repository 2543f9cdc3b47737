"""What makes a component another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from standpipe.model.plan import Command, Container, Importer, Plan, PythonFunction, Resources
from standpipe.model.signatures import code_digest, difference
from standpipe.model.types import ArtifactType, ParameterInput
from tests.plans import INT, dag, node, plan

FUNCTION = PythonFunction("f", "def f(x):\n    return x\n", packages=("numpy", "pandas==2"))
CONTAINER = Container("python:3.11", FUNCTION, {"A": "1"})


def of(executor: Any, **component: Any) -> Plan:
    made = plan(dag(node("a")))
    return replace(
        made,
        components={"leaf": replace(made.components["leaf"], **component)},
        executors={"exec": executor},
    )


def between(now: Any, **component: Any) -> str:
    return difference(of(CONTAINER), of(now, **component))("leaf", "leaf")


@pytest.mark.parametrize(
    "same",
    [
        CONTAINER,
        replace(CONTAINER, program=replace(FUNCTION, source="def f(x):  # why\n\n    return (x)\n")),
        replace(CONTAINER, program=replace(FUNCTION, packages=("pandas==2", "numpy"))),
        replace(CONTAINER, resources=Resources(cpu_limit="2")),
    ],
)
def test_what_changes_no_result_is_no_difference(same: Container) -> None:
    assert between(same) == ""


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (replace(CONTAINER, program=replace(FUNCTION, source="def f(x):\n    return 2\n")), "its code"),
        (replace(CONTAINER, program=replace(FUNCTION, artifact_classes={"a.B": "class B: ..."})), "its code"),
        (replace(CONTAINER, program=replace(FUNCTION, packages=("numpy",))), "its packages"),
        (replace(CONTAINER, image="python:3.12"), "its image is python:3.12 now"),
        (replace(CONTAINER, env={"A": "2"}), "its environment variables"),
        (replace(CONTAINER, program=Command(("echo",))), "its command"),
        (Importer("gs://x", ArtifactType("system.Model")), "what it imports"),
    ],
)
def test_what_may_change_a_result_is_told(now: Any, why: str) -> None:
    assert why in between(now)


def test_inputs_and_outputs_count() -> None:
    assert between(CONTAINER, inputs={"z": ParameterInput(INT)}) == "its inputs or outputs are others now"


def test_settings_for_kubernetes_count() -> None:
    settings = {"kubernetes": {"deploymentSpec": {"executors": {"exec": {"secretAsEnv": [1]}}}}}
    now = replace(of(CONTAINER), platforms=settings)
    assert difference(of(CONTAINER), now)("leaf", "leaf") == "its settings for Kubernetes are others now"


def test_a_pipeline_in_its_place_is_another_kind() -> None:
    now = replace(of(CONTAINER), components={"leaf": of(CONTAINER).root})
    assert difference(of(CONTAINER), now)("leaf", "leaf") == "it is another kind of component now"


def test_code_that_this_python_cannot_read_stands_for_itself() -> None:
    assert code_digest("def f(") == code_digest("def f(")
    assert code_digest("def f(") != code_digest("def f( ")
