"""What a task's code learns of its own configuration, and what of that remains for the task itself.

A component passes parts of its configuration through to an argument of the type `TaskConfig`, for what its code starts
elsewhere. What is passed through does not count for the task, unless the component says so. The rules and forms are
those of the KFP backend (`backend/src/v2/driver/driver.go`); the values are Kubernetes' own JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from standpipe.execution.rendering import Rendering
from standpipe.model.plan import Component, Container, Resources
from standpipe.model.types import Json, ParameterInput, ParameterType


def task_configs(
    component: Component, container: Container, settings: Mapping[str, Json], rendering: Rendering
) -> dict[str, Json]:
    """The values of the component's inputs of the type TASK_CONFIG, by name.

    Args:
        component: what runs; it says what is passed through.
        container: its environment and resources.
        settings: its settings for Kubernetes, as `kfp-kubernetes` writes them.
        rendering: replaces placeholders in resources.
    """
    names = [
        name
        for name, declared in component.inputs.items()
        if isinstance(declared, ParameterInput) and declared.type is ParameterType.TASK_CONFIG
    ]
    if not names:
        return {}
    parts: dict[str, tuple[str, Json]] = {
        "RESOURCES": ("resources", _requirements(container.resources, rendering)),
        "ENV": ("env", [{"name": name, "value": value} for name, value in container.env.items()]),
        "KUBERNETES_NODE_SELECTOR": ("nodeSelector", settings.get("nodeSelector", {}).get("labels")),
        "KUBERNETES_TOLERATIONS": ("tolerations", settings.get("tolerations")),
    }
    passed = [parts[item.field] for item in component.task_config_passthroughs if item.field in parts]
    return {name: {"resources": {}, **dict(passed)} for name in names}


def for_the_task(component: Component, container: Container) -> Container:
    """The container without what is passed through only."""
    passed_only = {item.field for item in component.task_config_passthroughs if not item.apply_to_task}
    if "ENV" in passed_only:
        container = replace(container, env={})
    return replace(container, resources=Resources()) if "RESOURCES" in passed_only else container


def _requirements(resources: Resources, rendering: Rendering) -> Json:
    """Kubernetes' ResourceRequirements, with quantities as their author wrote them."""
    limits = {"cpu": resources.cpu_limit, "memory": resources.memory_limit}
    accelerator = rendering.text(resources.accelerator_type)
    if accelerator:
        limits[accelerator] = resources.accelerator_count
    requests = {"cpu": resources.cpu_request, "memory": resources.memory_request}
    quantities = {"limits": limits, "requests": requests}
    filled = {
        side: {name: text for name, quantity in given.items() if (text := rendering.text(quantity))}
        for side, given in quantities.items()
    }
    return {side: given for side, given in filled.items() if given}
