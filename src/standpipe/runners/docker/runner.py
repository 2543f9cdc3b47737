"""The runner of tasks in containers, with the API of the Docker engine, which Podman has, too."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from standpipe.errors import RunnerError, UnsupportedError
from standpipe.model import plan
from standpipe.model.attempts import CANCELLED_BEFORE_START, Outcome, PodSettings, TaskRequest
from standpipe.model.cancellation import Cancellation
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import ExpectAttempts, Log, Problem
from standpipe.model.refs import RunId
from standpipe.model.resources import Capacity
from standpipe.runners.docker.container import TaskContainer
from standpipe.runners.docker.containers import Containers
from standpipe.runners.docker.create_arguments import CreateArguments, owner_labels
from standpipe.runners.docker.engine import Engine, Owner, engine_errors, message_of
from standpipe.runners.docker.known_images import KnownImages
from standpipe.runners.docker.pausing import pausing_command
from standpipe.runners.docker.permissions import close_to_others
from standpipe.runners.docker.pod import Pod
from standpipe.runners.docker.reaper import Reaper, shared_reaper
from standpipe.runners.docker.run_arguments import RunArguments
from standpipe.runners.docker.standby import Standby, start_standby
from standpipe.runners.docker.standbys import Standbys
from standpipe.runners.docker.traits import EngineTraits
from standpipe.runners.image_names import find_image_problem
from standpipe.runners.missing_modules import explain_missing_module
from standpipe.runners.package_indexes import has_variables
from standpipe.runners.pauses import announce_pauses
from standpipe.support import machine_capacity
from standpipe.support.notices import Notice, inform, warn

if TYPE_CHECKING:
    from docker import DockerClient

#: The arguments of the engine that limit CPU and memory, and that an engine may ignore.
_LIMITS = {"cpu_period", "cpu_quota", "mem_limit", "nano_cpus"}

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

    def check(self, name: str, *, run_args: Mapping[str, Any], cancel: Cancellation) -> None:
        """Check that an image is on this machine, or can be pulled. The pull is left when its first layer comes.

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
        self._known_images = KnownImages()
        self._create_arguments = CreateArguments(arguments, self._known_images)
        self._containers = Containers(warn)
        self._standbys = Standbys(self._may_stand_by, self._start_standby, self._containers)
        self._lock = threading.Lock()
        self._traits: EngineTraits | None = None
        self._knows_of_limits = False
        self._prepared: set[object] = set()
        self._checking = threading.Lock()
        self._image_errors: WeakKeyDictionary[Cancellation, dict[str, RunnerError | None]] = WeakKeyDictionary()

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
            create=partial(self._containers.open, client),
            reclaim=partial(self._containers.reclaim, client),
            limit_arguments=self._create_arguments.limit_arguments,
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
        arguments = {**self._create_arguments.task_arguments(client, image, request, traits), **network}
        self._warn_of_limits(traits, arguments)
        if request.pause and not isinstance(request.program, PythonFunction):
            arguments.update(pausing_command(request, request.pause, client.images.get(image).attrs))
        with contextlib.ExitStack() as stack:
            stack.callback(close_to_others, request)
            with self._task_container(client, image, request, arguments, traits, cancel) as (task, started):
                if request.pod.non_root and task.is_root:
                    return Outcome(problem=_MUST_NOT_BE_ROOT)
                task.prepare()
                with announce_pauses(request, f"docker exec -it {task.short_id} sh", self._warn):
                    outcome = task.follow(log, cancel, tty=self._arguments.has_terminal, started=started)
            self._containers.reclaim(client, image, task)
        return explain_missing_module(outcome, request, in_image=True) if outcome.cause else outcome

    def _warn_of_limits(self, traits: EngineTraits, arguments: Mapping[str, Any]) -> None:
        """Tell the user once if the engine ignores the limits of a task."""
        if not (traits.ignores_limits and arguments.keys() & _LIMITS):
            return
        with self._lock:
            warns, self._knows_of_limits = not self._knows_of_limits, True
        if warns:
            self._warn(
                "Tasks run without their limits of CPU and memory: Podman without root ignores them on a machine with "
                "cgroups of version 1. Use Podman's service of root, or cgroups of version 2."
            )

    @contextlib.contextmanager
    def _task_container(
        self,
        client: DockerClient,
        image: str,
        request: TaskRequest,
        arguments: Mapping[str, Any],
        traits: EngineTraits,
        cancel: Cancellation,
    ) -> Iterator[tuple[TaskContainer, Callable[[], None]]]:
        """Give the container of a task for a block: the one that waits for it, or a new one.

        Yields:
            The container, and the function to call when it has started.
        """
        with self._standbys.holding_back() as started:
            task = self._standbys.take(request, arguments, self._image_id(image), cancel)
            task = task or TaskContainer(request, self._containers.create(client, image, arguments), traits)
            try:
                yield task, started
            finally:
                # The engine does not remove a container whose network another one uses.
                must_be_gone = request.pod.init_containers or self._arguments.are_exclusive
                (self._containers.remove if must_be_gone else self._containers.remove_soon)(task.container)

    @contextlib.contextmanager
    def stand_by(self, run: RunId, root: Path) -> Iterator[ExpectAttempts]:
        """Keep containers that wait for attempts of a run; see `model.ports.StandbyRunner`."""
        with self._containers.removing_meanwhile(), self._standbys.keep(run, root) as expect:
            yield expect

    def _start_standby(self, request: TaskRequest, cancel: Cancellation) -> Standby | None:
        client = self._engine()
        with self._reaper.guard(Owner.current().labels):
            traits = self._prepare_engine(client)
            image = self._image(client, request, cancel)
            arguments = self._create_arguments.task_arguments(client, image, request, traits)
            return None if cancel else start_standby(client, image, request, arguments, traits, self._containers)

    def _may_stand_by(self, request: TaskRequest) -> bool:
        """Return whether a container of an attempt can be started before it: at once, and with the same result."""
        # In these, the engine would create the folder of the attempt, to mount it there.
        visible = [*map(Path, self._arguments.mount_points), *filter(None, [request.workspace])]
        return (
            isinstance(request.program, PythonFunction)
            and not (request.pause or request.debug or request.limits.gpus or self._arguments.has_terminal)
            and not self._arguments.are_exclusive
            and not any(request.folder.is_relative_to(path) for path in visible)
            and request.pod == PodSettings()
            and _identify(request.image, request.program) in self._prepared
        )

    def find_problems(self, executor: plan.Container) -> Iterator[Problem]:
        """Yield why an executor's tasks are certain to fail, as far as that is known before they start.

        An image that nobody has, or packages that no index has, are found by `prepare`.
        """
        if problem := find_image_problem(executor.image):
            yield problem
        try:
            self._engine()
        except RunnerError as error:
            yield Problem(str(error), error.hint)

    def is_prepared(self, executor: plan.Container) -> bool:
        """Return whether this process has prepared the image of an executor, or it is not known before its task."""
        function = executor.program if isinstance(executor.program, PythonFunction) else None
        return (
            not isinstance(executor.image, str)
            or (function is not None and has_variables(function))
            or _identify(executor.image, executor.program) in self._prepared
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
        self._prepared.add(_identify(executor.image, executor.program))

    def check(self, executor: plan.Container, cancel: Cancellation) -> None:
        """Check that the image of an executor can be pulled, once for all executors with the same `cancel`.

        Only a pull tells that for certain: Podman has no other request for it, and Docker's knows no mirrors.

        Raises:
            RunnerError: if there is no engine, or the image cannot be pulled.
        """
        image = str(executor.image)
        with self._checking:  # two threads may come with one image
            errors = self._image_errors.setdefault(cancel, {})
            if image not in errors:
                errors[image] = self._find_image_error(image, cancel)
        if (error := errors[image]) is not None:
            raise error

    def _find_image_error(self, image: str, cancel: Cancellation) -> RunnerError | None:
        try:
            self._images.check(image, run_args=self._arguments.merged(environment={}, labels={}), cancel=cancel)
        except RunnerError as error:
            return error
        return None

    def fingerprint(self, request: TaskRequest) -> str:
        """Return the digests of its images and the user's arguments; empty while one is not on this machine."""
        names = (request.image, *(container.image for container in request.pod.init_containers))
        images = [self._image_id(name) for name in names]
        return f"{' '.join(images)} {self._arguments.fingerprint}" if all(images) else ""

    def _image_id(self, name: str) -> str:
        """Return the digest of an image; empty if it is missing, or the engine does not answer: `run` raises then."""
        image = self._known_images.find(self._engine(), name)
        return str(image.id) if image else ""

    def capacity(self) -> Capacity:
        """Return the capacity of this machine, where the engine is taken to be.

        An engine in a virtual machine (Docker Desktop) or on another machine may have less or more.
        """
        return machine_capacity.read_capacity()

    def close(self) -> None:
        """Close the connection to the engine. A later run opens it again."""
        self._reaper.close(everything_removed=self._containers.are_removed)
        self._engine.close()

    def _prepare_engine(self, client: DockerClient) -> EngineTraits:
        with self._lock:
            if self._traits is None:
                try:
                    traits = EngineTraits.of(client.info())
                    self._containers.sweep(client)
                except engine_errors() as error:
                    raise RunnerError(f"The container engine does not answer: {message_of(error)}") from error
                self._traits = traits
            self._containers.retry_removals(client)
            return self._traits

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
        image = self._provide_image(request.image, request.program, variables, owner_labels(request), cancel)
        self._prepared.add(_identify(request.image, request.program))
        return image

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


def _identify(image: object, program: object) -> object:
    """Return what determines the image that an executor or a request needs."""
    if not isinstance(program, PythonFunction):
        return image
    return image, program.packages, program.index_urls, program.trusted_hosts, program.use_venv
