"""The run arguments of a DockerRunner: their names, those that are refused, and their merge with our own.

They are those of `containers.run` in the Docker SDK (https://docker-py.readthedocs.io/en/stable/containers.html).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from standpipe.errors import RunArgumentError
from standpipe.support.near_misses import close_names

_FROM_COMPONENT = "it comes from the component, as on a cluster"
_ALWAYS_LOGGED = "the output of a task is always streamed to its log"
_ALWAYS_REMOVED = "a container is always removed, after its exit status was read"

#: Arguments of the SDK that users may not pass, and why.
REFUSED: Mapping[str, str] = {
    "image": _FROM_COMPONENT,
    "command": _FROM_COMPONENT,
    "entrypoint": _FROM_COMPONENT,
    "detach": _ALWAYS_LOGGED,
    "stdout": _ALWAYS_LOGGED,
    "stderr": _ALWAYS_LOGGED,
    "stream": _ALWAYS_LOGGED,
    "auto_remove": _ALWAYS_REMOVED,
    "remove": _ALWAYS_REMOVED,
    "name": "several tasks run at once, and two containers cannot have the same name",
    "restart_policy": "failed tasks are retried by the pipeline: task.set_retry(...)",
    "stdin_open": "a task has no terminal, and would wait for input forever",
    "version": "the client and the engine negotiate it",
}

#: Arguments about the network of a container. In a pod, the container that holds the network has them for all.
NETWORK = frozenset(
    (
        *("network", "network_mode", "network_disabled", "networking_config", "mac_address", "links"),
        *("ports", "publish_all_ports", "hostname", "domainname", "extra_hosts"),
        *("dns", "dns_opt", "dns_search"),
    )
)

#: Those that give a container what no other one can have until it is removed: ports of this machine, addresses.
_EXCLUSIVE = frozenset(("ports", "mac_address", "networking_config"))

#: The default of `cpu_period`, in microseconds (https://docs.docker.com/engine/containers/resource_constraints/).
_CPU_PERIOD = 100_000

Volumes = dict[str, dict[str, str]]


@dataclass(frozen=True)
class RunArguments:
    """Valid run arguments, with those that are merged with our own as dicts.

    `volumes` maps a path of the host to `{"bind": path in the container, "mode": "rw" or "ro"}`; a None in
    `environment` removes a variable of the image.
    """

    others: Mapping[str, Any]
    environment: Mapping[str, str | None]
    labels: Mapping[str, str]
    volumes: Volumes

    @classmethod
    def check(cls, arguments: Mapping[str, Any]) -> RunArguments:
        """Check the arguments of a user.

        Raises:
            RunArgumentError: if a name does not exist or is refused, or volumes are invalid.
        """
        _check_names(arguments)
        merged = ("environment", "labels", "volumes")
        return cls(
            others={name: value for name, value in arguments.items() if name not in merged},
            environment=_pairs(arguments.get("environment")),
            labels={name: value or "" for name, value in _pairs(arguments.get("labels")).items()},
            volumes=_volumes(arguments.get("volumes")),
        )

    @property
    def network(self) -> dict[str, Any]:
        """The arguments about the network."""
        return {name: value for name, value in self.others.items() if name in NETWORK}

    @property
    def are_exclusive(self) -> bool:
        """Whether two containers may be unable to exist at the same time."""
        return not _EXCLUSIVE.isdisjoint(self.others)

    @property
    def mount_points(self) -> tuple[str, ...]:
        """The paths in containers of the volumes, mounts and temporary file systems."""
        mounts = (mount.get("Target") for mount in self.others.get("mounts") or ())
        volumes = (volume["bind"] for volume in self.volumes.values())
        return (*volumes, *filter(None, mounts), *(self.others.get("tmpfs") or ()))

    @property
    def has_terminal(self) -> bool:
        """Whether containers have a terminal (`tty`)."""
        return bool(self.others.get("tty"))

    @property
    def cpu_limit(self) -> float | None:
        """How many cores a container may use, None if these arguments do not limit them."""
        limits = [*self._read_quota(), *_count_cores(str(self.others.get("cpuset_cpus") or ""))]
        return min(limits, default=None)

    def _read_quota(self) -> Iterator[float]:
        if cores := self.others.get("nano_cpus"):
            yield cores / 1e9
        if (quota := self.others.get("cpu_quota") or 0) > 0:
            yield quota / (self.others.get("cpu_period") or _CPU_PERIOD)

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same arguments."""
        return json.dumps([self.environment, self.volumes, self.others], sort_keys=True, default=repr)

    def merged(
        self, *, environment: Mapping[str, str | None], labels: Mapping[str, str], binds: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return arguments for `containers.create`: the user's environment wins, and our labels.

        Args:
            environment: our variables.
            labels: our labels.
            binds: our volumes, as `source:target:mode`. Unlike a dict, a list may have the same source twice.
        """
        volumes = (f"{source}:{volume['bind']}:{volume.get('mode', 'rw')}" for source, volume in self.volumes.items())
        return {
            **self.others,
            "environment": {**environment, **self.environment},
            "labels": {**self.labels, **labels},
            "volumes": [*volumes, *binds],
        }


def _check_names(arguments: Mapping[str, Any]) -> None:
    known = _names()
    for name in arguments:
        if name in REFUSED:
            raise RunArgumentError(f"DockerRunner does not accept the argument {name!r}: {REFUSED[name]}.")
        if name not in known:
            close = close_names(name, known)
            raise RunArgumentError(
                f"DockerRunner has no argument {name!r}{f'; did you mean {close[0]!r}?' if close else '.'}\n"
                f"Expected arguments of `containers.run` in the Docker SDK: {', '.join(sorted(known))}."
            )


def _names() -> set[str]:
    from docker.models import containers  # takes 0.2 s, and only a DockerRunner needs it

    names = {*containers.RUN_CREATE_KWARGS, *containers.RUN_HOST_CONFIG_KWARGS}
    return (names | {"network", "networking_config", "ports", "volumes"}) - REFUSED.keys()


def _count_cores(cores: str) -> Iterator[float]:
    """Yield the number of cores in a list such as `0-3,6`; nothing if it is empty or invalid, as the engine says so."""
    ranges = [re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip()) for part in cores.split(",")]
    if all(ranges):
        yield float(sum(int(each[2] or each[1]) - int(each[1]) + 1 for each in ranges if each))


def _pairs(value: Mapping[str, str] | Iterable[str] | None) -> dict[str, str | None]:
    if isinstance(value, Mapping):
        return dict(value)
    parts = (item.partition("=") for item in value or ())
    return {name: text if equals else None for name, equals, text in parts}


def _volumes(value: Mapping[str, Any] | Iterable[str] | None) -> Volumes:
    if isinstance(value, Mapping):
        return {
            source: dict(volume) if isinstance(volume, Mapping) else {"bind": volume, "mode": "rw"}
            for source, volume in value.items()
        }
    volumes: Volumes = {}
    for text in value or ():
        source, *target = text.split(":")
        if source in volumes or len(target) not in (1, 2):
            raise RunArgumentError(
                f"Invalid volume {text!r} of DockerRunner: expected 'source:target' or 'source:target:mode', each "
                "source once. For anything else, use mounts=[docker.types.Mount(...)]."
            )
        volumes[source] = {"bind": target[0], "mode": target[1] if len(target) == 2 else "rw"}
    return volumes
