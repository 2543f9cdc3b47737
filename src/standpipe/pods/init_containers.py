"""Init containers and sidecars of a task, as `kubernetes.add_init_container` writes them, read into typed values.

The rules are those of the KFP backend's driver (`extendPodSpecPatch` in `backend/src/v2/driver/k8s.go`,
after 2.17) and of Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from standpipe.errors import SpecError
from standpipe.model.frozen import frozen
from standpipe.model.resources import Limits, QuantityError, parse_cpu, parse_memory
from standpipe.pods.config_fields import ConfigFields

#: The names of containers that KFP adds to the pod of a task: that of the task, and the one that brings the launcher.
_RESERVED_NAMES = ("main", "kfp-launcher")

#: The only restart policy of an init container: it makes it a sidecar.
_SIDECAR = "Always"

#: A reference to a variable in Kubernetes, such as `$(HOME)`, and the escape `$$`.
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


@frozen
class InitContainerSettings:
    """One init container, or a sidecar.

    `mounts` are pairs of the name of a volume of the pod and a path. `unsupported` are the properties that have no
    effect on this machine.
    """

    name: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: Mapping[str, str]
    mounts: tuple[tuple[str, str], ...]
    limits: Limits
    is_sidecar: bool
    unsupported: tuple[str, ...]


def read_init_containers(fields: ConfigFields) -> tuple[InitContainerSettings, ...]:
    """Read the init containers of an executor, in their order.

    Args:
        fields: the settings of the executor.

    Raises:
        SpecError: if one is malformed, or two have the same name.
    """
    containers: dict[str, InitContainerSettings] = {}
    for entry in fields.entries("initContainers"):
        container = _read(entry)
        if container.name in containers or container.name in _RESERVED_NAMES:
            owner = "KFP" if container.name in _RESERVED_NAMES else "another init container"
            raise SpecError(
                f"{entry.path}.name: the name {container.name!r} belongs to {owner}: a pod has one container of a name."
            )
        containers[container.name] = container
    return tuple(containers.values())


def _read(entry: ConfigFields) -> InitContainerSettings:
    env = _expand_env(entry)
    resources = entry.inner("resources")
    requests, limits = resources.texts("requests"), resources.texts("limits")
    unsupported = [f"limit of {name}" for name in limits if name not in ("cpu", "memory")]
    if requests:
        unsupported.append("resource requests")
    container = InitContainerSettings(
        name=_require_text(entry, "name"),
        image=_require_text(entry, "image"),
        command=tuple(expand_references(part, env) for part in entry.list_of_texts("command")),
        args=tuple(expand_references(part, env) for part in entry.list_of_texts("args")),
        env=env,
        mounts=tuple(_read_mounts(entry)),
        limits=_read_limits(limits, f"{entry.path}.resources.limits"),
        is_sidecar=_is_sidecar(entry),
        unsupported=tuple(unsupported),
    )
    unknown = tuple(f"setting {name}" for name in entry.unread)  # only now, as reading marks a field
    return replace(container, unsupported=(*container.unsupported, *unknown))


def expand_references(text: str, env: Mapping[str, str]) -> str:
    """Replace references to variables as Kubernetes does in the variables, command and arguments of a container.

    A reference to an unknown variable stays as it is.

    >>> expand_references("$(HOST):$(PORT) $$(HOST) $HOST", {"HOST": "db"})
    'db:$(PORT) $(HOST) $HOST'
    """
    return _REFERENCE.sub(lambda match: "$" if match[1] is None else env.get(match[1], match[0]), text)


def _expand_env(entry: ConfigFields) -> dict[str, str]:
    """Return the variables; the value of one can refer to those before it."""
    env: dict[str, str] = {}
    for variable in entry.entries("env"):
        name = _require_text(variable, "name")
        env[name] = expand_references(variable.text("value"), env)
    return env


def _read_mounts(entry: ConfigFields) -> Iterator[tuple[str, str]]:
    paths: set[str] = set()
    for mount in entry.entries("volumeMounts"):
        path = mount.mount_path()
        if path in paths:
            raise SpecError(f"{mount.path}.mountPath: another volume is mounted at {path!r} already.")
        paths.add(path)
        yield _require_text(mount, "volumeName"), path


def _read_limits(limits: Mapping[str, str], path: str) -> Limits:
    try:
        return Limits(
            cpu=parse_cpu(limits["cpu"]) if "cpu" in limits else None,
            memory=parse_memory(limits["memory"]) if "memory" in limits else None,
        )
    except QuantityError as error:
        raise SpecError(f"{path}: {error}.") from error


def _is_sidecar(entry: ConfigFields) -> bool:
    policy = entry.text("restartPolicy")
    if policy not in ("", _SIDECAR):
        raise SpecError(f"{entry.path}.restartPolicy: expected {_SIDECAR!r}, got {policy!r}.")
    return policy == _SIDECAR


def _require_text(entry: ConfigFields, field: str) -> str:
    text = entry.text(field)
    if not text:
        raise SpecError(f"{entry.path}.{field}: expected text, got none.")
    return text
