"""The other containers of the pod of a task: init containers before it, sidecars beside it, and their network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from standpipe.errors import RunnerError
from standpipe.model.attempts import (
    CANCELLED_BEFORE_START,
    CommandLine,
    InitContainer,
    Outcome,
    PodSettings,
    TaskRequest,
)
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Log
from standpipe.model.resources import Limits
from standpipe.runners.docker.container import TaskContainer
from standpipe.runners.docker.create_arguments import bind_mounts, command_arguments, owner_labels
from standpipe.runners.docker.engine import engine_errors, message_of
from standpipe.runners.docker.host_services import network_arguments
from standpipe.runners.docker.run_arguments import RunArguments
from standpipe.runners.docker.sidecar import Sidecar, describe_end
from standpipe.runners.docker.traits import EngineTraits
from standpipe.runners.pod_log import ContainerLog, PodLog

if TYPE_CHECKING:
    from docker.models.containers import Container

#: The programs that keep the network of a pod open: in the image of a Python component, and in others.
_WAIT = ["python3", "-c", "import signal; signal.pause()"]
_SLEEP = ["sleep", "2147483647"]

#: Arguments for init containers and sidecars. The KFP backend drops all their capabilities (`extendPodSpecPatch` in
#: `backend/src/v2/driver/k8s.go`, after 2.17), so that what needs one, such as `chown`, fails here as well. The
#: exception is for files that belong to another user only here, as the files of containers are given to the caller.
#: With `init`, a program without a signal handler ends at the first signal.
_HARDENING = {"cap_drop": ["ALL"], "cap_add": ["DAC_OVERRIDE"], "security_opt": ["no-new-privileges"], "init": True}


@dataclass
class TaskStart:
    """How the task of a pod starts.

    Attributes:
        log: the log of the task.
        network: arguments of the engine that put its container into the network of the pod.
        outcome: the outcome of the task, if it cannot start: an init container has failed, for instance.
    """

    log: Log
    network: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None


class Pod:
    """The init containers and sidecars of one attempt.

    Args:
        request: the attempt.
        arguments: the user's arguments for containers.
        traits: properties of the engine.
        create: creates a container of an image with arguments of the engine, and removes it at the end of the block.
        reclaim: gives the files that a container of an image left to this process's user.
        limit_arguments: returns limits as arguments of the engine.
    """

    def __init__(
        self,
        request: TaskRequest,
        arguments: RunArguments,
        traits: EngineTraits,
        *,
        create: Callable[[str, Mapping[str, Any]], AbstractContextManager[Container]],
        reclaim: Callable[[str, TaskContainer], None],
        limit_arguments: Callable[[Limits], dict[str, Any]],
    ) -> None:
        self._request = request
        self._arguments = arguments
        self._traits = traits
        self._create = create
        self._reclaim = reclaim
        self._limit_arguments = limit_arguments

    @contextlib.contextmanager
    def run(self, image: str, images: Mapping[str, str], log: Log, cancel: Cancellation) -> Iterator[TaskStart]:
        """Run the init containers and start the sidecars, in their order; stop the sidecars at the end of the block.

        As in Kubernetes, an init container runs to its end before the next container starts, a sidecar only has to
        start, and at the end sidecars are stopped in the reverse order.

        Args:
            image: the image of the task, on this machine.
            images: the images of the init containers and sidecars on this machine, by their names.
            log: the log of the task. All containers write to it.
            cancel: cancels the task.

        Yields:
            How the task starts.
        """
        pod_log = PodLog(log)
        with contextlib.ExitStack() as stack:
            stack.callback(pod_log.finish)
            start = TaskStart(pod_log)
            try:
                start.network = stack.enter_context(self._network([image, *images.values()]))
                for container in self._request.pod.init_containers:
                    own_log = ContainerLog(pod_log, container.name)
                    created = self._init_container(images[container.image], container, start.network)
                    start.outcome = self._start(container, created, own_log, cancel, stack)
                    if start.outcome is not None:
                        break
            except RunnerError as error:
                start.outcome = Outcome(problem=str(error))
            yield start

    def _start(
        self,
        settings: InitContainer,
        created: AbstractContextManager[tuple[TaskContainer, Container]],
        log: ContainerLog,
        cancel: Cancellation,
        stack: contextlib.ExitStack,
    ) -> Outcome | None:
        """Run an init container, or start a sidecar. Return the outcome of the task if it cannot start."""
        if cancel:
            return CANCELLED_BEFORE_START
        if settings.is_sidecar:
            sidecar = Sidecar(*stack.enter_context(created), log, tty=self._arguments.has_terminal)
            stack.callback(sidecar.stop, cancel)
            problem = sidecar.start()
            return Outcome(problem=f"its sidecar {settings.name!r} did not start: {problem}") if problem else None
        with created as (task, _):
            outcome = task.follow(log, cancel, tty=self._arguments.has_terminal)
        log.finish()
        if outcome.succeeded:
            return None
        return Outcome(problem=f"its init container {settings.name!r} {describe_end(outcome)}")

    @contextlib.contextmanager
    def _network(self, images: list[str]) -> Iterator[Mapping[str, Any]]:
        """Return arguments that put containers into the network of the pod, which lasts until the end of the block.

        Containers that run one after the other need none. Sidecars and the task share one, so that `localhost` is the
        same for all. It belongs to a container that only waits, as in Kubernetes, because a network ends with its
        container, and a sidecar may exit.
        """
        mode = str(self._arguments.others.get("network_mode", ""))
        has_sidecars = any(container.is_sidecar for container in self._request.pod.init_containers)
        if mode == "host" or mode.startswith("container:") or not has_sidecars:
            yield {}
            return
        problem = ""
        network = network_arguments(self._request, self._arguments)
        for image in dict.fromkeys(images):
            is_python = image == images[0] and isinstance(self._request.program, PythonFunction)
            arguments = {
                **network,
                "entrypoint": _WAIT if is_python else _SLEEP,
                "command": [],
                "labels": owner_labels(self._request),
            }
            with self._create(image, arguments) as container:
                try:
                    container.start()
                except engine_errors() as error:  # the image does not have the program
                    problem = message_of(error)
                    continue
                yield self._shared_network(container, network)
                return
        raise RunnerError(
            f"The task and its sidecars cannot share a network: no container of the images {', '.join(images)} could "
            f"be started with the program `sleep`, to keep it open: {problem}. Use an image that has it, or "
            "DockerRunner(network_mode='host')."
        )

    def _shared_network(self, container: Container, network: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments that put a container into the network of another one, of which it has the host name, too."""
        shared = {**dict.fromkeys(network), "network_mode": f"container:{container.id}"}
        if self._traits.podman:  # it shares no names with the network, and Docker refuses this
            shared["hostname"] = self._arguments.network.get("hostname") or str(container.short_id)
        return shared

    @contextlib.contextmanager
    def _init_container(
        self, image: str, settings: InitContainer, network: Mapping[str, Any]
    ) -> Iterator[tuple[TaskContainer, Container]]:
        """Create an init container or a sidecar, and remove it at the end of the block."""
        own_request = replace(
            self._request,
            program=CommandLine(settings.command, settings.args),
            image=image,
            workspace=None,
            pod=PodSettings(mounts=settings.mounts),
        )
        labels = {**self._request.pod.labels, **owner_labels(self._request), "standpipe.init-container": settings.name}
        binds = bind_mounts(settings.mounts, self._traits)
        merged = self._arguments.merged(environment=settings.env, labels=labels, binds=binds)
        ours = {**_HARDENING, **self._limit_arguments(settings.limits)}
        with self._create(image, {**ours, **merged, **command_arguments(own_request), **network}) as container:
            task = TaskContainer(own_request, container, self._traits)
            yield task, container
        self._reclaim(image, task)
