"""What a task learns of its configuration, by the rules of KFP's driver."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from standpipe.execution.rendering import Rendering
from standpipe.execution.task_config import for_the_task, task_configs
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
RENDERING = Rendering({"inputs": {"parameterValues": {"size": "1Gi"}, "artifacts": {}}}, str)
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
def test_what_is_passed_through_is_in_the_config(passed: tuple[tuple[str, bool], ...], config: Json) -> None:
    assert task_configs(component(*passed), CONTAINER, KUBERNETES, RENDERING) == {"config": config}


def test_who_takes_no_config_gets_none() -> None:
    alone = Component(ExecutorRef("exec"), {}, {}, (TaskConfigPassthrough("ENV"),))
    assert task_configs(alone, CONTAINER, {}, RENDERING) == {}


def test_what_is_unset_is_empty() -> None:
    both = component(("RESOURCES", False), ("ENV", False), ("KUBERNETES_TOLERATIONS", False))
    bare: Mapping[str, Json] = task_configs(both, Container("image", Command()), {}, RENDERING)
    assert bare == {"config": {"resources": {}, "env": [], "tolerations": None}}


def test_what_is_passed_through_only_is_not_the_tasks_own() -> None:
    kept = for_the_task(component(("ENV", True), ("RESOURCES", True), ("KUBERNETES_VOLUMES", False)), CONTAINER)
    assert kept == CONTAINER == for_the_task(component(), CONTAINER)
    passed = for_the_task(component(("ENV", False), ("RESOURCES", False)), CONTAINER)
    assert passed == Container("image", Command())
