"""A container that is started before its attempt, whose worker waits for the request."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standpipe.model.attempts import TaskRequest
from standpipe.model.layout import STANDBY_FOLDER, StateLayout
from standpipe.runners.docker.container import TaskContainer
from standpipe.runners.docker.containers import Containers
from standpipe.runners.docker.create_arguments import standby_arguments
from standpipe.runners.docker.traits import EngineTraits
from standpipe.support.new_folders import replace_folder
from standpipe.support.untrusted_files import ensure_folder, remove_path

if TYPE_CHECKING:
    from docker import DockerClient


@dataclass(frozen=True)
class Standby:
    """A container that waits for one attempt.

    Args:
        task: the container, which has started.
        folder: the folder that becomes that of the attempt. The container sees it at the path of the attempt's.
        arguments: the engine's arguments for a container of the attempt that does not wait.
    """

    task: TaskContainer
    folder: Path
    arguments: Mapping[str, Any]

    def fits(self, arguments: Mapping[str, Any], image: str) -> bool:
        """Return whether it waits, and is what a container with these arguments, of the image with this id, would be.

        The id is compared because the name of an image may stand for another one by now.
        """
        is_same = self.arguments == arguments and _digest(str(self.task.container.attrs["Image"])) == _digest(image)
        return is_same and self.task.is_waiting

    def become(self, request: TaskRequest) -> TaskContainer:
        """Return the container, as that of the attempt.

        Raises:
            OSError: if the folder of the attempt cannot be replaced.
        """
        replace_folder(request.folder, self.folder, request.pipeline_root)
        self.task.request = request
        return self.task

    def discard(self, containers: Containers) -> None:
        """Remove it without using it."""
        self.task.close()
        containers.remove_soon(self.task.container)
        remove_path(self.folder, self.task.request.pipeline_root)


def start_standby(
    client: DockerClient,
    image: str,
    request: TaskRequest,
    arguments: Mapping[str, Any],
    traits: EngineTraits,
    containers: Containers,
) -> Standby | None:
    """Start a container that waits for an attempt.

    The mounts of a container are fixed when it is created, so it mounts another folder at the path of the attempt's:
    the attempt has none before it starts. A mount stays when its folder is moved, but only if the kernel of this
    machine has made it, which is why that must know the first process.

    Args:
        client: the client of the engine.
        image: the name of the image, which is on this machine.
        request: the attempt, which is expected.
        arguments: the engine's arguments for the container of the attempt.
        traits: properties of the engine.
        containers: creates the container, and removes it.

    Returns:
        None if the attempt cannot have one: the engine is not on this machine, labels files for SELinux when it creates
        a container, or has no control groups by which the first process is known.

    Raises:
        StandpipeError: if the engine or the system refuses.
        DockerException: the same.
        OSError: the same.
    """
    if traits.selinux or traits.ignores_limits:
        return None
    run_folder = StateLayout(request.pipeline_root).run_folder(request.run)
    folder = run_folder / STANDBY_FOLDER / uuid.uuid4().hex[:8]
    ensure_folder(folder, request.pipeline_root)
    container = containers.create(client, image, standby_arguments(arguments, request, folder))
    standby = Standby(TaskContainer(request, container, traits), folder, arguments)
    try:
        standby.task.stand_by()
        if standby.task.is_waiting:
            return standby
    except BaseException:
        standby.discard(containers)
        raise
    standby.discard(containers)
    return None


def _digest(image: str) -> str:
    """Return the id of an image without the name of its hash, which Podman leaves out."""
    return image.rpartition(":")[2]
