"""Settings of the pod of a task: labels, annotations, its timeout, its image and its user."""

from __future__ import annotations

from standpipe.dsl.kubernetes.settings import KubernetesSettings
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.model.values import preview

_PULL_POLICIES = ("Always", "Never", "IfNotPresent")


def add_pod_label(task: PipelineTask, label_key: str, label_value: str) -> PipelineTask:
    """Add a label to the pod.

    Args:
        task: the task.
        label_key: the key of the label.
        label_value: its value.

    Returns:
        The task.

    Raises:
        AuthoringTypeError: if an argument is not text.
    """
    return KubernetesSettings(task, "add_pod_label").add_pair("podMetadata", "labels", label_key, label_value)


def add_pod_annotation(task: PipelineTask, annotation_key: str, annotation_value: str) -> PipelineTask:
    """Add an annotation to the pod.

    Args:
        task: the task.
        annotation_key: the key of the annotation.
        annotation_value: its value.

    Returns:
        The task.

    Raises:
        AuthoringTypeError: if an argument is not text.
    """
    settings = KubernetesSettings(task, "add_pod_annotation")
    return settings.add_pair("podMetadata", "annotations", annotation_key, annotation_value)


def use_field_path_as_env(task: PipelineTask, env_name: str, field_path: str) -> PipelineTask:
    """Set an environment variable to a field of the pod.

    Args:
        task: the task.
        env_name: the name of the variable.
        field_path: the path of the field, such as `metadata.name`.

    Returns:
        The task.

    Raises:
        AuthoringTypeError: if an argument is not text.
    """
    settings = KubernetesSettings(task, "use_field_path_as_env")
    return settings.append("fieldPathAsEnv", settings.fields(name=env_name, field_path=field_path))


def set_timeout(task: PipelineTask, seconds: int) -> PipelineTask:
    """Set how long the pod may run before it is stopped, and the task fails.

    Args:
        task: the task.
        seconds: the time in seconds; 0 removes an earlier timeout.

    Returns:
        The task.

    Raises:
        AuthoringError: if it is negative.
        AuthoringTypeError: if it is not a whole number.
    """
    settings = KubernetesSettings(task, "set_timeout")
    number = settings.check_number("seconds", seconds, 0)
    return settings.set("activeDeadlineSeconds", str(number) if number else "")


def set_image_pull_policy(task: PipelineTask, policy: str) -> PipelineTask:
    """Set when the image is pulled.

    Args:
        task: the task.
        policy: `Always`, `Never` or `IfNotPresent`.

    Returns:
        The task.

    Raises:
        AuthoringError: if it is another one.
    """
    settings = KubernetesSettings(task, "set_image_pull_policy")
    if policy not in _PULL_POLICIES:
        raise settings.error(f"expected policy to be one of {', '.join(_PULL_POLICIES)}, got {preview(policy)}")
    return settings.set("imagePullPolicy", policy)


def set_security_context(
    task: PipelineTask,
    run_as_user: int | None = None,
    run_as_group: int | None = None,
    run_as_non_root: bool | None = None,
) -> PipelineTask:
    """Set the user and group of the processes in the container.

    Args:
        task: the task.
        run_as_user: the id of the user.
        run_as_group: the id of the group.
        run_as_non_root: whether the container is refused if its user is root.

    Returns:
        The task.

    Raises:
        AuthoringError: if all are None, or an id is negative.
        AuthoringTypeError: if an id is not a whole number, or the last argument is not a boolean.
    """
    settings = KubernetesSettings(task, "set_security_context")
    for argument, number in {"run_as_user": run_as_user, "run_as_group": run_as_group}.items():
        if isinstance(number, bool):
            raise settings.type_error(argument, "a whole number", number)
        if number is not None:
            settings.check_number(argument, number, 0)
    if run_as_non_root is not None and not isinstance(run_as_non_root, bool):
        raise settings.type_error("run_as_non_root", "True or False", run_as_non_root)
    context = settings.fields(run_as_user=run_as_user, run_as_group=run_as_group, run_as_non_root=run_as_non_root)
    if not context:
        raise settings.error("expected at least one of run_as_user, run_as_group and run_as_non_root")
    return settings.update("securityContext", context)
