"""Changes of a component."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from standpipe.model.component_changes import code_digest, compare_components
from standpipe.model.plan import Command, Container, Importer, OwnModule, Plan, PythonFunction, Resources
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
    return compare_components(of(CONTAINER), of(now, **component))("leaf", "leaf")


@pytest.mark.parametrize(
    "same",
    [
        CONTAINER,
        replace(CONTAINER, program=replace(FUNCTION, source="def f(x):  # why\n\n    return (x)\n")),
        replace(CONTAINER, program=replace(FUNCTION, packages=("pandas==2", "numpy"))),
        replace(CONTAINER, resources=Resources(cpu_limit="2")),
    ],
)
def test_a_change_that_cannot_change_a_result_is_ignored(same: Container) -> None:
    assert between(same) == ""


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (replace(CONTAINER, program=replace(FUNCTION, source="def f(x):\n    return 2\n")), "its code"),
        (replace(CONTAINER, program=replace(FUNCTION, artifact_classes={"a.B": "class B: ..."})), "its code"),
        (replace(CONTAINER, program=replace(FUNCTION, packages=("numpy",))), "its packages"),
        (
            replace(CONTAINER, program=replace(FUNCTION, modules=(OwnModule("m", "x = 1"),))),
            "it imports has changed: m",
        ),
        (replace(CONTAINER, image="python:3.12"), "its image has changed to python:3.12"),
        (replace(CONTAINER, env={"A": "2"}), "its environment variables"),
        (replace(CONTAINER, program=Command(("echo",))), "its command"),
        (Importer("gs://x", ArtifactType("system.Model")), "what it imports"),
    ],
)
def test_a_change_that_can_change_a_result_is_named(now: Any, why: str) -> None:
    assert why in between(now)


def test_inputs_and_outputs_count() -> None:
    assert between(CONTAINER, inputs={"z": ParameterInput(INT)}) == "its inputs or outputs have changed"


def test_settings_for_kubernetes_count() -> None:
    settings = {"kubernetes": {"deploymentSpec": {"executors": {"exec": {"secretAsEnv": [1]}}}}}
    now = replace(of(CONTAINER), platforms=settings)
    assert compare_components(of(CONTAINER), now)("leaf", "leaf") == "its Kubernetes settings have changed"


def test_a_component_that_became_a_pipeline_has_changed() -> None:
    now = replace(of(CONTAINER), components={"leaf": of(CONTAINER).root})
    assert compare_components(of(CONTAINER), now)("leaf", "leaf") == "its kind of component has changed"


def test_code_that_this_python_cannot_read_stands_for_itself() -> None:
    assert code_digest("def f(") == code_digest("def f(")
    assert code_digest("def f(") != code_digest("def f( ")
