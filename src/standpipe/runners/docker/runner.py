"""Tasks in containers, through the API of the Docker engine. Podman answers to the same one."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standpipe.errors import RunnerError, UnsupportedError
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Cancel, Images, Log, Mount, Outcome, Pod, TaskRequest
from standpipe.model.resources import Limits
from standpipe.runners.docker.container import ContainerTask, Traits, user_of
from standpipe.runners.docker.engine import Engine, Owner, engine_errors, leftovers, said
from standpipe.runners.docker.reaper import Reaper
from standpipe.runners.docker.run_arguments import RunArguments, Volumes
from standpipe.runners.request_files import request_file

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

#: Where the package `worker` of the host is in a container, and where the run's workspace is (KFP's own place).
WORKER = "/standpipe/worker"
WORKSPACE = "/kfp-workspace"

_WORKER_HERE = Path(__file__).resolve().parents[2] / "worker"

#: The run arguments that say how much of the cores a container gets; the engine takes only one way.
_CPU_ARGUMENTS = {"nano_cpus", "cpu_period", "cpu_quota"}

#: Seconds for which the id of an image is taken to be what it was.
_IDS_LAST = 1.0

_STOPPED = "it was cancelled before it started"
_MUST_NOT_BE_ROOT = (
    "it must not run as root (kubernetes.set_security_context), and its image does: pass run_as_user, too, or use an "
    "image with a user of its own"
)


class DockerTasks:
    """Implements `model.ports.Runner` with containers.

    A container component runs its command as Kubernetes does: `command` replaces the image's entrypoint and `args`
    its arguments. A lightweight Python component runs on the `python3` of its image, with our `worker` mounted
    read-only. A container sees the pipeline root and the brought artifacts where they are on this machine, and the
    run's workspace at `/kfp-workspace`. It runs as the image's own user, as on a cluster; what it leaves in the
    task's folder and in the workspace belongs to the caller afterwards.

    Args:
        container_run_args: arguments of `containers.run` in the Docker SDK, except those in
            `docker_arguments.REFUSED`. The entries of `environment` win over the component's own; `volumes`, `mounts`
            and `labels` join ours.
        images: has the images, and adds packages to them.
        notice: takes one line at a time about what takes long.
        engine: the connection.
        reaper: removes the containers of this process if that is killed.

    Raises:
        RunArgumentError: for a run argument that does not exist or cannot be given.
    """

    def __init__(
        self,
        container_run_args: Mapping[str, Any],
        images: Images,
        notice: Callable[[str], None],
        engine: Engine | None = None,
        reaper: Reaper | None = None,
    ) -> None:
        self._arguments = RunArguments.check(container_run_args)
        self._images = images
        self._notice = notice
        self._engine = engine or Engine()
        self._reaper = reaper or Reaper()
        self._unremoved: set[str] = set()
        self._lock = threading.Lock()
        self._image_ids: dict[str, tuple[float, str]] = {}  # with when they were asked for
        self._traits: Traits | None = None
        atexit.register(self.close)

    def run(self, request: TaskRequest, *, log: Log, cancel: Cancel) -> Outcome:
        """Runs one attempt in a container of its own; see `model.ports.Runner`.

        Raises:
            UnsupportedError: if the task is to be debugged.
            RunnerError: if there is no engine or no image, or the engine refuses to make the container.
            EnvironmentBuildError: if the function's packages cannot be installed.
        """
        if request.debug:
            raise UnsupportedError(
                f"The task {str(request.task)!r} cannot be debugged in a container, which has no terminal. Use "
                "local.init(runner=local.SubprocessRunner())."
            )
        client = self._engine()
        with self._reaper.guards(Owner.current().labels):
            return self._run(client, request, log, cancel)

    def _run(self, client: DockerClient, request: TaskRequest, log: Log, cancel: Cancel) -> Outcome:
        traits = self._first_use(client)
        try:
            image = self._image(client, request, cancel)
        except RunnerError:
            if not cancel:
                raise
        if cancel:
            return Outcome(problem=_STOPPED)
        with self._container(client, image, self._create_arguments(client, image, request, traits)) as container:
            task = ContainerTask(request, container, traits)
            if request.pod.non_root and task.is_root:
                return Outcome(problem=_MUST_NOT_BE_ROOT)
            with task.prepared():
                outcome = task.follow(log, cancel, tty=bool(self._arguments.others.get("tty")))
        self._reclaim(client, image, task)
        return outcome

    def fingerprint(self, request: TaskRequest) -> str:
        """The digest of the image, and what the user gives to all containers.

        Empty while the image is not on this machine.
        """
        image = self._image_id(request.image)
        return f"{image} {self._arguments.in_words}" if image else ""

    def _image_id(self, name: str) -> str:
        """The digest of an image's content, asked for once in a while: a name may stand for another one later."""
        now = time.monotonic()
        asked, image = self._image_ids.get(name, (-math.inf, ""))
        if now - asked > _IDS_LAST or not image:
            with contextlib.suppress(*engine_errors()):  # it is not here, or nobody answers, which the task will say
                image = str(self._engine().images.get(name).id)
            self._image_ids[name] = (now, image)
        return image

    def close(self) -> None:
        """Closes the connection to the engine. A later run opens it again."""
        self._reaper.close(everything_removed=not self._unremoved)
        self._engine.close()
        atexit.unregister(self.close)

    def _first_use(self, client: DockerClient) -> Traits:
        with self._lock:
            if self._traits is None:
                try:
                    options = client.info().get("SecurityOptions") or []
                    self._sweep(client)
                except engine_errors() as error:
                    raise RunnerError(f"The container engine does not answer: {said(error)}") from error
                self._traits = Traits(
                    selinux=any("name=selinux" in option for option in options),
                    rootless=any("name=rootless" in option for option in options),
                )
            self._remove_again(client)
            return self._traits

    def _remove_again(self, client: DockerClient) -> None:
        """Removes what could not be removed, because the engine had died for instance."""
        for container in list(self._unremoved):
            with contextlib.suppress(*engine_errors()):  # it is a notice already
                client.api.remove_container(container, v=True, force=True)
                self._unremoved.discard(container)

    def _sweep(self, client: DockerClient) -> None:
        """Removes the containers of processes that were killed before they could do it themselves."""
        for container in leftovers(client):
            try:
                client.api.remove_container(container, v=True, force=True)
            except engine_errors() as error:
                self._notice(f"The leftover container {container[:12]} was not removed: {said(error)}")

    def _image(self, client: DockerClient, request: TaskRequest, cancel: Cancel) -> str:
        function = request.program if isinstance(request.program, PythonFunction) else None
        run_args = self._arguments.merged(environment={}, labels=_labels(request), volumes={})
        run_args["labels"] = _labels(request)  # the user's own labels are for the containers of tasks
        if request.pod.pull_policy == "Always":
            self._notice(f"Pulling the image {request.image}, as the image pull policy Always says.")
            self._images.pull(request.image, run_args=run_args, notice=self._notice, cancel=cancel)
        elif request.pod.pull_policy == "Never" and not client.images.list(request.image):
            raise RunnerError(
                f"The engine has no image {request.image}, and the task's image pull policy is Never. Pull it by hand: "
                f"docker pull {request.image}"
            )
        return self._images.image(request.image, function, run_args=run_args, notice=self._notice, cancel=cancel)

    def _create_arguments(
        self, client: DockerClient, image: str, request: TaskRequest, traits: Traits
    ) -> dict[str, Any]:
        merged = self._arguments.merged(
            environment={**request.env, **request.pod.env, "KFP_RETRY_INDEX": str(request.retry_index)},
            labels={**request.pod.labels, **_labels(request)},
            volumes=_volumes(request, traits),
        )
        if request.pod.mounts:
            merged["volumes"] = _as_binds(merged["volumes"], request.pod.mounts, traits)
        ours = {**self._of_the_pod(client, image, request.pod), **self._of_the_limits(request.limits)}
        return {**ours, **merged, **_command(request)}

    def _of_the_pod(self, client: DockerClient, image: str, pod: Pod) -> dict[str, Any]:
        """What Kubernetes' settings are in the engine's words; run arguments of the same name win."""
        arguments: dict[str, Any] = {"shm_size": pod.shared_memory} if pod.shared_memory else {}
        if pod.user is not None or pod.group is not None:
            user = user_of(client.images.get(image).attrs) if pod.user is None else pod.user
            arguments["user"] = str(user) if pod.group is None else f"{user}:{pod.group}"
        return arguments

    def _of_the_limits(self, limits: Limits) -> dict[str, Any]:
        """What limits are in the engine's words, but for those that the user's run arguments set in any words."""
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
        """A container that is made here and is always removed."""
        try:
            container = client.containers.create(image, **arguments)
        except engine_errors(TypeError, ValueError) as error:
            raise RunnerError(
                f"The engine did not make a container of the image {image}: {said(error)}\n"
                "Check the arguments of the DockerRunner, and the component's image and command."
            ) from error
        try:
            yield container
        finally:
            try:
                container.remove(v=True, force=True)
            except engine_errors() as error:
                self._unremoved.add(str(container.id))
                self._notice(f"The container {container.short_id} was not removed: {said(error)}")

    def _reclaim(self, client: DockerClient, image: str, task: ContainerTask) -> None:
        """Gives the caller what a container left behind that belongs to another user."""
        folders = task.foreign()
        if not folders:
            return
        uid, gid = task.caller
        arguments = {
            "entrypoint": ["chown", "-Rh", f"{uid}:{gid}", *map(str, folders)],
            "command": [],
            "user": "0:0",
            "network_mode": "none",
            "labels": _labels(task.request),
            "volumes": dict(_volume(folder, str(folder), "rw", task.traits) for folder in folders),
        }
        # An image may have no chown. Whether it worked is seen by looking again, and not by how it ended.
        with contextlib.suppress(*engine_errors(RunnerError)), self._container(client, image, arguments) as container:
            container.start()
            container.wait()
        for folder in task.foreign():
            self._notice(
                f"What {task.request.task} left in {folder} belongs to another user, and a container of its image "
                f"could not change that. You can: sudo chown -R {os.geteuid()}:{os.getegid()} {folder}"
            )


