"""Kubernetes settings of a task: KubernetesExecutorConfig, as `kfp-kubernetes` writes it, read into typed values."""

from __future__ import annotations

from collections.abc import Mapping

from standpipe.errors import SpecError, StandpipeError
from standpipe.model.frozen import frozen
from standpipe.model.plan import Constant, FromInput, FromTask
from standpipe.model.resources import QuantityError, parse_memory
from standpipe.model.types import Json
from standpipe.pods.config_fields import ConfigFields
from standpipe.pods.init_containers import InitContainerSettings, read_init_containers
from standpipe.pods.provisions import Kind

#: The source of the name of an object, relative to the DAG that the task belongs to.
Name = Constant | FromTask | FromInput


class SettingError(StandpipeError):
    """A setting of a task cannot be applied on this machine. The message follows "Task 'x' failed: "."""

    is_permanent = True

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@frozen
class EnvironmentSource:
    """Keys of a secret or config map as environment variables: pairs of a key and a variable."""

    kind: Kind
    name: Name
    variables: tuple[tuple[str, str], ...]
    optional: bool


@frozen
class ObjectVolume:
    """A secret or config map, mounted as a folder with a file for each key."""

    kind: Kind
    name: Name
    path: str
    optional: bool


@frozen
class ClaimMount:
    """A PVC, or a folder in it, mounted as a folder."""

    name: Name
    path: str
    sub_path: str


@frozen
class ScratchVolume:
    """An empty folder for one attempt. `unsupported` are the properties that a folder on this machine does not have."""

    name: str
    path: str
    unsupported: tuple[str, ...]


@frozen
class Settings:
    """The settings of an executor. Zero and empty mean unset.

    `field_paths` are pairs of an environment variable and the path of a pod field. `timeout` is in seconds,
    `shared_memory` in bytes. `ignored` are the names of settings that apply only to a cluster, or are unknown.
    """

    envs: tuple[EnvironmentSource, ...]
    volumes: tuple[ObjectVolume | ClaimMount | ScratchVolume, ...]
    field_paths: tuple[tuple[str, str], ...]
    timeout: int
    pull_policy: str
    shared_memory: int
    user: int | None
    group: int | None
    non_root: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    init_containers: tuple[InitContainerSettings, ...]
    ignored: tuple[str, ...]


def read(config: Json, path: str) -> Settings:
    """Read the settings of an executor.

    Args:
        config: the settings, as JSON.
        path: the path of the settings in the platform document.

    Raises:
        SpecError: if a field is malformed; the message has its path.
    """
    fields = ConfigFields(config, path)
    metadata, security = fields.inner("podMetadata"), fields.inner("securityContext")
    claims = tuple(
        ClaimMount(claim_name(mount), mount.mount_path(), sub_path(mount)) for mount in fields.entries("pvcMount")
    )
    return Settings(
        envs=(*_envs(fields, Kind.SECRET, "secret"), *_envs(fields, Kind.CONFIG_MAP, "configMap")),
        volumes=(
            *claims,
            *_volumes(fields, Kind.SECRET, "secret"),
            *_volumes(fields, Kind.CONFIG_MAP, "configMap"),
            *map(_ephemeral, fields.entries("genericEphemeralVolume")),
            *map(_empty_dir, fields.entries("emptyDirMounts")),
        ),
        field_paths=tuple((entry.text("name"), entry.text("fieldPath")) for entry in fields.entries("fieldPathAsEnv")),
        timeout=fields.number("activeDeadlineSeconds") or 0,
        pull_policy=fields.text("imagePullPolicy"),
        shared_memory=_size(fields.inner("enabledSharedMemory"), "size"),
        user=security.number("runAsUser"),
        group=security.number("runAsGroup"),
        non_root=security.flag("runAsNonRoot"),
        labels=metadata.texts("labels"),
        annotations=metadata.texts("annotations"),
        init_containers=read_init_containers(fields),
        # last, as reading marks a field
        ignored=(*fields.unread, *(f"securityContext.{name}" for name in security.unread)),
    )


def _envs(fields: ConfigFields, kind: Kind, prefix: str) -> tuple[EnvironmentSource, ...]:
    return tuple(
        EnvironmentSource(
            kind,
            object_name(entry, prefix),
            tuple((pair.text(f"{prefix}Key"), pair.text("envVar")) for pair in entry.entries("keyToEnv")),
            entry.flag("optional"),
        )
        for entry in fields.entries(f"{prefix}AsEnv")
    )


def _volumes(fields: ConfigFields, kind: Kind, prefix: str) -> tuple[ObjectVolume, ...]:
    return tuple(
        ObjectVolume(kind, object_name(entry, prefix), entry.mount_path(), entry.flag("optional"))
        for entry in fields.entries(f"{prefix}AsVolume")
    )


def object_name(entry: ConfigFields, prefix: str) -> Name:
    """Return the name of a secret or config map.

    The newer field can refer to a value of the run, the older one is a constant.
    """
    if f"{prefix}NameParameter" in entry:
        return read_reference(entry.inner(f"{prefix}NameParameter"))
    return Constant(entry.text(f"{prefix}Name"))


def claim_name(mount: ConfigFields) -> Name:
    """Return the name of a PVC; older files have it in one of three fields of its mount."""
    if "pvcNameParameter" in mount:
        return read_reference(mount.inner("pvcNameParameter"))
    if "constant" in mount:
        return Constant(mount.text("constant"))
    return read_reference(mount)


def read_reference(fields: ConfigFields) -> Name:
    """Return the constant, the input or the output that a value comes from.

    Raises:
        SpecError: if it is none of them.
    """
    if "componentInputParameter" in fields:
        return FromInput(fields.text("componentInputParameter"))
    if "taskOutputParameter" in fields:
        output = fields.inner("taskOutputParameter")
        return FromTask(output.text("producerTask"), output.text("outputParameterKey"))
    if "runtimeValue" in fields:
        return Constant(fields.inner("runtimeValue").text("constant"))
    raise SpecError(f"{fields.path}: expected a name: a constant, an input of the pipeline or an output of a task.")


def sub_path(entry: ConfigFields) -> str:
    """Return the path of a folder in a volume.

    Raises:
        SpecError: if it leads out of the volume.
    """
    path = entry.text("subPath")
    if path.startswith("/") or ".." in path.split("/"):
        raise SpecError(f"{entry.path}.subPath: invalid path {path!r}: expected a path inside the volume.")
    return path


def _ephemeral(entry: ConfigFields) -> ScratchVolume:
    unsupported = ["the size, access modes and storage class of an ephemeral volume"]
    if "metadata" in entry:
        unsupported.append("the labels and annotations of an ephemeral volume")
    return ScratchVolume(entry.text("volumeName"), entry.mount_path(), tuple(unsupported))


def _empty_dir(entry: ConfigFields) -> ScratchVolume:
    properties = {"medium": "the medium of an emptyDir", "sizeLimit": "the size limit of an emptyDir"}
    return ScratchVolume(
        entry.text("volumeName"), entry.mount_path(), tuple(what for key, what in properties.items() if entry.text(key))
    )


def _size(fields: ConfigFields, field: str) -> int:
    try:
        return parse_memory(fields.text(field) or "0")
    except QuantityError as error:
        raise SpecError(f"{fields.path}.{field}: {error}.") from error
