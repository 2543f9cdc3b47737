"""How many threads the libraries of a task in a container start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from standpipe.model.attempts import TaskRequest
from standpipe.runners.docker.known_images import KnownImages
from standpipe.runners.docker.run_arguments import RunArguments
from standpipe.runners.thread_counts import CoreShares

if TYPE_CHECKING:
    from docker import DockerClient


class ContainerThreads:
    """Chooses the thread counts of tasks in containers. A library there sees all cores of the machine.

    Args:
        arguments: the user's arguments for containers, which may limit their CPU.
        images: the images of the engine, whose variables win over these.
    """

    def __init__(self, arguments: RunArguments, images: KnownImages) -> None:
        self._arguments = arguments
        self._cores = CoreShares(lambda: os.cpu_count() or 1)
        self._images = images

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
        found = self._images.find(client, image)  # without it, the engine does not make the container either
        variables = found.attrs["Config"].get("Env") or () if found else ()
        own = {variable.partition("=")[0] for variable in variables}
        return {name: value for name, value in threads.items() if name not in own}
