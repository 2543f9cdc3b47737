"""The run arguments of a DockerRunner: which there are, which are ours alone, and theirs merged with ours.

They are those of `containers.run` in the Docker SDK (https://docker-py.readthedocs.io/en/stable/containers.html).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from standpipe.errors import RunArgumentError

_OF_THE_COMPONENT = "it comes from the component, as on a cluster"
_OF_THE_LOG = "what a task prints is always streamed and kept"
_OF_THE_END = "a container is always removed, after its exit status was read"

#: Arguments of the SDK that a runner cannot leave to the user, and why.
REFUSED: Mapping[str, str] = {
    "image": _OF_THE_COMPONENT,
    "command": _OF_THE_COMPONENT,
    "entrypoint": _OF_THE_COMPONENT,
    "detach": _OF_THE_LOG,
    "stdout": _OF_THE_LOG,
    "stderr": _OF_THE_LOG,
    "stream": _OF_THE_LOG,
    "auto_remove": _OF_THE_END,
    "remove": _OF_THE_END,
    "name": "several tasks run at once, and two containers cannot have one name",
    "restart_policy": "a failed task is repeated by the pipeline: task.set_retry(...)",
    "stdin_open": "a task has nobody to type into it, and would wait for ever",
    "version": "the client and the engine agree on it",
}

Volumes = dict[str, dict[str, str]]


@dataclass(frozen=True)
class RunArguments:
    """Checked run arguments, with those that are merged with ours in one form: dicts.

    `volumes` maps a path of the host to `{"bind": path in the container, "mode": "rw" or "ro"}`; a None in
    `environment` removes a variable of the image.
    """

    others: Mapping[str, Any]
    environment: Mapping[str, str | None]
    labels: Mapping[str, str]
    volumes: Volumes

    @classmethod
    def check(cls, given: Mapping[str, Any]) -> RunArguments:
        """Takes what the user gave.

        Raises:
            RunArgumentError: for a name that does not exist or is refused, and for volumes that are not understood.
        """
        _check_names(given)
        merged = ("environment", "labels", "volumes")
        return cls(
            others={name: value for name, value in given.items() if name not in merged},
            environment=_pairs(given.get("environment")),
            labels={name: value or "" for name, value in _pairs(given.get("labels")).items()},
            volumes=_volumes(given.get("volumes")),
        )

    @property
    def in_words(self) -> str:
        """All of them, the same for the same arguments."""
        given = [self.environment, self.volumes, self.others]
        return json.dumps(given, sort_keys=True, default=repr)

    def merged(
        self, *, environment: Mapping[str, str | None], labels: Mapping[str, str], volumes: Volumes
    ) -> dict[str, Any]:
        """Keyword arguments for `containers.create`: the user's environment wins, our labels and volumes do."""
        return {
            **self.others,
            "environment": {**environment, **self.environment},
            "labels": {**self.labels, **labels},
            "volumes": {**self.volumes, **volumes},
        }


def _check_names(given: Mapping[str, Any]) -> None:
    known = _names()
    for name in given:
        if name in REFUSED:
            raise RunArgumentError(f"DockerRunner does not take {name!r}: {REFUSED[name]}.")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise RunArgumentError(
                f"DockerRunner has no argument {name!r}{f'; did you mean {close[0]!r}?' if close else '.'}\n"
                f"It takes those of `containers.run` in the Docker SDK: {', '.join(sorted(known))}."
            )


def _names() -> set[str]:
    from docker.models import containers  # takes 0.2 s, and only a DockerRunner needs it

    names = {*containers.RUN_CREATE_KWARGS, *containers.RUN_HOST_CONFIG_KWARGS}
    return (names | {"network", "networking_config", "ports", "volumes"}) - REFUSED.keys()


def _pairs(given: Mapping[str, str] | Iterable[str] | None) -> dict[str, str | None]:
    if isinstance(given, Mapping):
        return dict(given)
    parts = (item.partition("=") for item in given or ())
    return {name: value if equals else None for name, equals, value in parts}


def _volumes(given: Mapping[str, Any] | Iterable[str] | None) -> Volumes:
    if isinstance(given, Mapping):
        return {
            source: dict(volume) if isinstance(volume, Mapping) else {"bind": volume, "mode": "rw"}
            for source, volume in given.items()
        }
    volumes: Volumes = {}
    for text in given or ():
        source, *target = text.split(":")
        if source in volumes or len(target) not in (1, 2):
            raise RunArgumentError(
                f"DockerRunner does not understand {text!r} in its volumes. "
                "Each is 'source:target' or 'source:target:mode', and a source comes once; "
                "mounts=[docker.types.Mount(...)] says everything else."
            )
        volumes[source] = {"bind": target[0], "mode": target[1] if len(target) == 2 else "rw"}
    return volumes
