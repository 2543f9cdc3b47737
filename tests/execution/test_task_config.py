"""The task config that a component receives, by the rules of KFP's driver."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from standpipe.execution.rendering import Renderer
from standpipe.execution.task_config import build_task_configs, drop_passed_through
from standpipe.model.plan import Command, Component, Container, ExecutorRef, Resources, TaskConfigPassthrough
from standpipe.model.templates import parse_text
from standpipe.model.types import Json, ParameterInput, ParameterType

RESOURCES = Resources(
    cpu_limit="2",
    memory_limit=parse_text("{{$.inputs.parameters['size']}}"),
    cpu_request="500m",
    accelerator_type="nvidia.com/gpu",
    accelerator_count="1",
)
CONTAINER = Container("image", Command(), {"A": "a", "B": ""}, RESOURCES)
RENDERER = Renderer({"inputs": {"parameterValues": {"size": "1Gi"}, "artifacts": {}}}, str)
KUBERNETES = {"nodeSelector": {"labels": {"disk": "ssd"}}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}
REQUIREMENTS = {"limits": {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": "1"}, "requests": {"cpu": "500m"}}


def component(*passed: tuple[str, bool]) -> Component:
    inputs = {
        "config": ParameterInput(ParameterType.TASK_CONFIG, optional=True),
        "x": ParameterInput(ParameterType.STRING),
    }
    return Component(ExecutorRef("exec"), inputs, {}, tuple(TaskConfigPassthrough(*one) for one in passed))


@pytest.mark.parametrize(
    ("passed", "config"),
    [
        ((), {"resources": {}}),
        ((("RESOURCES", False),), {"resources": REQUIREMENTS}),
        ((("ENV", True),), {"resources": {}, "env": [{"name": "A", "value": "a"}, {"name": "B", "value": ""}]}),
        (
            (("KUBERNETES_NODE_SELECTOR", False), ("KUBERNETES_TOLERATIONS", False)),
            {"resources": {}, "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
        ),
        ((("KUBERNETES_VOLUMES", False),), {"resources": {}}),
    ],
)
def test_passed_through_settings_are_in_the_config(passed: tuple[tuple[str, bool], ...], config: Json) -> None:
    assert build_task_configs(component(*passed), CONTAINER, KUBERNETES, RENDERER) == {"config": config}


def test_a_component_without_a_task_config_input_gets_none() -> None:
    alone = Component(ExecutorRef("exec"), {}, {}, (TaskConfigPassthrough("ENV"),))
    assert build_task_configs(alone, CONTAINER, {}, RENDERER) == {}


def test_unset_fields_are_empty() -> None:
    both = component(("RESOURCES", False), ("ENV", False), ("KUBERNETES_TOLERATIONS", False))
    bare: Mapping[str, Json] = build_task_configs(both, Container("image", Command()), {}, RENDERER)
    assert bare == {"config": {"resources": {}, "env": [], "tolerations": None}}


def test_settings_that_are_only_passed_through_do_not_apply() -> None:
    kept = drop_passed_through(component(("ENV", True), ("RESOURCES", True), ("KUBERNETES_VOLUMES", False)), CONTAINER)
    assert kept == CONTAINER == drop_passed_through(component(), CONTAINER)
    passed = drop_passed_through(component(("ENV", False), ("RESOURCES", False)), CONTAINER)
    assert passed == Container("image", Command())
