"""Settings of kfp-kubernetes as fields of a pod's manifest, for pods of a real cluster.

The rules are those of the KFP backend (`backend/src/v2/driver/k8s.go`, `extendPodSpecPatch`, at 7b70c7b), except where
a comment says otherwise.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from standpipe.model.attempts import PodManifest, PodSettings
from standpipe.model.types import Json
from standpipe.model.values import Value
from standpipe.pods.config_fields import ConfigFields
from standpipe.pods.init_containers import read_init_containers
from standpipe.pods.scheduling import node_affinity, node_selector, tolerations
from standpipe.pods.settings import Name, SettingError, claim_name, object_name, sub_path

#: The value of a source for the task of the manifest; None if it has none.
Resolve = Callable[[Name], Value]

#: The settings that the KFP backend does not read, and neither does this.
UNSUPPORTED = ("podAffinity",)

_PULL_POLICIES = ("Always", "Never", "IfNotPresent")

#: What the backend drops from each container whose security it sets ("PSS baseline").
_NO_CAPABILITIES: Json = {"drop": ["ALL"]}

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the path in the container


def make_pod(fields: ConfigFields, resolve: Resolve) -> PodSettings:
    """Return what the settings of an executor mean for a pod.

    Args:
        fields: the settings.
        resolve: returns the values of names that are inputs or outputs.

    Raises:
        SpecError: if a field is malformed; the message has its path.
        SettingError: if a name has no value and must have one.
    """
    volumes = _Volumes(fields, resolve)
    metadata = fields.inner("podMetadata")
    spec: dict[str, Json] = {
        "nodeSelector": node_selector(fields, resolve),
        "tolerations": tolerations(fields, resolve),
        "affinity": node_affinity(fields, resolve),
        "imagePullSecrets": [{"name": name} for name in _pull_secrets(fields, resolve)],
        "activeDeadlineSeconds": max(0, fields.number("activeDeadlineSeconds") or 0),
    }
    manifest = PodManifest(
        annotations=metadata.texts("annotations"),
        volumes=tuple(volumes.volumes.values()),
        init_containers=tuple(_init_container(entry, volumes) for entry in _init_containers(fields)),
        spec={field: value for field, value in spec.items() if value},
        env=tuple(_variables(fields, resolve)),
        volume_mounts=tuple(volumes.mounts),
        security_context=_security(fields.inner("securityContext")),
    )
    return PodSettings(pull_policy=_pull_policy(fields), labels=metadata.texts("labels"), manifest=manifest)


def _variables(fields: ConfigFields, resolve: Resolve) -> Iterator[Json]:
    """Yield the variables of the task's container: their values stay in the cluster."""
    for prefix, ref, what in (
        ("secret", "secretKeyRef", "secretAsEnv"),
        ("configMap", "configMapKeyRef", "configMapAsEnv"),
    ):
        for entry in fields.entries(what):
            name = _resolve_name(object_name(entry, prefix), resolve)
            for pair in entry.entries("keyToEnv") if name is not None else ():
                # unset: it must exist
                optional = {"optional": entry.flag("optional")} if "optional" in entry else {}
                source: Json = {"name": name, "key": pair.text(f"{prefix}Key"), **optional}
                yield {"name": pair.text("envVar"), "valueFrom": {ref: source}}
    for entry in fields.entries("fieldPathAsEnv"):
        path = {"fieldPath": entry.text("fieldPath")}
        yield {"name": entry.text("name"), "valueFrom": {"fieldRef": dict[str, Json](path)}}


def _pull_secrets(fields: ConfigFields, resolve: Resolve) -> Iterator[str]:
    for entry in fields.entries("imagePullSecret"):
        name = _resolve_name(object_name(entry, "secret"), resolve)
        if name is not None:
            yield name


def _pull_policy(fields: ConfigFields) -> str:
    policy = fields.text("imagePullPolicy")
    if policy and policy not in _PULL_POLICIES:
        raise SettingError(f"invalid image pull policy {policy!r}: expected one of {', '.join(_PULL_POLICIES)}")
    return policy


def _security(fields: ConfigFields) -> dict[str, Json]:
    settings: dict[str, Json] = {name: fields.number(name) for name in ("runAsUser", "runAsGroup") if name in fields}
    if "runAsNonRoot" in fields:
        settings["runAsNonRoot"] = fields.flag("runAsNonRoot")
    if settings.get("runAsNonRoot") and settings.get("runAsUser") == 0:
        raise SettingError("it is to run as user 0, which is root, and runAsNonRoot forbids that")
    return {**settings, "capabilities": _NO_CAPABILITIES} if settings else {}


def _resolve_name(source: Name, resolve: Resolve) -> str | None:
    """Return the name of an object; None if it comes from an optional input without a value, and is left out.

    Raises:
        SettingError: if the name is empty.
    """
    value = resolve(source)
    if value == "":
        raise SettingError("the name of a secret, config map or PVC is empty")
    return None if value is None else str(value)


