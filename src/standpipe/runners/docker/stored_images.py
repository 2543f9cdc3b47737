"""The derived images of an engine: how large they are, when they were used last, and their removal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from standpipe.errors import RunnerError
from standpipe.runners.docker.engine import Engine, connect, engine_errors, message_of
from standpipe.runners.docker.images import REPOSITORY
from standpipe.support.usage_marks import last_use, reserved

if TYPE_CHECKING:
    from docker import DockerClient

#: The label that only derived images have.
_LABEL = "standpipe.key"

#: The seconds that an engine may take to answer.
_TIMEOUT = 20

_SOCKET = "/var/run/docker.sock"


class StoredImage(NamedTuple):
    """A derived image: its name, its key, its size beyond that of its base image, and when it was used last."""

    name: str
    key: str
    size: int
    used: float
    packages: tuple[str, ...]


def may_have_engine() -> bool:
    """Return whether this machine may have a container engine: to ask for one that is missing takes long."""
    return bool(os.environ.get("DOCKER_HOST")) or os.path.exists(_SOCKET)


@contextmanager
def connected() -> Iterator[DockerClient]:
    """Provide a client of the engine, for requests that are answered soon.

    Raises:
        RunnerError: if no engine answers.
    """
    engine = Engine(partial(connect, timeout=_TIMEOUT))
    try:
        yield engine()
    finally:
        engine.close()


def list_images(client: DockerClient, marks: Path) -> Iterator[StoredImage]:
    """Yield the derived images of an engine.

    Args:
        client: the client of the engine.
        marks: the folder in which runners mark what they use.

    Raises:
        RunnerError: if the engine does not answer.
    """
    try:
        for image in client.images.list(name=REPOSITORY, filters={"label": _LABEL}):
            yield _describe(client, image.attrs, image.labels, marks)
    except engine_errors() as error:
        raise RunnerError(f"The container engine cannot list images: {message_of(error)}") from error


def remove_image(client: DockerClient, image: StoredImage, marks: Path) -> bool:
    """Remove an image; return False if a process or a container uses it.

    Raises:
        RunnerError: if the engine does not answer.
    """
    from docker.errors import APIError, NotFound  # costly; only a user of containers needs it

    with reserved(marks, image.key) as is_unused:
        if not is_unused:
            return False
        try:
            client.images.remove(image.name)
        except NotFound:
            return True
        except APIError as error:
            if error.status_code == 409:  # a container uses it, also one that has exited
                return False
            raise RunnerError(f"The container engine cannot remove {image.name}: {message_of(error)}") from error
        except engine_errors() as error:
            raise RunnerError(f"The container engine cannot remove {image.name}: {message_of(error)}") from error
    return True


def _describe(client: DockerClient, attrs: Mapping[str, Any], labels: Mapping[str, str], marks: Path) -> StoredImage:
    key = labels[_LABEL]
    created = datetime.fromisoformat(attrs["Created"][:19] + "+00:00").timestamp()
    packages = tuple(map(str, json.loads(labels.get("standpipe.packages", "[]"))))
    size = max(0, int(attrs["Size"]) - _size_of(client, labels.get("standpipe.base", "")))
    return StoredImage(f"{REPOSITORY}:{key}", key, size, max(created, last_use(marks, key)), packages)


def _size_of(client: DockerClient, name: str) -> int:
    """Return the size of an image; 0 if the engine does not have it any more."""
    from docker.errors import NotFound  # costly; only a user of containers needs it

    try:
        return int(client.images.get(name).attrs["Size"]) if name else 0
    except NotFound:
        return 0