def _command(request: TaskRequest) -> dict[str, Any]:
    """What the container runs, in the engine's words: Kubernetes' `command` is the entrypoint here."""
    if isinstance(request.program, PythonFunction):
        return {"entrypoint": ["python3", f"{WORKER}/boot.py", "run", str(request_file(request.folder))], "command": []}
    command, args = list(request.program.command), list(request.program.args)
    return {"entrypoint": command, "command": args} if command else {"command": args}


def _labels(request: TaskRequest) -> dict[str, str]:
    return {"standpipe.run": request.run, "standpipe.task": str(request.task), **Owner.current().labels}


def _volumes(request: TaskRequest, traits: Traits) -> Volumes:
    wanted = [(request.pipeline_root, str(request.pipeline_root), "rw")]
    if isinstance(request.program, PythonFunction):
        wanted.append((_WORKER_HERE, WORKER, "ro"))
    if request.workspace is not None:
        wanted.append((request.workspace, WORKSPACE, "rw"))
    for path in request.reads:
        # The engine would make a folder of what does not exist; the task itself shall find that it is missing.
        if path.exists() and not path.is_relative_to(request.pipeline_root):
            is_own = request.workspace is not None and path.is_relative_to(request.workspace)
            wanted.append((path, str(path), "rw" if is_own else "ro"))
    return dict(_volume(source, target, mode, traits) for source, target, mode in wanted)


def _volume(source: Path, target: str, mode: str, traits: Traits) -> tuple[str, dict[str, str]]:
    if ":" in f"{source}{target}":
        raise RunnerError(f"{source} cannot be mounted into a container, because its name has a colon. Rename it.")
    return str(source), {"bind": target, "mode": f"{mode},z" if traits.selinux else mode}


def _as_binds(volumes: Volumes, mounts: Iterable[Mount], traits: Traits) -> list[str]:
    """Volumes and mounts in the form of a list, which takes the same folder at several places."""
    named = [*volumes.items()]
    for mount in mounts:
        named.append(_volume(mount.source, mount.path, "ro" if mount.read_only else "rw", traits))
    return [f"{source}:{volume['bind']}:{volume.get('mode', 'rw')}" for source, volume in named]
