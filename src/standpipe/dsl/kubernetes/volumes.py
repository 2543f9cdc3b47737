"""PVCs, and empty folders for one task."""

from __future__ import annotations

from standpipe.dsl.decorators import ContainerSpec, container_component
from standpipe.dsl.kubernetes.settings import KubernetesSettings
from standpipe.dsl.tracing.channels import PipelineParameterChannel
from standpipe.dsl.tracing.tasks import PipelineTask
from standpipe.model.kfp import CREATE_PVC, DELETE_PVC
from standpipe.worker.annotations import OutputPath


@container_component
def CreatePVC(  # noqa: N802 - the name in KFP
    name: OutputPath(str),  # type: ignore[valid-type]  # KFP's notation
    access_modes: list[str],
    size: str,
    pvc_name: str | None = None,
    pvc_name_suffix: str | None = None,
    storage_class_name: str | None = "",
    volume_name: str | None = None,
    annotations: dict[str, str] | None = None,
    data_source: dict[str, str] | None = None,
) -> ContainerSpec:
    """Create a PVC.

    Args:
        name: the name of the PVC, for tasks that mount it.
        access_modes: how it can be mounted, such as `["ReadWriteMany"]`.
        size: its size, such as `5Gi`.
        pvc_name: its name, if it is known. Only one of the name and the suffix can be set.
        pvc_name_suffix: the end of a name that begins with that of the run.
        storage_class_name: its storage class. None stands for the default of the cluster, and an empty text for none.
        volume_name: the name of an existing volume that it binds to.
        annotations: its annotations.
        data_source: what its content is copied from, with the keys `apiGroup`, `kind` and `name`.
    """
    return ContainerSpec(image=CREATE_PVC)


@container_component
def DeletePVC(pvc_name: str) -> ContainerSpec:  # noqa: N802 - the name in KFP
    """Delete a PVC.

    Args:
        pvc_name: the name of the PVC, such as the output of `CreatePVC`.
    """
    return ContainerSpec(image=DELETE_PVC)


def mount_pvc(
    task: PipelineTask, pvc_name: PipelineParameterChannel | str, mount_path: str, sub_path: str = ""
) -> PipelineTask:
    """Mount a PVC, or a folder in it.

    Args:
        task: the task.
        pvc_name: the name of the PVC; it may be an input of the pipeline or an output of a task, such as `CreatePVC`.
        mount_path: the absolute path where it is mounted.
        sub_path: the path of the folder in it; by default the whole PVC.

    Returns:
        The task.

    Raises:
        AuthoringError: if the name is neither text nor a parameter.
        AuthoringTypeError: if another argument is of the wrong type.
    """
    settings = KubernetesSettings(task, "mount_pvc")
    name = settings.reference("pvc_name", pvc_name)
    older_name = {"constant": pvc_name} if isinstance(pvc_name, str) else name
    paths = settings.fields(mount_path=mount_path, sub_path=sub_path)
    return settings.append("pvcMount", {**older_name, "pvcNameParameter": name, **paths})


def add_ephemeral_volume(
    task: PipelineTask,
    volume_name: str,
    mount_path: str,
    access_modes: list[str],
    size: str,
    storage_class_name: str | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> PipelineTask:
    """Mount an empty volume that exists as long as the task.

    Args:
        task: the task.
        volume_name: the name of the volume.
        mount_path: the absolute path where it is mounted.
        access_modes: how it can be mounted, such as `["ReadWriteOnce"]`.
        size: its size, such as `5Gi`.
        storage_class_name: its storage class; by default that of the cluster.
        labels: the labels of its PVC.
        annotations: the annotations of its PVC.

    Returns:
        The task.

    Raises:
        AuthoringTypeError: if an argument is of the wrong type.
    """
    settings = KubernetesSettings(task, "add_ephemeral_volume")
    volume = settings.fields(
        volume_name=volume_name,
        mount_path=mount_path,
        access_modes=access_modes,
        size=size,
        storage_class_name=storage_class_name,
        default_storage_class=storage_class_name is None,
    )
    metadata = settings.fields(labels=labels, annotations=annotations)
    return settings.append("genericEphemeralVolume", {**volume, "metadata": metadata} if metadata else volume)


def empty_dir_mount(
    task: PipelineTask, volume_name: str, mount_path: str, medium: str | None = None, size_limit: str | None = None
) -> PipelineTask:
    """Mount an empty folder of the node, which exists as long as the task.

    Args:
        task: the task.
        volume_name: the name of the volume.
        mount_path: the absolute path where it is mounted.
        medium: `Memory` or `HugePages`; by default the disk of the node.
        size_limit: its maximum size, such as `5Gi`.

    Returns:
        The task.

    Raises:
        AuthoringTypeError: if an argument is of the wrong type.
    """
    settings = KubernetesSettings(task, "empty_dir_mount")
    folder = settings.fields(volume_name=volume_name, mount_path=mount_path, medium=medium, size_limit=size_limit)
    return settings.append("emptyDirMounts", folder)
