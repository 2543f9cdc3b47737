"""How many threads the libraries of a task in a container start."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from standpipe.model.ports import TaskRequest
from standpipe.runners.docker.engine import engine_errors
from standpipe.runners.docker.run_arguments import RunArguments
from standpipe.runners.thread_counts import CoreShares

if TYPE_CHECKING:
    from docker import DockerClient

#: The seconds for which the variables of an image are remembered: its name may stand for another one later.
_LIFETIME = 1.0


class ContainerThreads:
    """Chooses the thread counts of tasks in containers. A library there sees all cores of the machine.

    Args:
        arguments: the user's arguments for containers, which may limit their CPU.
    """

    def __init__(self, arguments: RunArguments) -> None:
        self._arguments = arguments
        self._cores = CoreShares(lambda: os.cpu_count() or 1)
        self._known: dict[str, tuple[float, frozenset[str]]] = {}  # with the time of the request

    def variables(self, client: DockerClient, image: str, request: TaskRequest) -> dict[str, str]:
        """Return the variables of an attempt that set thread counts, without those that its image has.

        Args:
            client: the connection to the engine.
            image: the image, which is on this machine.
            request: the attempt. Its own variables, and those in the user's arguments, win over these.
        """
        limits = [limit for limit in (self._arguments.cpu_limit, request.limits.cpu) if limit is not None]
        threads = self._cores.thread_variables(request.concurrency, min(limits, default=None), ())
        if not threads:
            return {}
        own = self._image_variables(client, image)
        return {name: value for name, value in threads.items() if name not in own}

    def _image_variables(self, client: DockerClient, image: str) -> frozenset[str]:
        now = time.monotonic()
        requested, names = self._known.get(image, (-math.inf, frozenset()))
        if now - requested > _LIFETIME:
            with suppress(*engine_errors()):  # the engine does not make the container either, and says why
                variables = client.images.get(image).attrs["Config"].get("Env") or ()
                names = frozenset(variable.partition("=")[0] for variable in variables)
                self._known[image] = (now, names)
        return names
