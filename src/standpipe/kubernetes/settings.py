"""A task's settings as `kfp-kubernetes` writes them (KubernetesExecutorConfig as JSON), read once into typed values."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TypeVar

from standpipe.errors import SpecError, StandpipeError
from standpipe.kubernetes.provisions import Kind
from standpipe.model.frozen import frozen
from standpipe.model.plan import Constant, FromInput, FromTask
from standpipe.model.types import Json

T = TypeVar("T")

#: What the name of an object may come from, seen from the DAG that the task belongs to.
Name = Constant | FromTask | FromInput

_UNITS = {
    **dict(zip(("", "k", "M", "G", "T", "P", "E"), (1000**n for n in range(7)), strict=True)),
    **dict(zip(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), (1024**n for n in range(1, 7)), strict=True)),
}


class SettingError(StandpipeError):
    """A setting of a task cannot be met on this machine. The message goes on from the task's name: "it needs …"."""


@frozen
class AsEnv:
    """Keys of a secret or config map as environment variables: pairs of key and variable."""

    kind: Kind
    name: Name
    variables: tuple[tuple[str, str], ...]
    optional: bool


@frozen
class AsVolume:
    """A secret or config map as a folder with a file for each key."""

    kind: Kind
    name: Name
    path: str
    optional: bool


@frozen
class ClaimMount:
    """A PVC, or a folder in it, as a folder of the task."""

    name: Name
    path: str
    sub_path: str


@frozen
class Scratch:
    """An empty folder that the task has for itself. `asks` are wishes that a plain folder does not fulfil."""

    what: str
    path: str
    asks: tuple[str, ...]


@frozen
class Settings:
    """All settings of one executor. `field_paths` are pairs of variable and path; zero and empty mean unset.

    `timeout` is in seconds, `shared_memory` in bytes. `elsewhere` are the names of settings that count on a cluster
    only, or that are not known.
    """

    envs: tuple[AsEnv, ...]
    volumes: tuple[AsVolume | ClaimMount | Scratch, ...]
    field_paths: tuple[tuple[str, str], ...]
    timeout: int
    pull_policy: str
    shared_memory: int
    user: int | None
    group: int | None
    non_root: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    elsewhere: tuple[str, ...]


def read(config: Json, path: str) -> Settings:
    """Reads an executor's settings; `path` is where they are in the platform document.

    Raises:
        SpecError: if a field is not what it should be; the message has its path.
    """
    given = _Fields(config, path)
    metadata, security = given.inner("podMetadata"), given.inner("securityContext")
    claims = tuple(
        ClaimMount(_claim_name(mount), _mount_path(mount), _sub_path(mount)) for mount in given.entries("pvcMount")
    )
    return Settings(
        envs=(*_envs(given, Kind.SECRET, "secret"), *_envs(given, Kind.CONFIG_MAP, "configMap")),
        volumes=(
            *claims,
            *_volumes(given, Kind.SECRET, "secret"),
            *_volumes(given, Kind.CONFIG_MAP, "configMap"),
            *map(_ephemeral, given.entries("genericEphemeralVolume")),
            *map(_empty_dir, given.entries("emptyDirMounts")),
        ),
        field_paths=tuple((entry.text("name"), entry.text("fieldPath")) for entry in given.entries("fieldPathAsEnv")),
        timeout=given.number("activeDeadlineSeconds") or 0,
        pull_policy=given.text("imagePullPolicy"),
        shared_memory=_size(given.inner("enabledSharedMemory"), "size"),
        user=security.number("runAsUser"),
        group=security.number("runAsGroup"),
        non_root=security.flag("runAsNonRoot"),
        labels=metadata.texts("labels"),
        annotations=metadata.texts("annotations"),
        elsewhere=given.unread,  # so this comes last
    )


def _envs(given: _Fields, kind: Kind, prefix: str) -> tuple[AsEnv, ...]:
    return tuple(
        AsEnv(
            kind,
            _object_name(entry, prefix),
            tuple((pair.text(f"{prefix}Key"), pair.text("envVar")) for pair in entry.entries("keyToEnv")),
            entry.flag("optional"),
        )
        for entry in given.entries(f"{prefix}AsEnv")
    )


