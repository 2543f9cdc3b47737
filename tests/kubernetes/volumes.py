"""The volumes of a pod as folders of this machine, and what its containers see of them and of objects as variables."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tests.kubernetes.client import Client
from tests.kubernetes.containers import Bind
from tests.kubernetes.storage import ApiError, Object

_REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")


class NotReadyYet(Exception):
    """Something is missing that may be there later, so that a kubelet waits. The reason is that of the kubelet."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Volumes:
    """The volumes of a pod.

    Args:
        client: reads the objects.
        pod: the pod.
        folder: a new folder for volumes of the pod's own.
        shared: the folder of persistent volumes, which all nodes see.
    """

    def __init__(self, client: Client, pod: Object, folder: Path, shared: Path) -> None:
        self._client = client
        self._pod = pod
        self._folder = folder
        self._shared = shared
        self._paths: dict[str, Path] = {}

    def make(self) -> None:
        """Make the folders of all volumes.

        Raises:
            NotReadyYet: if an object is missing.
        """
        for volume in self._pod["spec"].get("volumes") or ():
            if volume["name"] not in self._paths:
                path = self._make(volume, self._folder / volume["name"])
                if group := (self._pod["spec"].get("securityContext") or {}).get("fsGroup"):
                    os.chown(path, -1, group)
                    path.chmod(path.stat().st_mode | 0o2070)
                self._paths[volume["name"]] = path

    def _make(self, volume: Object, folder: Path) -> Path:
        if "persistentVolumeClaim" in volume:
            return self._claim(volume["persistentVolumeClaim"]["claimName"])
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        if "configMap" in volume:
            self._files(folder, "configmaps", volume["configMap"]["name"], volume["configMap"])
        elif "secret" in volume:
            self._files(folder, "secrets", volume["secret"]["secretName"], volume["secret"])
        elif not {"emptyDir", "ephemeral"} & set(volume):
            raise NotImplementedError(f"the test kubelet has no such volumes: {sorted(volume)}")
        return folder

    def _claim(self, name: str) -> Path:
        claim = self._object("persistentvolumeclaims", name, optional=False)
        assert claim
        if claim.get("status", {}).get("phase") != "Bound":
            raise NotReadyYet("FailedMount", f'the PVC "{name}" is not bound')
        folder = self._shared / claim["metadata"]["uid"]
        folder.mkdir(parents=True, exist_ok=True)  # that of a new file system, which belongs to root
        return folder

    def _files(self, folder: Path, plural: str, name: str, source: Object) -> None:
        obj = self._object(plural, name, optional=source.get("optional", False))
        data = contents(obj) if obj else {}
        items = {item["key"]: item["path"] for item in source.get("items") or ()} or {key: key for key in data}
        for key, path in items.items():
            if key not in data and not source.get("optional"):
                raise NotReadyYet("FailedMount", f"references non-existent {plural} key: {key}")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data.get(key, b""))
            target.chmod(source.get("defaultMode") or 0o644)

    def _object(self, plural: str, name: str, *, optional: bool, reason: str = "FailedMount") -> Object | None:
        try:
            return self._client.get(plural, self._pod["metadata"]["namespace"], name)
        except ApiError as error:
            if error.code != 404:
                raise
            if optional:
                return None
            message = f'MountVolume.SetUp failed: {plural} "{name}" not found'
            raise NotReadyYet(reason, message if reason == "FailedMount" else f'{plural} "{name}" not found') from None

    def binds(self, container: Object) -> Iterator[Bind]:
        """Yield the mounts of a container."""
        for mount in container.get("volumeMounts") or ():
            source = self._paths[mount["name"]]
            if mount.get("subPath"):
                source /= mount["subPath"]
                if not source.exists():
                    source.mkdir(parents=True)
                    source.chmod(0o777)
            yield Bind(source, os.path.normpath(mount["mountPath"]), bool(mount.get("readOnly")))

    def variables(self, container: Object, node: Object) -> dict[str, str]:
        """Return the variables of a container.

        Raises:
            NotReadyYet: if an object is missing, or a key of it.
        """
        variables: dict[str, str] = {}
        for source in container.get("envFrom") or ():
            variables.update(self._all_keys(source))
        for variable in container.get("env") or ():
            value = self._value(variable, node) if "valueFrom" in variable else variable.get("value", "")
            if value is not None:
                variables[variable["name"]] = expand(value, variables) if "value" in variable else value
        return variables

    def _all_keys(self, source: Object) -> dict[str, str]:
        kind, plural = ("secretRef", "secrets") if "secretRef" in source else ("configMapRef", "configmaps")
        ref = source[kind]
        obj = self._object(
            plural, ref["name"], optional=ref.get("optional", False), reason="CreateContainerConfigError"
        )
        prefix = source.get("prefix", "")
        return {prefix + key: value.decode() for key, value in (contents(obj) if obj else {}).items()}

    def _value(self, variable: Object, node: Object) -> str | None:
        ((kind, ref),) = variable["valueFrom"].items()
        if kind == "fieldRef":
            return self._field(ref["fieldPath"], node)
        if kind not in ("secretKeyRef", "configMapKeyRef"):
            raise NotImplementedError(f"the test kubelet has no variables from a {kind}")
        plural = "secrets" if kind == "secretKeyRef" else "configmaps"
        optional = ref.get("optional", False)
        obj = self._object(plural, ref["name"], optional=optional, reason="CreateContainerConfigError")
        data = contents(obj) if obj else {}
        if ref["key"] in data:
            return data[ref["key"]].decode()
        if optional:
            return None
        where = f"{self._pod['metadata']['namespace']}/{ref['name']}"
        raise NotReadyYet("CreateContainerConfigError", f"couldn't find key {ref['key']} in {plural} {where}")

    def _field(self, path: str, node: Object) -> str:
        part = re.fullmatch(r"metadata\.(labels|annotations)\['(.*)'\]", path)
        if part:
            return (self._pod["metadata"].get(part[1]) or {}).get(part[2], "")
        value: object = {**self._pod, "status": {"hostIP": node["address"], "podIP": node["address"]}}
        for name in path.split("."):
            value = value.get(name, "") if isinstance(value, dict) else ""
        return str(value)


def contents(obj: Object) -> dict[str, bytes]:
    """Return the data of a config map or secret, decoded."""
    encoded = obj.get("data") if obj["kind"] == "Secret" else obj.get("binaryData")
    plain = obj.get("data") if obj["kind"] == "ConfigMap" else None
    data = {key: base64.b64decode(value) for key, value in (encoded or {}).items()}
    return {**data, **{key: value.encode() for key, value in (plain or {}).items()}}


def expand(text: str, variables: dict[str, str]) -> str:
    """Replace `$(NAME)` by the variable, if there is one, and `$$` by `$`, as in commands and values of Kubernetes."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)
