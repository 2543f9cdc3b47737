"""A program that removes the containers of the process that started it, if that process is killed.

It needs the standard library alone until it has something to do. It waits for the end of its standard input, which the
process that started it holds open. A byte before the end says that no container is left.
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

#: Seconds for which the program looks again, as the engine may be about to make a container that was asked for; for
#: which it waits for an engine that does not answer; and between two looks.
_LOOKS_FOR = 0.6
_WAITS_FOR = 30.0
_PAUSE = 0.1


def main(told: str) -> None:
    """Waits for the end of the process that started this one, and then removes its containers."""
    order = json.loads(told)
    if sys.stdin.buffer.read(1):
        return
    sys.path[:] = order["path"]
    reap(order["labels"])


def reap(labels: Mapping[str, str]) -> None:
    """Removes all containers with these labels, until a last look finds none."""
    import docker  # takes 0.2 s, and is here only when it is needed

    start = time.monotonic()
    wanted = {"label": [f"{name}={value}" for name, value in labels.items()]}
    client = None
    with ThreadPoolExecutor(16) as pool:
        while time.monotonic() < start + _WAITS_FOR:
            try:
                client = client or docker.from_env().api
                found = client.containers(all=True, filters=wanted)
            except (docker.errors.DockerException, OSError):  # the engine has died, too: it may come back
                time.sleep(_PAUSE)
                continue
            list(pool.map(partial(_remove, client), [container["Id"] for container in found]))
            if not found and time.monotonic() > start + _LOOKS_FOR:
                return
            time.sleep(_PAUSE)


def _remove(client: Any, container: str) -> None:
    import docker  # it was imported by whoever found the container

    with suppress(docker.errors.DockerException, OSError):  # the next look finds it again
        client.remove_container(container, v=True, force=True)


if __name__ == "__main__":
    main(sys.argv[1])
