"""The schemas of Kubernetes 1.37, which the package kubernetes-validate brings, and rules that schemas lack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.kubernetes.resources import Resource
from tests.kubernetes.storage import ApiError, Object

VERSION = "1.37.0"

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_CONTAINER_NAME = re.compile(_LABEL)
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_VARIABLE = re.compile(r"[ -<>-~]+")  # since 1.34 all of printable ASCII but '='
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_MEBIBYTE = 1024**2


@cache
def _definitions() -> dict[str, Any]:
    spec = find_spec("kubernetes_validate")
    assert spec, "kubernetes-validate is missing: make test-clusters"
    assert spec.origin
    folder = Path(spec.origin).parent / "kubernetes-json-schema" / f"v{VERSION}-local-strict"
    text = (folder / "_definitions.json").read_text().replace("/api/_definitions.json#/", "#/")
    return json.loads(text)


@cache
def _validator(definition: str) -> Draft202012Validator:
    return Draft202012Validator({**_definitions(), "$ref": f"#/$defs/{definition}"})


def validate(resource: Resource, obj: Object) -> None:
    """Check an object as the API server does, with unknown fields as errors (`fieldValidation=Strict`).

    Raises:
        ApiError: with all that is wrong.
    """
    if (obj.get("kind"), obj.get("apiVersion")) != (resource.kind, resource.api_version):
        raise ApiError(400, "BadRequest", f"expected a {resource.kind} of {resource.api_version}")
    errors = sorted(_validator(resource.definition).iter_errors(obj), key=lambda error: list(map(str, error.path)))
    if errors:
        problems = [f"{'.'.join(map(str, error.absolute_path)) or 'body'}: {error.message}" for error in errors]
        raise ApiError(400, "BadRequest", f"strict decoding error: {'; '.join(problems)[:4000]}")
    problems = [*_metadata(obj["metadata"], "metadata"), *_rules(resource, obj)]
    if problems:
        name = obj["metadata"].get("name")
        raise ApiError(422, "Invalid", f'{resource.kind} "{name}" is invalid: {", ".join(problems)}')


def _rules(resource: Resource, obj: Object) -> Iterator[str]:
    if resource.plural == "pods":
        yield from _pod(obj["spec"], "spec")
    elif resource.plural == "jobs":
        yield from _job(obj)
    elif resource.plural in ("configmaps", "secrets"):
        yield from _data(obj)
    elif resource.plural == "persistentvolumeclaims":
        yield from _claim(obj.get("spec", {}))


def _metadata(metadata: Object, path: str) -> Iterator[str]:
    name = metadata.get("name", "x")
    if not _NAME.fullmatch(name):
        yield f"{path}.name: Invalid value: {name!r}: a lowercase RFC 1123 subdomain is expected"
    for key, value in (metadata.get("labels") or {}).items():
        if not _KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            yield f"{path}.labels: Invalid value: {key!r}: {value!r}"
    annotations = metadata.get("annotations") or {}
    yield from (f"{path}.annotations: Invalid value: {key!r}" for key in annotations if not _KEY.fullmatch(key.lower()))
    if sum(len(key) + len(value) for key, value in annotations.items()) > 256 * 1024:
        yield f"{path}.annotations: Too long: may not be more than 262144 bytes"


def _job(job: Object) -> Iterator[str]:
    spec = job["spec"]
    template = spec["template"]
    if len(job["metadata"].get("name", "")) > 63:
        yield "metadata.name: must be no more than 63 characters, as it is a label of the pods"
    if template.get("spec", {}).get("restartPolicy", "Always") not in ("Never", "OnFailure"):
        yield "spec.template.spec.restartPolicy: Required value: valid values: OnFailure, Never"
    if spec.get("podFailurePolicy") and template.get("spec", {}).get("restartPolicy") != "Never":
        yield "spec.template.spec.restartPolicy: Invalid value: only 'Never' is supported with podFailurePolicy"
    yield from _metadata(template.get("metadata") or {}, "spec.template.metadata")
    yield from _pod(template.get("spec", {}), "spec.template.spec")


def _data(obj: Object) -> Iterator[str]:
    keys = [*(obj.get("data") or {}), *(obj.get("binaryData") or {}), *(obj.get("stringData") or {})]
    yield from (f"data[{key}]: Invalid value: a valid key is expected" for key in keys if not _DATA_KEY.fullmatch(key))
    if obj["kind"] == "ConfigMap" and len(keys) != len(set(keys)):
        yield "data: Invalid value: a key is in data and in binaryData"
    if sum(len(value) for part in ("data", "binaryData") for value in (obj.get(part) or {}).values()) > _MEBIBYTE:
        yield f"[]: Too long: may not be more than {_MEBIBYTE} bytes"


def _claim(spec: Object) -> Iterator[str]:
    if not spec.get("accessModes"):
        yield "spec.accessModes: Required value: at least 1 access mode is required"
    if "storage" not in spec.get("resources", {}).get("requests", {}):
        yield "spec.resources[storage]: Required value"
    yield from _quantities(spec.get("resources", {}), "spec.resources")


def _quantities(resources: Object, path: str) -> Iterator[str]:
    for part in ("requests", "limits"):
        for name, value in (resources.get(part) or {}).items():
            if not _QUANTITY.fullmatch(str(value)):
                yield f"{path}.{part}[{name}]: Invalid value: {value!r}: quantities must match {_QUANTITY.pattern}"


def _pod(spec: Object, path: str) -> Iterator[str]:
    volumes = [volume["name"] for volume in spec.get("volumes") or ()]
    for index, volume in enumerate(spec.get("volumes") or ()):
        if not _CONTAINER_NAME.fullmatch(volume["name"]):
            yield f"{path}.volumes[{index}].name: Invalid value: {volume['name']!r}: an RFC 1123 label is expected"
        if sum(1 for source in volume if source != "name") != 1:
            yield f"{path}.volumes[{index}]: expected exactly one volume type"
    yield from _duplicates(volumes, f"{path}.volumes")
    parts = [(part, index) for part in ("initContainers", "containers") for index in range(len(spec.get(part) or ()))]
    yield from _duplicates([spec[part][index]["name"] for part, index in parts], f"{path}.containers")
    if not spec.get("containers"):
        yield f"{path}.containers: Required value"
    for part, index in parts:
        container = spec[part][index]
        yield from _container(container, f"{path}.{part}[{index}]", volumes, is_init=part != "containers")


def _duplicates(names: list[str], path: str) -> Iterator[str]:
    yield from (f"{path}: Duplicate value: {name!r}" for name in sorted({n for n in names if names.count(n) > 1}))


def _container(container: Object, path: str, volumes: list[str], *, is_init: bool) -> Iterator[str]:
    if not _CONTAINER_NAME.fullmatch(container["name"]):
        yield f'{path}.name: Invalid value: "{container["name"]}": a lowercase RFC 1123 label is expected'
    image = container.get("image", "")
    if not image or image != image.strip():
        yield f"{path}.image: Required value, or leading or trailing whitespace"
    restart = container.get("restartPolicy")
    if restart and not is_init:
        yield f"{path}.restartPolicy: Forbidden: may not be set for non-init containers"  # without its feature gate
    if is_init and not restart and ({"lifecycle", "readinessProbe", "livenessProbe", "startupProbe"} & set(container)):
        yield f"{path}: Forbidden: probes and lifecycle may not be set for init containers"
    for variable in container.get("env") or ():
        yield from _variable(variable, f"{path}.env")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount["name"] not in volumes:
            yield f'{path}.volumeMounts[{index}].name: Not found: "{mount["name"]}"'
        if ".." in mount.get("subPath", "").split("/") or mount.get("subPath", "").startswith("/"):
            yield f"{path}.volumeMounts.subPath: Invalid value: {mount['subPath']!r}"
    yield from _duplicates([m["mountPath"] for m in container.get("volumeMounts") or ()], f"{path}.volumeMounts")
    yield from _quantities(container.get("resources") or {}, f"{path}.resources")


def _variable(variable: Object, path: str) -> Iterator[str]:
    if not _VARIABLE.fullmatch(variable["name"]):
        yield f"{path}: Invalid value: {variable['name']!r}"
    if variable.get("value") and variable.get("valueFrom"):
        yield f"{path}[{variable['name']}].valueFrom: Invalid value: may not be specified when `value` is not empty"
    if "valueFrom" in variable and len(variable["valueFrom"]) != 1:
        yield f"{path}[{variable['name']}].valueFrom: expected exactly one source"
