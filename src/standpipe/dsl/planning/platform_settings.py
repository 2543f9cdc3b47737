"""The settings of tasks for platforms, and the parts of a task's configuration that its code receives."""

from __future__ import annotations

from collections.abc import Set

from standpipe.dsl.components import ExecutorComponent
from standpipe.dsl.planning.container_settings import has_resources
from standpipe.dsl.tracing.channels import ADDED_INPUT_PREFIX, describe_channel, find_channels
from standpipe.dsl.tracing.source_locations import warn_at
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.errors import AuthoringError, InvalidTopologyException
from standpipe.model.types import Json

#: The part of the task's configuration that each setting for Kubernetes belongs to (`dsl.TaskConfigField`).
_KUBERNETES_FIELDS = {
    "tolerations": "KUBERNETES_TOLERATIONS",
    "nodeSelector": "KUBERNETES_NODE_SELECTOR",
    **dict.fromkeys(("nodeAffinity", "podAffinity"), "KUBERNETES_AFFINITY"),
    **dict.fromkeys(("pvcMount", "secretAsVolume", "configMapAsVolume"), "KUBERNETES_VOLUMES"),
}


def resolve_references(config: Json, task: PipelineTask, group_inputs: Set[str]) -> Json:
    """Return settings for a platform with references to values replaced by references to inputs of the task's group.

    Args:
        config: the settings, as an extension of KFP wrote them.
        task: the task.
        group_inputs: the names of the inputs of its group.

    Raises:
        InvalidTopologyException: if the settings refer to an output of a task in another group.
    """
    if isinstance(config, list):
        return [resolve_references(item, task, group_inputs) for item in config]
    if not isinstance(config, dict):
        return config
    resolved = {key: resolve_references(item, task, group_inputs) for key, item in config.items()}
    if resolved.keys().isdisjoint(("componentInputParameter", "taskOutputParameter")):
        return resolved
    name = resolved.get("componentInputParameter")
    if name is not None and name not in group_inputs and ADDED_INPUT_PREFIX + name in group_inputs:
        resolved["componentInputParameter"] = ADDED_INPUT_PREFIX + name
    output = resolved.get("taskOutputParameter")
    if output is not None:
        producer = output.get("producerTask")
        name = f"{ADDED_INPUT_PREFIX}{producer}-{output.get('outputParameterKey')}"
        if name in group_inputs:
            del resolved["taskOutputParameter"]
            resolved["componentInputParameter"] = name
        elif task.group and producer not in {other.name for other in task.group.tasks}:
            raise InvalidTopologyException(
                f"Task {task.name!r}: its settings for a platform use an output of {producer!r}, which is not in the "
                "same block. Pass it to an input of the task."
            )
    return resolved


def warn_of_channels_in_text(platform: str, config: Json, task: PipelineTask) -> None:
    """Warn, at the line of the task, of settings that contain a value inside text: a cluster takes the text literally.

    Settings for a platform can refer to a whole value only. The KFP SDK (kfp-kubernetes 2.17.3) compiles the text of an
    f-string as it is, with the mark that stands for the value.

    Args:
        platform: the platform.
        config: the settings, as an extension of KFP wrote them.
        task: the task.

    Raises:
        AuthoringError: if a value belongs to another pipeline.
    """
    subject = f"Task {task.name!r}, its settings for {platform}"
    for channel in dict.fromkeys(find_channels(config, subject)):
        text = (
            f"{subject}: the {describe_channel(channel)} is inside text, which a cluster takes as it is written, "
            "without the value. Pass the value itself, not in an f-string; or make the text in a component, and pass "
            "its output."
        )
        warn_at(task.source_location, text)


def check_passthroughs(task: PipelineTask, component: ExecutorComponent) -> None:
    """Check the configuration of a task whose component has `task_config_passthroughs`.

    Raises:
        AuthoringError: if a part of the configuration is set that is not among them, as in the KFP SDK.
    """
    accepted_fields = [item.field for item in component.task_config_passthroughs]
    container, kubernetes = task.settings.container, task.settings.platforms.get("kubernetes", {})
    configured_fields = {field for key, field in _KUBERNETES_FIELDS.items() if kubernetes.get(key)}
    if container and container.env:
        configured_fields.add("ENV")
    if container and has_resources(container):
        configured_fields.add("RESOURCES")
    for field in sorted(configured_fields.difference(accepted_fields)) if accepted_fields else ():
        raise AuthoringError(
            f"Task {task.name!r} cannot have {field} set: the task_config_passthroughs of its component are "
            f"{', '.join(accepted_fields)}. Add dsl.TaskConfigField.{field} there."
        )
