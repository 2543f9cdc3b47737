"""Kubernetes settings of a task: KubernetesExecutorConfig, as `kfp-kubernetes` writes it, read into typed values."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TypeVar

from standpipe.errors import SpecError, StandpipeError
from standpipe.kubernetes.provisions import Kind
from standpipe.model.frozen import frozen
from standpipe.model.plan import Constant, FromInput, FromTask
from standpipe.model.resources import QuantityError, parse_memory
from standpipe.model.types import Json

T = TypeVar("T")

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

    what: str
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
    ignored: tuple[str, ...]


def read(config: Json, path: str) -> Settings:
    """Read the settings of an executor.

    Args:
        config: the settings, as JSON.
        path: the path of the settings in the platform document.

    Raises:
        SpecError: if a field is malformed; the message has its path.
    """
    fields = _Fields(config, path)
    metadata, security = fields.inner("podMetadata"), fields.inner("securityContext")
    claims = tuple(
        ClaimMount(_claim_name(mount), _mount_path(mount), _sub_path(mount)) for mount in fields.entries("pvcMount")
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
        ignored=fields.unread,  # last, as reading marks a field
    )


def _envs(fields: _Fields, kind: Kind, prefix: str) -> tuple[EnvironmentSource, ...]:
    return tuple(
        EnvironmentSource(
            kind,
            _object_name(entry, prefix),
            tuple((pair.text(f"{prefix}Key"), pair.text("envVar")) for pair in entry.entries("keyToEnv")),
            entry.flag("optional"),
        )
        for entry in fields.entries(f"{prefix}AsEnv")
    )


def _volumes(fields: _Fields, kind: Kind, prefix: str) -> tuple[ObjectVolume, ...]:
    return tuple(
        ObjectVolume(kind, _object_name(entry, prefix), _mount_path(entry), entry.flag("optional"))
        for entry in fields.entries(f"{prefix}AsVolume")
    )


def _object_name(entry: _Fields, prefix: str) -> Name:
    """Return the name from the newer field, which can refer to a value of the run, or from the older constant field."""
    if f"{prefix}NameParameter" in entry:
        return _reference(entry.inner(f"{prefix}NameParameter"))
    return Constant(entry.text(f"{prefix}Name"))


def _claim_name(mount: _Fields) -> Name:
    if "pvcNameParameter" in mount:
        return _reference(mount.inner("pvcNameParameter"))
    if "constant" in mount:
        return Constant(mount.text("constant"))
    return _reference(mount)


def _reference(fields: _Fields) -> Name:
    if "componentInputParameter" in fields:
        return FromInput(fields.text("componentInputParameter"))
    if "taskOutputParameter" in fields:
        output = fields.inner("taskOutputParameter")
        return FromTask(output.text("producerTask"), output.text("outputParameterKey"))
    if "runtimeValue" in fields:
        return Constant(fields.inner("runtimeValue").text("constant"))
    raise SpecError(f"{fields.path}: expected a name: a constant, an input of the pipeline or an output of a task.")


def _mount_path(entry: _Fields) -> str:
    text = entry.text("mountPath")
    path = "/" + posixpath.normpath(text).strip("/")
    if not text.startswith("/") or path == "/" or ":" in path:
        raise SpecError(f"{entry.path}.mountPath: invalid path {text!r}: expected an absolute path without colons.")
    return path


def _sub_path(entry: _Fields) -> str:
    path = entry.text("subPath")
    if path.startswith("/") or ".." in path.split("/"):
        raise SpecError(f"{entry.path}.subPath: invalid path {path!r}: expected a path inside the volume.")
    return path


def _ephemeral(entry: _Fields) -> ScratchVolume:
    unsupported = ("the size, access modes and storage class of an ephemeral volume",)
    return ScratchVolume("ephemeral volume", _mount_path(entry), unsupported)


def _empty_dir(entry: _Fields) -> ScratchVolume:
    properties = {"medium": "the medium of an emptyDir", "sizeLimit": "the size limit of an emptyDir"}
    return ScratchVolume(
        "emptyDir", _mount_path(entry), tuple(what for key, what in properties.items() if entry.text(key))
    )


def _size(fields: _Fields, field: str) -> int:
    try:
        return parse_memory(fields.text(field) or "0")
    except QuantityError as error:
        raise SpecError(f"{fields.path}.{field}: {error}.") from error


class _Fields:
    """A JSON object whose fields are read with an expected type. A missing field is empty."""

    def __init__(self, fields: Json, path: str) -> None:
        if not isinstance(fields, dict):
            raise SpecError(f"{path}: expected a mapping.")
        self._fields = fields
        self._read: set[str] = set()
        self.path = path

    def __contains__(self, field: str) -> bool:
        return field in self._fields

    @property
    def unread(self) -> tuple[str, ...]:
        return tuple(field for field in self._fields if field not in self._read)

    def text(self, field: str) -> str:
        return self._take(field, str, "text") or ""

    def flag(self, field: str) -> bool:
        return self._take(field, bool, "true or false") or False

    def number(self, field: str) -> int | None:
        """Return a whole number. Protobuf writes large ones as text in JSON, and PlatformSpec has only doubles."""
        value = self._take(field, object, "a whole number")
        try:
            if value is None or isinstance(value, (int, str)):
                return None if value is None else int(value)
            if isinstance(value, float) and value.is_integer():
                return int(value)
        except ValueError:
            pass
        raise SpecError(f"{self.path}.{field}: expected a whole number, got {value!r}.")

    def texts(self, field: str) -> dict[str, str]:
        inner = self.inner(field)
        return {key: inner.text(key) for key in inner._fields}

    def inner(self, field: str) -> _Fields:
        return _Fields(self._take(field, dict, "a mapping") or {}, f"{self.path}.{field}")

    def entries(self, field: str) -> list[_Fields]:
        entries = self._take(field, list, "a list") or []
        return [_Fields(entry, f"{self.path}.{field}[{index}]") for index, entry in enumerate(entries)]

    def _take(self, field: str, kind: type[T], expected: str) -> T | None:
        self._read.add(field)
        value = self._fields.get(field)
        if value is not None and not isinstance(value, kind):
            raise SpecError(f"{self.path}.{field}: expected {expected}.")
        return value
