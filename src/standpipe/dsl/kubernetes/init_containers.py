"""Init containers and sidecars.

kfp-kubernetes has the function after 2.17.3 (kubeflow/pipelines#13651). Where the installed release does not have it,
`standpipe.install_as_kfp` adds this one to `kfp.kubernetes`.
"""

from __future__ import annotations

from standpipe.dsl.kubernetes.arguments import Arguments
from standpipe.dsl.tracing.channels import describe_value
from standpipe.dsl.tracing.marks import has_marks
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.model.types import Json
from standpipe.model.values import preview

#: The name of the init container that KFP adds to each pod.
_RESERVED_NAME = "kfp-launcher"


def add_init_container(
    task: PipelineTask,
    name: str,
    image: str,
    command: list[str] | None = None,
    args: list[str] | None = None,
    env: dict[str, str] | None = None,
    volume_mounts: dict[str, str] | None = None,
    restart_policy: str | None = None,
    resource_requests: dict[str, str] | None = None,
    resource_limits: dict[str, str] | None = None,
) -> PipelineTask:
    """Add an init container to a task, or a sidecar.

    Init containers run to their end before the task starts, one after the other. A sidecar starts before the
    containers that are added after it, and runs until the task has ended. All values are constants: they cannot come
    from inputs of the pipeline or from other tasks.

    Args:
        task: the task.
        name: the name of the container, unique in the task.
        image: its image.
        command: its command; by default the entrypoint of the image.
        args: its arguments.
        env: its environment variables. A value, and the command and arguments, can refer to variables before it, such
            as `$(HOST)`.
        volume_mounts: absolute paths by the name of a volume. The task has the volume by another function, such as
            `empty_dir_mount` or `mount_pvc`; the name of the volume of a PVC, secret or config map is its own.
        restart_policy: `"Always"` makes it a sidecar.
        resource_requests: quantities by resource, such as `{"cpu": "250m", "memory": "128Mi"}`.
        resource_limits: the same for its limits.

    Returns:
        The task.

    Raises:
        AuthoringError: if a name, an image or a quantity is empty, the name is reserved or not unique, a path is not
            absolute, or the restart policy is another one.
        AuthoringTypeError: if a value is not text, or known only when the pipeline runs.
    """
    container = _Container(task, name)
    container.set("name", container.check_text("name", name))
    container.set("image", container.check_text("image", image))
    container.set("command", container.check_list("command", command))
    container.set("args", container.check_list("args", args))
    variables = container.check_texts("env", env, may_be_empty=True)
    container.set("env", [{"name": variable, "value": value} for variable, value in variables.items()])
    mounts = container.check_texts("volume_mounts", volume_mounts, may_be_empty=False)
    for volume, path in mounts.items():
        if not path.startswith("/"):
            raise container.error(f"expected an absolute path for the volume {volume!r}, got {path!r}")
    container.set("volumeMounts", [{"volumeName": volume, "mountPath": path} for volume, path in mounts.items()])
    if name == _RESERVED_NAME:
        raise container.error("this name is reserved for KFP's own container")
    if restart_policy not in (None, "Always"):
        raise container.error(f"expected restart_policy to be 'Always' or None, got {describe_value(restart_policy)}")
    container.set("restartPolicy", restart_policy)
    requests = container.check_texts("resource_requests", resource_requests, may_be_empty=False)
    limits = container.check_texts("resource_limits", resource_limits, may_be_empty=False)
    resources = {side: quantities for side, quantities in (("requests", requests), ("limits", limits)) if quantities}
    container.set("resources", resources)
    task.add_init_container(container.fields)
    return task


class _Container(Arguments):
    """One init container: its fields as they are compiled, and the checks of arguments.

    Args:
        task: the task.
        name: the name of the container, for messages.
    """

    def __init__(self, task: PipelineTask, name: object) -> None:
        super().__init__(f"Task {task.name!r}, init container {preview(name)}")
        self.fields: dict[str, Json] = {}

    def set(self, field: str, value: Json) -> None:
        """Set a field, unless its value is empty."""
        if value:
            self.fields[field] = value

    def check_text(self, argument: str, value: object, *, may_be_empty: bool = False) -> str:
        """Return text.

        Raises:
            AuthoringTypeError: if it is not text, or contains a value that is known only at run time.
            AuthoringError: if it is empty and must not be.
        """
        if not isinstance(value, str) or has_marks(value):
            raise self.type_error(argument, "text that is known while the pipeline is traced", value)
        return super().check_text(argument, value, may_be_empty=may_be_empty)