class _Volumes:
    """The volumes of a pod, by the names that settings have for them, and their mounts in the task's container.

    The backend names a volume after its object. That is not valid for a volume if the object has dots or more than
    63 characters in its name, so it is shortened here; and a secret and a config map of one name do not become one.
    """

    def __init__(self, fields: ConfigFields, resolve: Resolve) -> None:
        self.volumes: dict[str, Json] = {}
        self.mounts: list[Json] = []
        self._names: dict[str, str] = {}
        for entry in fields.entries("pvcMount"):
            self._add_claim(entry, resolve)
        for prefix, source, key in (("secret", "secret", "secretName"), ("configMap", "configMap", "name")):
            for entry in fields.entries(f"{prefix}AsVolume"):
                name = _resolve_name(object_name(entry, prefix), resolve)
                if name is not None:
                    self._add(name, {source: {key: name, "optional": entry.flag("optional")}}, entry)
        for entry in fields.entries("genericEphemeralVolume"):
            self._add(entry.text("volumeName"), {"ephemeral": {"volumeClaimTemplate": _claim_template(entry)}}, entry)
        for entry in fields.entries("emptyDirMounts"):
            texts = {name: entry.text(name) for name in ("medium", "sizeLimit")}
            self._add(
                entry.text("volumeName"), {"emptyDir": {name: text for name, text in texts.items() if text}}, entry
            )
        if "enabledSharedMemory" in fields:
            self._add_shared_memory(fields.inner("enabledSharedMemory"))

    def find(self, name: str) -> str:
        """Return the name of a volume in the manifest.

        Raises:
            SettingError: if the pod does not have it.
        """
        if name not in self._names:
            known = ", ".join(map(repr, sorted(self._names))) or "none"
            raise SettingError(
                f"an init container mounts the volume {name!r}, which the task does not have: its volumes are {known}. "
                "Add it to the task, for instance with kubernetes.empty_dir_mount or kubernetes.mount_pvc"
            )
        return self._names[name]

    def _add_claim(self, entry: ConfigFields, resolve: Resolve) -> None:
        name = _resolve_name(claim_name(entry), resolve)
        if name is None:
            raise SettingError(f"the name of the PVC for {entry.mount_path()} comes from an input without a value")
        inside = sub_path(entry)
        self._add(name, {"persistentVolumeClaim": {"claimName": name}}, entry, {"subPath": inside} if inside else {})

    def _add_shared_memory(self, fields: ConfigFields) -> None:
        """Add a volume in memory. The backend does not read this setting; its description says what it means."""
        size = fields.text("size")
        source: Json = {"emptyDir": {"medium": "Memory", **({"sizeLimit": size} if size else {})}}
        name = self._add_volume(fields.text("volumeName") or "shared-memory", source)
        self.mounts.append({"name": name, "mountPath": _SHARED_MEMORY})

    def _add(
        self, name: str, source: Mapping[str, Json], entry: ConfigFields, options: Mapping[str, Json] | None = None
    ) -> None:
        path = entry.mount_path()
        if any(isinstance(mount, dict) and mount["mountPath"] == path for mount in self.mounts):
            raise SettingError(f"two volumes are mounted at {path}, which a cluster does not allow")
        self.mounts.append({"name": self._add_volume(name, source), "mountPath": path, **(options or {})})

    def _add_volume(self, name: str, source: Json) -> str:
        """Add a volume, unless the pod has the same one, and return its name in the manifest."""
        assert isinstance(source, dict)
        label = volume_name(name)
        if self.volumes.get(label, {"name": label, **source}) != {"name": label, **source}:
            label = volume_name(f"{next(iter(source))}.{name}")
        self.volumes[label] = {"name": label, **source}
        self._names.setdefault(name, label)
        return label


def volume_name(name: str) -> str:
    """Return a valid name of a volume for the name of an object: the same, if it is valid.

    >>> volume_name("data"), volume_name("my.secret")
    ('data', 'my-secret-24a61a6b')
    """
    if re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')[:54]}-{digest}".lstrip("-")


def _claim_template(entry: ConfigFields) -> Json:
    metadata = entry.inner("metadata")
    spec: dict[str, Json] = {
        "accessModes": [*entry.list_of_texts("accessModes")],
        "resources": {"requests": {"storage": entry.text("size")}},
    }
    if not entry.flag("defaultStorageClass"):
        spec["storageClassName"] = entry.text(
            "storageClassName"
        )  # empty: a volume without a class, as the backend has it
    parts = {name: dict[str, Json](metadata.texts(name)) for name in ("labels", "annotations")}
    return {"metadata": {name: texts for name, texts in parts.items() if texts}, "spec": spec}


def _init_containers(fields: ConfigFields) -> Iterable[ConfigFields]:
    """Return the init containers after a check of all of them, which raises what is wrong with one."""
    read_init_containers(fields)
    return fields.entries("initContainers")


def _init_container(entry: ConfigFields, volumes: _Volumes) -> Json:
    """Return an init container or a sidecar, with the restrictions that the backend gives it."""
    resources = {part: dict[str, Json](entry.inner("resources").texts(part)) for part in ("requests", "limits")}
    parts: dict[str, Json] = {
        "command": [*entry.list_of_texts("command")],
        "args": [*entry.list_of_texts("args")],
        "env": [{"name": pair.text("name"), "value": pair.text("value")} for pair in entry.entries("env")],
        "volumeMounts": [
            {"name": volumes.find(mount.text("volumeName")), "mountPath": mount.mount_path()}
            for mount in entry.entries("volumeMounts")
        ],
        "resources": {part: texts for part, texts in resources.items() if texts},
        "restartPolicy": entry.text("restartPolicy"),
    }
    return {
        "name": entry.text("name"),
        "image": entry.text("image"),
        **{field: value for field, value in parts.items() if value},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": _NO_CAPABILITIES,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
