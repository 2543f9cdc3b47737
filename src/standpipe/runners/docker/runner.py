"""The runner of tasks in containers, with the API of the Docker engine, which Podman has, too."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from standpipe.errors import RunnerError, StandpipeError, UnsupportedError
from standpipe.model import plan
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import (
    CANCELLED_BEFORE_START,
    Log,
    Mount,
    Outcome,
    PodSettings,
    TaskRequest,
)
from standpipe.model.resources import Capacity, Limits
from standpipe.runners.docker.container import EngineTraits, TaskContainer, user_of
from standpipe.runners.docker.container_threads import ContainerThreads
from standpipe.runners.docker.create_arguments import (
    bind_mounts,
    command_arguments,
    hidden_folders,
    owner_labels,
    task_mounts,
)
from standpipe.runners.docker.engine import Engine, Owner, engine_errors, leftovers, message_of
from standpipe.runners.docker.pausing import pausing_command
from standpipe.runners.docker.permissions import close_to_others
from standpipe.runners.docker.pod import Pod
from standpipe.runners.docker.reaper import Reaper, shared_reaper
from standpipe.runners.docker.run_arguments import RunArguments
from standpipe.runners.missing_modules import explain_missing_module
from standpipe.runners.package_indexes import has_variables
from standpipe.runners.pauses import announce_pauses
from standpipe.support import machine_capacity
from standpipe.support.notices import Notice, inform, warn

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

#: The run arguments that limit CPU, of which the engine takes only one kind.
_CPU_ARGUMENTS = {"nano_cpus", "cpu_period", "cpu_quota"}

#: The seconds for which the id of an image is remembered.
_ID_LIFETIME = 1.0

_MUST_NOT_BE_ROOT = (
    "its image runs as root, which kubernetes.set_security_context forbids: pass run_as_user, too, or use an image "
    "with a user of its own"
)


class Images(Protocol):
    """Container images by content: an image that is on this machine, with a function's packages added."""

    def image(
        self,
        base: str,
        function: PythonFunction | None,
        *,
        variables: Mapping[str, str],
        run_args: Mapping[str, Any],
        inform: Notice,
        cancel: Cancellation,
    ) -> str:
        """Return the name of the image to run: `base`, or one built from it that holds the function's packages.

        Args:
            base: the component's image, which is pulled if it is missing.
            function: the component's program, with its packages; None for container components.
            variables: the variables of the task, which the URLs of indexes may refer to.
            run_args: the engine's arguments for the containers of tasks. A container that installs packages uses those
                for its network, mounts, environment and labels.
            inform: called with the progress, a sentence at a time.
            cancel: cancels the build.

        Raises:
            EnvironmentBuildError: if the packages cannot be installed, with the installer's error.
            RunnerError: if the image cannot be pulled, or `cancel` was set meanwhile.
        """

    def pull(self, name: str, *, run_args: Mapping[str, Any], inform: Notice, cancel: Cancellation) -> None:
        """Pull an image even if it is on this machine, as its name may stand for a newer one by now.

        Raises:
            RunnerError: if it cannot be pulled, or `cancel` was set meanwhile.
        """