def _volumes(given: _Fields, kind: Kind, prefix: str) -> tuple[AsVolume, ...]:
    return tuple(
        AsVolume(kind, _object_name(entry, prefix), _mount_path(entry), entry.flag("optional"))
        for entry in given.entries(f"{prefix}AsVolume")
    )


def _object_name(entry: _Fields, prefix: str) -> Name:
    """The newer field, which may refer to a value of the run, or the older one with just the name."""
    if f"{prefix}NameParameter" in entry:
        return _reference(entry.inner(f"{prefix}NameParameter"))
    return Constant(entry.text(f"{prefix}Name"))


def _claim_name(mount: _Fields) -> Name:
    if "pvcNameParameter" in mount:
        return _reference(mount.inner("pvcNameParameter"))
    if "constant" in mount:
        return Constant(mount.text("constant"))
    return _reference(mount)


def _reference(given: _Fields) -> Name:
    if "componentInputParameter" in given:
        return FromInput(given.text("componentInputParameter"))
    if "taskOutputParameter" in given:
        output = given.inner("taskOutputParameter")
        return FromTask(output.text("producerTask"), output.text("outputParameterKey"))
    if "runtimeValue" in given:
        return Constant(given.inner("runtimeValue").text("constant"))
    raise SpecError(f"{given.path}: a name is wanted: a constant, an input of the pipeline or an output of a task.")


def _mount_path(entry: _Fields) -> str:
    given = entry.text("mountPath")
    path = "/" + posixpath.normpath(given).strip("/")
    if not given.startswith("/") or path == "/" or ":" in path:
        raise SpecError(f"{entry.path}.mountPath: {given!r} is no absolute path of a folder without colons.")
    return path


def _sub_path(entry: _Fields) -> str:
    path = entry.text("subPath")
    if path.startswith("/") or ".." in path.split("/"):
        raise SpecError(f"{entry.path}.subPath: {path!r} leads out of the volume.")
    return path


def _ephemeral(entry: _Fields) -> Scratch:
    asks = ("the size, access modes and storage class of an ephemeral volume",)
    return Scratch("ephemeral volume", _mount_path(entry), asks)


def _empty_dir(entry: _Fields) -> Scratch:
    asks = {"medium": "the medium of an emptyDir", "sizeLimit": "the size limit of an emptyDir"}
    return Scratch("emptyDir", _mount_path(entry), tuple(what for key, what in asks.items() if entry.text(key)))


def _size(given: _Fields, field: str) -> int:
    text = given.text(field)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", text or "0")
    if not match or match[2] not in _UNITS:
        raise SpecError(f"{given.path}.{field}: {text!r} is no size such as 1Gi.")
    return int(float(match[1]) * _UNITS[match[2]])


class _Fields:
    """A JSON object whose fields are read with the kind that they must have; what is missing is empty."""

    def __init__(self, fields: Json, path: str) -> None:
        if not isinstance(fields, dict):
            raise SpecError(f"{path}: a mapping is wanted.")
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
        """A whole number; protobuf's JSON writes large ones as text, and PlatformSpec has only doubles."""
        value = self._take(field, object, "a whole number")
        try:
            if value is None or isinstance(value, (int, str)):
                return None if value is None else int(value)
            if isinstance(value, float) and value.is_integer():
                return int(value)
        except ValueError:
            pass
        raise SpecError(f"{self.path}.{field}: {value!r} is no whole number.")

    def texts(self, field: str) -> dict[str, str]:
        inner = self.inner(field)
        return {key: inner.text(key) for key in inner._fields}

    def inner(self, field: str) -> _Fields:
        return _Fields(self._take(field, dict, "a mapping") or {}, f"{self.path}.{field}")

    def entries(self, field: str) -> list[_Fields]:
        entries = self._take(field, list, "a list") or []
        return [_Fields(entry, f"{self.path}.{field}[{index}]") for index, entry in enumerate(entries)]

    def _take(self, field: str, kind: type[T], wanted: str) -> T | None:
        self._read.add(field)
        value = self._fields.get(field)
        if value is not None and not isinstance(value, kind):
            raise SpecError(f"{self.path}.{field}: {wanted} is wanted.")
        return value
