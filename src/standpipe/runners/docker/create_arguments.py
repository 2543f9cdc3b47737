"""Arguments of the engine for containers, made from the request of an attempt."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from standpipe.errors import RunnerError
from standpipe.model.plan import PythonFunction
from standpipe.model.ports import Mount, TaskRequest
from standpipe.runners.docker.container import EngineTraits
from standpipe.runners.docker.engine import Owner
from standpipe.runners.docker.run_arguments import Volumes
from standpipe.runners.request_files import request_file

#: The paths in a container of the package `worker`, and of the run's workspace (as in KFP).
WORKER = "/standpipe/worker"
WORKSPACE = "/kfp-workspace"

_WORKER_FOLDER = Path(__file__).resolve().parents[2] / "worker"


def command_arguments(request: TaskRequest) -> dict[str, Any]:
    """Return what the container runs, as arguments of the engine: Kubernetes' `command` is its entrypoint."""
    if isinstance(request.program, PythonFunction):
        return {"entrypoint": ["python3", f"{WORKER}/boot.py", "run", str(request_file(request.folder))], "command": []}
    command, args = list(request.program.command), list(request.program.args)
    return {"entrypoint": command, "command": args} if command else {"command": args}


def owner_labels(request: TaskRequest) -> dict[str, str]:
    """Return the labels of all containers of an attempt, by which they are removed if this process is killed."""
    return {"standpipe.run": request.run, "standpipe.task": str(request.task), **Owner.current().labels}


def request_volumes(request: TaskRequest, traits: EngineTraits) -> Volumes:
    """Return the folders of this machine that the container of a task sees."""
    mounts = [(request.pipeline_root, str(request.pipeline_root), "rw")]
    if isinstance(request.program, PythonFunction):
        mounts.append((_WORKER_FOLDER, WORKER, "ro"))
    if request.workspace is not None:
        mounts.append((request.workspace, WORKSPACE, "rw"))
    for path in request.input_paths:
        # The engine would create a folder for a missing path; the task is to fail instead.
        if path.exists() and not path.is_relative_to(request.pipeline_root):
            is_in_workspace = request.workspace is not None and path.is_relative_to(request.workspace)
            mounts.append((path, str(path), "rw" if is_in_workspace else "ro"))
    return dict(volume_argument(source, target, mode, traits) for source, target, mode in mounts)


def volume_argument(source: Path, target: str, mode: str, traits: EngineTraits) -> tuple[str, dict[str, str]]:
    """Return one item of `Volumes`.

    Raises:
        RunnerError: if a path contains a colon, which no engine can mount.
    """
    if ":" in f"{source}{target}":
        raise RunnerError(f"{source} cannot be mounted into a container, because its path contains a colon. Rename it.")
    return str(source), {"bind": target, "mode": f"{mode},z" if traits.selinux else mode}


def bind_mounts(volumes: Volumes, mounts: Iterable[Mount], traits: EngineTraits) -> list[str]:
    """Return volumes and mounts as a list, which may have the same folder at several paths."""
    named = [*volumes.items()]
    for mount in mounts:
        named.append(volume_argument(mount.source, mount.path, "ro" if mount.read_only else "rw", traits))
    return [f"{source}:{volume['bind']}:{volume.get('mode', 'rw')}" for source, volume in named]
