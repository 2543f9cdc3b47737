"""A program that removes the containers of the process that started it, if that process is killed.

It uses only the standard library until it has something to do. It waits for the end of its standard input, which the
process that started it holds open. A byte before the end means that no container is left.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

#: The seconds for which it looks again, as the engine may still be creating a container that was requested; for which
#: it waits for an engine that does not answer; and between two looks.
_LOOK_TIME = 0.6
_ENGINE_TIMEOUT = 30.0
_PAUSE = 0.1


def main(argument: str) -> None:
    """Wait for the end of the process that started this one, then remove its containers.

    Args:
        argument: JSON with `path`, where to import from, and `labels`, those of the containers.
    """
    order = json.loads(argument)
    if sys.stdin.buffer.read(1):
        return
    sys.path[:] = order["path"]
    reap(order["labels"])


def reap(labels: Mapping[str, str]) -> None:
    """Remove all containers with these labels, until a last look finds none."""
    import docker  # takes 0.2 s, and is needed only now

    start = time.monotonic()
    filters = {"label": [f"{name}={value}" for name, value in labels.items()]}
    client = None
    with ThreadPoolExecutor(16) as pool:
        while time.monotonic() < start + _ENGINE_TIMEOUT:
            try:
                client = client or docker.from_env().api
                containers = client.containers(all=True, filters=filters)
            except (docker.errors.DockerException, OSError):  # the engine may be starting again
                time.sleep(_PAUSE)
                continue
            list(pool.map(partial(_remove, client), [container["Id"] for container in containers]))
            if not containers and time.monotonic() > start + _LOOK_TIME:
                return
            time.sleep(_PAUSE)


def _remove(client: Any, container: str) -> None:
    import docker  # `reap` has imported it

    with suppress(docker.errors.DockerException, OSError):  # the next look finds it, if it still exists
        client.remove_container(container, v=True, force=True)


if __name__ == "__main__":
    main(sys.argv[1])
