"""The creation and removal of containers, and the owner of what they leave."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from standpipe.errors import RunnerError
from standpipe.model.attempts import Mount
from standpipe.runners.docker.container import TaskContainer
from standpipe.runners.docker.create_arguments import bind_mounts, owner_labels
from standpipe.runners.docker.engine import engine_errors, leftovers, message_of
from standpipe.support.forking import register_object
from standpipe.support.notices import Notice

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

#: The seconds that the removal of containers may take at the end of a run, if the engine does not answer.
_PATIENCE = 10.0


class Containers:
    """Creates containers, and removes them. What could not be removed is removed later.

    Args:
        warn: called with what is not removed, and with files that keep their owner.
    """

    def __init__(self, warn: Notice) -> None:
        self._warn = warn
        self._lock = threading.Lock()
        self._existing: set[str] = set()
        self._unremoved: set[str] = set()
        self._removals: set[threading.Thread] = set()
        self._blocks = 0
        register_object(self)

    @property
    def are_removed(self) -> bool:
        """Whether all containers are removed that this object has created."""
        return not self._existing

    def create(self, client: DockerClient, image: str, arguments: Mapping[str, Any]) -> Container:
        """Create a container.

        Raises:
            RunnerError: if the engine refuses.
        """
        try:
            container = client.containers.create(image, **arguments)
        except engine_errors(TypeError, ValueError) as error:
            raise RunnerError(
                f"The engine did not create a container of the image {image}: {message_of(error)}\n"
                "Check the arguments of the DockerRunner, and the component's image and command. An engine without an "
                "init program needs local.DockerRunner(init=False)."
            ) from error
        self._existing.add(str(container.id))
        return container

    @contextlib.contextmanager
    def open(self, client: DockerClient, image: str, arguments: Mapping[str, Any]) -> Iterator[Container]:
        """Create a container, and remove it at the end of the block."""
        container = self.create(client, image, arguments)
        try:
            yield container
        finally:
            self.remove(container)

    def reclaim(self, client: DockerClient, image: str, task: TaskContainer) -> None:
        """Give the files that a container left to this process's user, if they belong to another one."""
        folders = task.foreign_folders()
        if not folders:
            return
        uid, gid = task.caller
        arguments = {
            "entrypoint": ["chown", "-Rh", f"{uid}:{gid}", *map(str, folders)],
            "command": [],
            "user": "0:0",
            "network_mode": "none",
            "labels": owner_labels(task.request),
            "volumes": bind_mounts([Mount(folder, str(folder)) for folder in folders], task.traits),
        }
        # An image may have no chown. Whether it worked is seen in the files, not in the exit status.
        with contextlib.suppress(*engine_errors(RunnerError)), self.open(client, image, arguments) as container:
            container.start()
            container.wait()
        for folder in task.foreign_folders():
            self._warn(
                f"Files of {task.request.task} in {folder} belong to another user, and a container of its image "
                f"could not change that. You can: sudo chown -R {os.geteuid()}:{os.getegid()} {folder}"
            )

    def remove(self, container: Container) -> None:
        """Remove a container, whatever it does."""
        try:
            container.remove(v=True, force=True)
        except engine_errors() as error:
            self._unremoved.add(str(container.id))
            self._warn(f"The container {container.short_id} was not removed: {message_of(error)}")
        else:
            self._existing.discard(str(container.id))

    @contextlib.contextmanager
    def removing_meanwhile(self) -> Iterator[None]:
        """Let `remove_soon` return at once during the block, at whose end everything is removed."""
        with self._lock:
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                removals = list(self._removals)
            patience_ends = time.monotonic() + _PATIENCE
            for thread in removals:
                thread.join(max(0.0, patience_ends - time.monotonic()))

    def remove_soon(self, container: Container) -> None:
        """Remove a container whose end nothing waits for: in a thread, or now if no block is in progress."""
        with self._lock:
            if self._blocks:
                thread = threading.Thread(target=self._remove_in_thread, args=(container,), daemon=True)
                self._removals.add(thread)
                thread.start()
                return
        self.remove(container)

    def _remove_in_thread(self, container: Container) -> None:
        try:
            self.remove(container)
        finally:
            with self._lock:
                self._removals.discard(threading.current_thread())

    def retry_removals(self, client: DockerClient) -> None:
        """Remove containers that could not be removed before, because the engine had died for instance."""
        for container in list(self._unremoved):
            with contextlib.suppress(*engine_errors()):  # the user was warned
                client.api.remove_container(container, v=True, force=True)
                self._unremoved.discard(container)
                self._existing.discard(container)

    def sweep(self, client: DockerClient) -> None:
        """Remove the containers of processes that were killed."""
        for container in leftovers(client):
            try:
                client.api.remove_container(container, v=True, force=True)
            except engine_errors() as error:
                self._warn(f"The leftover container {container[:12]} was not removed: {message_of(error)}")

    def after_fork_in_child(self) -> None:
        """Leave the removals to the process that this one was forked from; see `support.forking`."""
        self._lock = threading.Lock()  # a thread that is not in this process may hold the old one
        self._removals.clear()
        self._blocks = 0
