"""The commit of a container as an image, with a configuration, on Docker and on Podman."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from standpipe.runners.docker.traits import EngineTraits

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


def commit(client: DockerClient, container: Container, name: str, config: Mapping[str, Any]) -> None:
    """Store the files of a container as an image with this configuration.

    Docker takes the configuration as it is. Podman 4.3 ignores that without a word, and takes instructions as of a
    Dockerfile.

    Args:
        client: the client of the engine.
        container: the container.
        name: the name of the image, with a tag.
        config: `Cmd`, `Entrypoint`, `Env`, `Labels`, `User` and `WorkingDir` of the image; the image of the container
            has what is missing. `Env` holds what that image has, and perhaps more.
    """
    repository, _, tag = name.rpartition(":")
    if EngineTraits.of(client.info()).podman:
        container.commit(repository, tag, pause=False, changes=list(_instructions(config)))
    else:
        container.commit(repository, tag, pause=False, conf=dict(config))


def _instructions(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a configuration as instructions, without quotes, as Podman does not unescape what is in them.

    It takes each line for an instruction, so values with several lines stay as the image of the container has them.
    """
    for key, instruction in (("Entrypoint", "ENTRYPOINT"), ("Cmd", "CMD")):
        if key in config:
            yield f"{instruction} {json.dumps(config[key])}"
    for key, instruction in (("User", "USER"), ("WorkingDir", "WORKDIR")):
        if key in config:
            yield f"{instruction} {config[key]}"
    yield from (f"ENV {variable}" for variable in config.get("Env", ()) if "\n" not in variable)
    yield from (f"LABEL {name}={value}" for name, value in config.get("Labels", {}).items() if "\n" not in value)
