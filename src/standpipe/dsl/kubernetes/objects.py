"""Secrets and config maps, as environment variables, volumes, and for pulling images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from standpipe.dsl.kubernetes.settings import KubernetesSettings
from standpipe.dsl.tracing.channels import PipelineParameterChannel
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.model.types import Json


def use_secret_as_env(
    task: PipelineTask,
    secret_name: PipelineParameterChannel | str,
    secret_key_to_env: dict[str, str],
    optional: bool = False,
) -> PipelineTask:
    """Set environment variables to values of a secret.

    Args:
        task: the task.
        secret_name: the name of the secret; it may be an input of the pipeline or an output of a task.
        secret_key_to_env: the environment variables by the keys of the secret.
        optional: whether the task runs without the variables if there is no such secret or key.

    Returns:
        The task.

    Raises:
        AuthoringError: if the name is neither text nor a parameter.
        AuthoringTypeError: if another argument is of the wrong type.
    """
    settings = KubernetesSettings(task, "use_secret_as_env")
    return settings.append("secretAsEnv", _source(settings, "secret", secret_name, optional, secret_key_to_env))


def use_secret_as_volume(
    task: PipelineTask, secret_name: PipelineParameterChannel | str, mount_path: str, optional: bool = False
) -> PipelineTask:
    """Mount a secret as a folder with a file for each key.

    Args:
        task: the task.
        secret_name: the name of the secret; it may be an input of the pipeline or an output of a task.
        mount_path: the absolute path of the folder.
        optional: whether the folder is empty if there is no such secret.

    Returns:
        The task.

    Raises:
        AuthoringError: if the name is neither text nor a parameter.
        AuthoringTypeError: if another argument is of the wrong type.
    """
    settings = KubernetesSettings(task, "use_secret_as_volume")
    source = _source(settings, "secret", secret_name, optional)
    return settings.append("secretAsVolume", {**source, **settings.fields(mount_path=mount_path)})


def use_config_map_as_env(
    task: PipelineTask,
    config_map_name: PipelineParameterChannel | str,
    config_map_key_to_env: dict[str, str],
    optional: bool = False,
) -> PipelineTask:
    """Set environment variables to values of a config map; the arguments and errors are as in `use_secret_as_env`."""
    settings = KubernetesSettings(task, "use_config_map_as_env")
    source = _source(settings, "configMap", config_map_name, optional, config_map_key_to_env)
    return settings.append("configMapAsEnv", source)


def use_config_map_as_volume(
    task: PipelineTask, config_map_name: PipelineParameterChannel | str, mount_path: str, optional: bool = False
) -> PipelineTask:
    """Mount a config map as a folder; the arguments and errors are as in `use_secret_as_volume`."""
    settings = KubernetesSettings(task, "use_config_map_as_volume")
    source = _source(settings, "configMap", config_map_name, optional)
    return settings.append("configMapAsVolume", {**source, **settings.fields(mount_path=mount_path)})


def set_image_pull_secrets(
    task: PipelineTask, secret_names: Sequence[str] | Sequence[PipelineParameterChannel]
) -> PipelineTask:
    """Set the secrets that a cluster pulls the image with. They are added to earlier ones.

    Args:
        task: the task.
        secret_names: the names of the secrets; they may be inputs of the pipeline or outputs of tasks.

    Returns:
        The task.

    Raises:
        AuthoringTypeError: if it is not a list.
        AuthoringError: if a name is neither text nor a parameter.
    """
    settings = KubernetesSettings(task, "set_image_pull_secrets")
    if not isinstance(secret_names, (list, tuple)):
        raise settings.type_error("secret_names", "a list", secret_names)
    return settings.append("imagePullSecret", *(_name(settings, "secret", name) for name in secret_names))


def _source(
    settings: KubernetesSettings,
    kind: str,
    name: PipelineParameterChannel | str,
    optional: bool,
    key_to_env: Mapping[str, str] | None = None,
) -> dict[str, Json]:
    """Return the fields that say what object is used, and which of its keys."""
    source = {**_name(settings, kind, name), **settings.fields(optional=optional)}
    pairs = [
        {field: text for field, text in ((f"{kind}Key", key), ("envVar", variable)) if text}
        for key, variable in settings.check_texts("the environment variables by key", key_to_env).items()
    ]
    return {**source, "keyToEnv": pairs} if pairs else source


def _name(settings: KubernetesSettings, kind: str, name: PipelineParameterChannel | str) -> dict[str, Json]:
    """Return the fields for the name of an object: that of all backends, and the older one for constants."""
    constant = {f"{kind}Name": name} if isinstance(name, str) and name else {}
    return {**constant, f"{kind}NameParameter": settings.reference("the name", name)}
