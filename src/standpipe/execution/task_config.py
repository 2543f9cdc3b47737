"""The configuration of a task as an input of its code, for jobs that the code starts.

A component passes parts of its configuration through to an input of the type `TaskConfig`. What is passed through does
not apply to the task itself, unless the component says so. The rules and forms are those of the KFP backend
(`backend/src/v2/driver/driver.go`); the values are Kubernetes' own JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from standpipe.execution.rendering import Renderer
from standpipe.model.plan import Component, Container, Resources
from standpipe.model.types import Json, ParameterInput, ParameterType


def build_task_configs(
    component: Component, container: Container, settings: Mapping[str, Json], renderer: Renderer
) -> dict[str, Json]:
    """Return the values of the component's inputs of the type TASK_CONFIG, by name.

    Args:
        component: the component that runs, which names what is passed through.
        container: its environment variables and resources.
        settings: its settings for Kubernetes, as `kfp-kubernetes` writes them.
        renderer: replaces placeholders in resources.
    """
    names = [
        name
        for name, declared in component.inputs.items()
        if isinstance(declared, ParameterInput) and declared.type is ParameterType.TASK_CONFIG
    ]
    if not names:
        return {}
    parts: dict[str, tuple[str, Json]] = {
        "RESOURCES": ("resources", _build_requirements(container.resources, renderer)),
        "ENV": ("env", [{"name": name, "value": value} for name, value in container.env.items()]),
        "KUBERNETES_NODE_SELECTOR": ("nodeSelector", settings.get("nodeSelector", {}).get("labels")),
        "KUBERNETES_TOLERATIONS": ("tolerations", settings.get("tolerations")),
    }
    passed = [parts[item.field] for item in component.task_config_passthroughs if item.field in parts]
    return {name: {"resources": {}, **dict(passed)} for name in names}


def drop_passed_through(component: Component, container: Container) -> Container:
    """Return the container without what is only passed through, and does not apply to the task."""
    passed_only = {item.field for item in component.task_config_passthroughs if not item.apply_to_task}
    if "ENV" in passed_only:
        container = replace(container, env={})
    return replace(container, resources=Resources()) if "RESOURCES" in passed_only else container


def _build_requirements(resources: Resources, renderer: Renderer) -> Json:
    """Return Kubernetes' ResourceRequirements, with quantities as their author wrote them."""
    limits = {"cpu": resources.cpu_limit, "memory": resources.memory_limit}
    accelerator = renderer.render(resources.accelerator_type)
    if accelerator:
        limits[accelerator] = resources.accelerator_count
    requests = {"cpu": resources.cpu_request, "memory": resources.memory_request}
    quantities = {"limits": limits, "requests": requests}
    rendered = {
        side: {name: text for name, quantity in by_name.items() if (text := renderer.render(quantity))}
        for side, by_name in quantities.items()
    }
    return {side: by_name for side, by_name in rendered.items() if by_name}
