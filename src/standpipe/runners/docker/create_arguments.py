"""Arguments of the engine for containers, made from the request of an attempt."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standpipe.errors import RunnerError
from standpipe.model.attempts import Mount, PodSettings, TaskRequest
from standpipe.model.cluster_differences import SP127, decides
from standpipe.model.plan import PythonFunction
from standpipe.model.resources import Limits
from standpipe.runners.docker.container import user_of
from standpipe.runners.docker.container_threads import ContainerThreads
from standpipe.runners.docker.engine import Owner
from standpipe.runners.docker.host_services import network_arguments, tracking_variables
from standpipe.runners.docker.known_images import KnownImages
from standpipe.runners.docker.run_arguments import RunArguments
from standpipe.runners.docker.traits import EngineTraits
from standpipe.runners.request_files import request_file

if TYPE_CHECKING:
    from docker import DockerClient

#: The run arguments that limit CPU, of which the engine takes only one kind.
_CPU_ARGUMENTS = {"nano_cpus", "cpu_period", "cpu_quota"}

#: The paths in a container of the package `worker`, and of the run's workspace (as in KFP).
WORKER = "/standpipe/worker"
WORKSPACE = "/kfp-workspace"

_WORKER_FOLDER = Path(__file__).resolve().parents[2] / "worker"


class CreateArguments:
    """Makes the engine's arguments for containers of tasks, with those of the user, which win.

    Args:
        arguments: the user's arguments.
        images: the images of the engine.
    """

    def __init__(self, arguments: RunArguments, images: KnownImages) -> None:
        self._arguments = arguments
        self._threads = ContainerThreads(arguments, images)

    def task_arguments(
        self, client: DockerClient, image: str, request: TaskRequest, traits: EngineTraits
    ) -> dict[str, Any]:
        """Return the arguments for the container of an attempt."""
        merged = self._arguments.merged(
            environment={
                **self._threads.variables(client, image, request),
                **tracking_variables(request, self._arguments),
                **request.env,
                **request.pod.env,
                "KFP_RETRY_INDEX": str(request.retry_index),
            },
            labels={**request.pod.labels, **owner_labels(request)},
            binds=bind_mounts([*task_mounts(request), *request.pod.mounts], traits),
        )
        merged.update(network_arguments(request, self._arguments))
        if hidden := hidden_folders(request):
            merged["tmpfs"] = {**merged.get("tmpfs", {}), **hidden}
        # The first process of a container gets no signal that it does not handle, and its zombies stay. On a cluster, a
        # task is never the first one: KFP's launcher is.
        ours = {"init": True, **self._pod_arguments(client, image, request.pod)}
        ours.update(self.limit_arguments(request.limits))
        return {**ours, **merged, **command_arguments(request)}

    def _pod_arguments(self, client: DockerClient, image: str, pod: PodSettings) -> dict[str, Any]:
        """Return Kubernetes' settings as arguments of the engine; the user's arguments override them."""
        arguments: dict[str, Any] = {"shm_size": pod.shared_memory} if pod.shared_memory else {}
        if pod.user is not None or pod.group is not None:
            user = user_of(client.images.get(image).attrs) if pod.user is None else pod.user
            arguments["user"] = str(user) if pod.group is None else f"{user}:{pod.group}"
        return arguments

    def limit_arguments(self, limits: Limits) -> dict[str, Any]:
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


def standby_arguments(arguments: Mapping[str, Any], request: TaskRequest, folder: Path) -> dict[str, Any]:
    """Return the arguments for a container that waits for an attempt at a Python component.

    Args:
        arguments: those for the container of the attempt.
        request: the attempt, whose folder does not exist yet.
        folder: what becomes its folder.
    """
    path = str(request.folder)
    binds = [
        bind.replace(path, str(folder), 1) if bind.startswith(f"{path}:") else bind for bind in arguments["volumes"]
    ]
    program, _, *rest = arguments["entrypoint"][1:]
    entrypoint = [arguments["entrypoint"][0], program, "stand-by", *rest]
    return {**arguments, "volumes": binds, "entrypoint": entrypoint, "stdin_open": True}


def command_arguments(request: TaskRequest) -> dict[str, Any]:
    """Return what the container runs, as arguments of the engine: Kubernetes' `command` is its entrypoint."""
    if isinstance(request.program, PythonFunction):
        return {"entrypoint": ["python3", f"{WORKER}/boot.py", "run", str(request_file(request.folder))], "command": []}
    command, args = list(request.program.command), list(request.program.args)
    return {"entrypoint": command, "command": args} if command else {"command": args}


def owner_labels(request: TaskRequest) -> dict[str, str]:
    """Return the labels of all containers of an attempt, by which they are removed if this process is killed."""
    return {"standpipe.run": request.run, "standpipe.task": str(request.task), **Owner.current().labels}


@decides(SP127)
def task_mounts(request: TaskRequest) -> list[Mount]:
    """Return what the container of a task sees of this machine, besides the volumes of its pod.

    That is its own folder, its inputs and the workspace of the run. On a cluster, too, a pod sees neither the run store
    nor other tasks. An input that is missing is left out, as the engine would create a folder for it.
    """
    mounts = [Mount(request.folder, str(request.folder))]
    if isinstance(request.program, PythonFunction):
        mounts.append(Mount(_WORKER_FOLDER, WORKER, read_only=True))
    inputs = _outermost(mount for mount in request.input_mounts if _is_payload(mount.source))
    if request.workspace is not None:
        workspace = request.workspace.resolve()
        mounts.append(Mount(request.workspace, WORKSPACE))
        others = [mount for mount in inputs if not mount.source.is_relative_to(workspace)]
        if len(others) < len(inputs):  # as a whole, because tasks that run now may be moving what is in it
            mounts.append(Mount(request.workspace, str(request.workspace)))
        inputs = others
    return [*mounts, *inputs]


def hidden_folders(request: TaskRequest) -> dict[str, str]:
    """Return the pipeline root as a `tmpfs` of the engine, if it is in an input, which the caller has brought."""
    root = request.pipeline_root
    is_visible = any(root.resolve().is_relative_to(mount.source) for mount in request.input_mounts)
    return {str(root): "mode=755"} if is_visible else {}


def _outermost(inputs: Iterable[Mount]) -> list[Mount]:
    """Return the mounts without those that are in another one, at the same place in it."""
    kept: dict[str, Mount] = {}
    for mount in sorted(inputs, key=lambda mount: mount.path):
        parents = (str(parent) for parent in Path(mount.path).parents)
        outer = next((kept[parent] for parent in parents if parent in kept), None)
        if outer is None or mount.source != outer.source / os.path.relpath(mount.path, outer.path):
            kept[mount.path] = mount
    return list(kept.values())


def _is_payload(path: Path) -> bool:
    """Return whether a path is that of a file or a folder, and not of a device for instance."""
    return os.path.isfile(path) or os.path.isdir(path)


def bind_mounts(mounts: Iterable[Mount], traits: EngineTraits) -> list[str]:
    """Return mounts as the engine takes them: `source:target:mode`.

    Raises:
        RunnerError: if a path contains a colon, which no engine can mount.
    """
    return [_bind_mount(mount, traits) for mount in mounts]


def _bind_mount(mount: Mount, traits: EngineTraits) -> str:
    if ":" in f"{mount.source}{mount.path}":
        raise RunnerError(
            f"{mount.source} cannot be mounted into a container, because its path contains a colon. Rename it."
        )
    mode = "ro" if mount.read_only else "rw"
    return f"{mount.source}:{mount.path}:{f'{mode},z' if traits.selinux else mode}"