class ContainerTaskRunner:
    """Implements `model.ports.Runner` with containers.

    A container component runs its command as Kubernetes does: `command` replaces the image's entrypoint and `args`
    its arguments. A lightweight Python component runs on the `python3` of its image, with our `worker` mounted
    read-only. A container sees the pipeline root and the user's artifacts at their paths on this machine, and the
    run's workspace at `/kfp-workspace`. It runs as the image's own user, as on a cluster; the files that it leaves in
    the task's folder and in the workspace belong to this process's user afterwards.

    Args:
        arguments: the user's arguments for containers. Their `environment` overrides the component's; `volumes`,
            `mounts` and `labels` are added to ours.
        images: provides the images, and adds packages to them.
        engine: the connection.
        reaper: removes the containers of this process if it is killed.
        warn: called with what is not done as asked.
        inform: called with the progress of what takes long.
    """

    def __init__(
        self,
        arguments: RunArguments,
        images: Images,
        engine: Engine | None = None,
        reaper: Reaper | None = None,
        *,
        warn: Notice = warn,
        inform: Notice = inform,
    ) -> None:
        self._arguments = arguments
        self._images = images
        self._warn = warn
        self._inform = inform
        self._engine = engine or Engine()
        self._reaper = reaper or shared_reaper
        self._threads = ContainerThreads(arguments)
        self._unremoved: set[str] = set()
        self._lock = threading.Lock()
        self._image_ids: dict[str, tuple[float, str]] = {}  # with the time of the request
        self._traits: EngineTraits | None = None
        self._prepared: set[object] = set()

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancellation) -> Outcome:
        """Run one attempt in a container of its own; see `model.ports.Runner`.

        Raises:
            UnsupportedError: if the task is to be debugged.
            RunnerError: if there is no engine or no image, or the engine refuses to create the container.
            EnvironmentBuildError: if the function's packages cannot be installed.
        """
        if request.debug:
            raise UnsupportedError(
                f"The task {str(request.task)!r} cannot be debugged in a container, which has no terminal. Use "
                "local.init(runner=local.SubprocessRunner())."
            )
        client = self._engine()
        with self._reaper.guard(Owner.current().labels):
            return self._run(client, request, log, cancel)

    def _run(self, client: DockerClient, request: TaskRequest, log: Log, cancel: Cancellation) -> Outcome:
        traits = self._prepare_engine(client)
        try:
            image = self._image(client, request, cancel)
            images_of_others = {
                container.image: self._pull_missing(request, container.image, cancel)
                for container in request.pod.init_containers
            }
        except RunnerError:
            if not cancel:
                raise
        if cancel:
            return CANCELLED_BEFORE_START
        if not request.pod.init_containers:
            return self._run_task(client, image, request, traits, {}, log, cancel)
        pod = Pod(
            request,
            self._arguments,
            traits,
            create=partial(self._container, client),
            reclaim=partial(self._reclaim, client),
            limit_arguments=self._limit_arguments,
        )
        with pod.run(image, images_of_others, log, cancel) as start:
            return start.outcome or self._run_task(client, image, request, traits, start.network, start.log, cancel)

    def _run_task(
        self,
        client: DockerClient,
        image: str,
        request: TaskRequest,
        traits: EngineTraits,
        network: Mapping[str, Any],
        log: Log,
        cancel: Cancellation,
    ) -> Outcome:
        arguments = {**self._create_arguments(client, image, request, traits), **network}
        if request.pause and not isinstance(request.program, PythonFunction):
            arguments.update(pausing_command(request, request.pause, client.images.get(image).attrs))
        with contextlib.ExitStack() as stack:
            stack.callback(close_to_others, request)
            with self._container(client, image, arguments) as container:
                task = TaskContainer(request, container, traits)
                if request.pod.non_root and task.is_root:
                    return Outcome(problem=_MUST_NOT_BE_ROOT)
                task.prepare()
                with announce_pauses(request, f"docker exec -it {container.short_id} sh", self._warn):
                    outcome = task.follow(log, cancel, tty=self._arguments.has_terminal)
            self._reclaim(client, image, task)
        return explain_missing_module(outcome, request, in_image=True) if outcome.cause else outcome

    def find_problem(self, executor: plan.Container) -> StandpipeError | None:
        """Return None: an image that nobody has, or packages that no index has, are found by `prepare`."""
        return None

    def is_prepared(self, executor: plan.Container) -> bool:
        """Return whether this process has prepared the image of an executor, or it is not known before its task."""
        function = executor.program if isinstance(executor.program, PythonFunction) else None
        return (
            not isinstance(executor.image, str)
            or (function is not None and has_variables(function))
            or _identify(executor) in self._prepared
        )

    def prepare(self, executor: plan.Container, cancel: Cancellation) -> None:
        """Pull the image of an executor if it is missing, and add its packages.

        Raises:
            RunnerError: if there is no engine, or the image cannot be pulled, or `cancel` was set meanwhile.
            EnvironmentBuildError: if the packages cannot be installed.
        """
        client, labels = self._engine(), Owner.current().labels
        with self._reaper.guard(labels):
            self._prepare_engine(client)
            self._provide_image(str(executor.image), executor.program, executor.env, labels, cancel)
        self._prepared.add(_identify(executor))

    def fingerprint(self, request: TaskRequest) -> str:
        """Return the digests of its images and the user's arguments; empty while one is not on this machine."""
        names = (request.image, *(container.image for container in request.pod.init_containers))
        images = [self._image_id(name) for name in names]
        return f"{' '.join(images)} {self._arguments.fingerprint}" if all(images) else ""

    def _image_id(self, name: str) -> str:
        """Return the digest of an image, remembered for a moment only: its name may stand for another one later."""
        now = time.monotonic()
        requested, image = self._image_ids.get(name, (-math.inf, ""))
        if now - requested > _ID_LIFETIME or not image:
            with contextlib.suppress(*engine_errors()):  # missing, or the engine does not answer: `run` raises
                image = str(self._engine().images.get(name).id)
            self._image_ids[name] = (now, image)
        return image

    def capacity(self) -> Capacity:
        """Return the capacity of this machine, where the engine is taken to be.

        An engine in a virtual machine (Docker Desktop) or on another machine may have less or more.
        """
        return machine_capacity.read_capacity()

    def close(self) -> None:
        """Close the connection to the engine. A later run opens it again."""
        self._reaper.close(everything_removed=not self._unremoved)
        self._engine.close()

    def _prepare_engine(self, client: DockerClient) -> EngineTraits:
        with self._lock:
            if self._traits is None:
                try:
                    options = client.info().get("SecurityOptions") or []
                    self._sweep(client)
                except engine_errors() as error:
                    raise RunnerError(f"The container engine does not answer: {message_of(error)}") from error
                self._traits = EngineTraits(
                    selinux=any("name=selinux" in option for option in options),
                    rootless=any("name=rootless" in option for option in options),
                )
            self._retry_removals(client)
            return self._traits

    def _retry_removals(self, client: DockerClient) -> None:
        """Remove containers that could not be removed before, because the engine had died for instance."""
        for container in list(self._unremoved):
            with contextlib.suppress(*engine_errors()):  # the user was warned
                client.api.remove_container(container, v=True, force=True)
                self._unremoved.discard(container)

    def _sweep(self, client: DockerClient) -> None:
        """Remove the containers of processes that were killed."""
        for container in leftovers(client):
            try:
                client.api.remove_container(container, v=True, force=True)
            except engine_errors() as error:
                self._warn(f"The leftover container {container[:12]} was not removed: {message_of(error)}")

    def _image(self, client: DockerClient, request: TaskRequest, cancel: Cancellation) -> str:
        if request.pod.pull_policy == "Always":
            run_args = self._installation_arguments(owner_labels(request))
            self._inform(f"Pulling the image {request.image}: its pull policy is Always.")
            self._images.pull(request.image, run_args=run_args, inform=self._inform, cancel=cancel)
        elif request.pod.pull_policy == "Never" and not client.images.list(request.image):
            raise RunnerError(
                f"The engine has no image {request.image}, and the task's image pull policy is Never. Pull it: "
                f"docker pull {request.image}"
            )
        variables = {**request.env, **request.pod.env}
        return self._provide_image(request.image, request.program, variables, owner_labels(request), cancel)

    def _provide_image(
        self,
        base: str,
        program: object,
        variables: Mapping[str, str],
        labels: Mapping[str, str],
        cancel: Cancellation,
    ) -> str:
        own = {**variables, **self._arguments.environment}
        return self._images.image(
            base,
            program if isinstance(program, PythonFunction) else None,
            variables={name: value for name, value in own.items() if value is not None},
            run_args=self._installation_arguments(labels),
            inform=self._inform,
            cancel=cancel,
        )

    def _installation_arguments(self, labels: Mapping[str, str]) -> dict[str, Any]:
        """Return the arguments for containers that install packages. The user's labels are for those of tasks."""
        return {**self._arguments.merged(environment={}, labels={}), "labels": dict(labels)}

    def _pull_missing(self, request: TaskRequest, image: str, cancel: Cancellation) -> str:
        """Return the image of an init container, which is pulled if it is missing."""
        run_args = {"labels": owner_labels(request)}
        return self._images.image(image, None, variables={}, run_args=run_args, inform=self._inform, cancel=cancel)

    def _create_arguments(
        self, client: DockerClient, image: str, request: TaskRequest, traits: EngineTraits
    ) -> dict[str, Any]:
        merged = self._arguments.merged(
            environment={
                **self._threads.variables(client, image, request),
                **request.env,
                **request.pod.env,
                "KFP_RETRY_INDEX": str(request.retry_index),
            },
            labels={**request.pod.labels, **owner_labels(request)},
            binds=bind_mounts([*task_mounts(request), *request.pod.mounts], traits),
        )
        if hidden := hidden_folders(request):
            merged["tmpfs"] = {**merged.get("tmpfs", {}), **hidden}
        # The first process of a container gets no signal that it does not handle, and its zombies stay. On a cluster, a
        # task is never the first one: KFP's launcher is.
        ours = {"init": True, **self._pod_arguments(client, image, request.pod)}
        ours.update(self._limit_arguments(request.limits))
        return {**ours, **merged, **command_arguments(request)}

    def _pod_arguments(self, client: DockerClient, image: str, pod: PodSettings) -> dict[str, Any]:
        """Return Kubernetes' settings as arguments of the engine; the user's arguments override them."""
        arguments: dict[str, Any] = {"shm_size": pod.shared_memory} if pod.shared_memory else {}
        if pod.user is not None or pod.group is not None:
            user = user_of(client.images.get(image).attrs) if pod.user is None else pod.user
            arguments["user"] = str(user) if pod.group is None else f"{user}:{pod.group}"
        return arguments

    def _limit_arguments(self, limits: Limits) -> dict[str, Any]:
        """Return limits as arguments of the engine, except those that the user's arguments set, in whatever way."""
        arguments: dict[str, Any] = {}
        if limits.cpu is not None and not self._arguments.others.keys() & _CPU_ARGUMENTS:
            arguments["nano_cpus"] = round(limits.cpu * 1e9)
        if limits.memory is not None and "mem_limit" not in self._arguments.others:
            arguments.update(mem_limit=limits.memory, memswap_limit=limits.memory)  # both the same: no swap
        if limits.gpus:
            from docker.types import DeviceRequest  # costly, and few tasks need it

            arguments["device_requests"] = [DeviceRequest(device_ids=list(limits.gpus), capabilities=[["gpu"]])]
        return arguments

    @contextlib.contextmanager
    def _container(self, client: DockerClient, image: str, arguments: Mapping[str, Any]) -> Iterator[Container]:
        """Create a container, and remove it at the end of the block."""
        try:
            container = client.containers.create(image, **arguments)
        except engine_errors(TypeError, ValueError) as error:
            raise RunnerError(
                f"The engine did not create a container of the image {image}: {message_of(error)}\n"
                "Check the arguments of the DockerRunner, and the component's image and command. An engine without an "
                "init program needs local.DockerRunner(init=False)."
            ) from error
        try:
            yield container
        finally:
            try:
                container.remove(v=True, force=True)
            except engine_errors() as error:
                self._unremoved.add(str(container.id))
                self._warn(f"The container {container.short_id} was not removed: {message_of(error)}")

    def _reclaim(self, client: DockerClient, image: str, task: TaskContainer) -> None:
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
        with contextlib.suppress(*engine_errors(RunnerError)), self._container(client, image, arguments) as container:
            container.start()
            container.wait()
        for folder in task.foreign_folders():
            self._warn(
                f"Files of {task.request.task} in {folder} belong to another user, and a container of its image "
                f"could not change that. You can: sudo chown -R {os.geteuid()}:{os.getegid()} {folder}"
            )


def _identify(executor: plan.Container) -> object:
    """Return what determines the image of an executor."""
    program = executor.program
    if not isinstance(program, PythonFunction):
        return executor.image
    return executor.image, program.packages, program.index_urls, program.trusted_hosts, program.use_venv
