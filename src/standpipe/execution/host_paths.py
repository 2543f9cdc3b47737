"""Paths of this machine that tasks name, and which of them are mounted into containers.

A container sees its own attempt, its inputs and the volumes of its run. But a task itself says where its outputs are
(`uri` and `custom_path` in its executor output), or what an importer imports, and the tasks that take them see what is
there. So a path counts by what it resolves to, links and `..` included, and must be one that its task could read
anyway, or that of an artifact that the caller passed in or imports.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import StandpipeError
from standpipe.execution.contract import OutputError
from standpipe.model.attempts import Mount, TaskRequest
from standpipe.model.layout import LOG_FILE, VOLUMES_FOLDER
from standpipe.model.locations import is_remote
from standpipe.model.values import ArtifactValue, Value, find_artifacts
from standpipe.support.paths import is_within
from standpipe.support.properties import cached_property
from standpipe.worker.artifacts import local_path

_FOREIGN = (
    "which no container may see: it is neither in the folder of the task that named it nor in the workspace, and the "
    "caller did not pass it in"
)
_ADVICE = "pass it to the pipeline as an artifact, or import it with a path that no task makes"


class InputRefused(StandpipeError):
    """An input is at a path of this machine that containers may not see; the message says which, and what to do."""

    is_permanent = True


class _Target(NamedTuple):
    """What a location resolves to, empty if that is not on this machine, and whether a task must not name it."""

    path: str = ""
    is_foreign: bool = False


@dataclass(frozen=True)
class HostPaths:
    """The paths of this machine that the containers of a run may see.

    Args:
        root: the pipeline root.
        workspace: the folder that the run's tasks share, if it has one.
        mount_points: paths at which every container has a volume. There it does not see what this machine has.
        arguments: returns the arguments of the run.
    """

    root: Path
    workspace: Path | None
    mount_points: Sequence[str]
    arguments: Callable[[], Iterable[Value]]
    _imported: set[str] = field(default_factory=set)

    def add_import(self, location: str) -> None:
        """Let containers see what an importer has imported, from a path or a URI that no task has made."""
        if not is_remote(location) and os.path.isabs(location):
            self._imported.add(os.path.realpath(location))

    def may_import(self, location: str) -> bool:
        """Return whether an importer may import from a location that a task has made."""
        if is_remote(location):
            return not _leaves_bucket(location)
        real = self._find_real(location, ())
        return real is None or self._is_of_run(real)

    def may_copy(self, path: str) -> bool:
        """Return whether an importer may copy a file of this machine, at whose path no container has a volume here."""
        return self._is_of_run(os.path.realpath(path))

    def check_outputs(
        self, outputs: Mapping[str, Value], inputs: Mapping[str, Value], request: TaskRequest
    ) -> dict[str, Value]:
        """Return the outputs of a container, with the locations that other tasks may read.

        A custom path is a path in the container, from which the worker has copied the payload to the URI.

        Raises:
            OutputError: if an output names a path of this machine that its task could not read.
        """
        readable = [str(request.folder), *(artifact.location for artifact in find_artifacts(inputs.values()))]
        volumes = [mount.path for mount in request.pod.mounts]
        checked = dict(outputs)
        for name, artifact in outputs.items():
            if not isinstance(artifact, ArtifactValue):
                continue
            target = self._resolve(artifact.location, readable, volumes)
            if target.is_foreign and artifact.custom_path and _exists(artifact.uri):
                checked[name] = artifact = replace(artifact, custom_path="")
                target = self._resolve(artifact.uri, readable, volumes)
            if target.is_foreign:
                raise OutputError(
                    f"its output {name!r} names {_describe(artifact.location, target)}, {_FOREIGN}. Write to "
                    f"`{name}.path`, or {_ADVICE}"
                )
        return checked

    def list_inputs(self, inputs: Mapping[str, Value], volumes: Iterable[Mount]) -> tuple[Mount, ...]:
        """Return the mounts of the payloads of input artifacts, one for each path.

        Args:
            inputs: the inputs of the task.
            volumes: the volumes of its pod.

        Raises:
            InputRefused: if one is at a path that containers may not see: a process or an earlier version of Standpipe
                may have named it.
        """
        points = [mount.path for mount in volumes]
        mounts: dict[str, Mount] = {}
        for name, value in inputs.items():
            for artifact in find_artifacts([value]):
                location = artifact.location
                if location in mounts:
                    continue
                target = self._resolve(location, (), points)
                if target.is_foreign:
                    raise InputRefused(
                        f"its input {name!r} is at {_describe(location, target)}, {_FOREIGN}. Rerun the task that "
                        f"named it, or {_ADVICE}"
                    )
                if target.path:
                    mounts[location] = Mount(Path(target.path), location, read_only=True)
        return tuple(mounts.values())

    def may_use(self, location: str) -> bool:
        """Return whether tasks may read a location that the cache has."""
        return not self._resolve(location, (), ()).is_foreign

    def _resolve(self, location: str, readable: Iterable[str], volumes: Iterable[str]) -> _Target:
        """Return what a location resolves to, and whether a task must not name it.

        Args:
            location: a path or a URI.
            readable: the paths that the task which named it could read; empty if that task is not known.
            volumes: the paths of its volumes.
        """
        if is_remote(location):
            return _Target(is_foreign=_leaves_bucket(location))
        real = self._find_real(location, volumes)
        if real is None:
            return _Target()
        # An engine drops `..` from the path of a mount before it looks at links. It must not end up at another path.
        if os.path.realpath(os.path.normpath(location)) != real:
            return _Target(real, is_foreign=True)
        if self._is_of_run(real):
            return _Target(real)
        roots = [os.path.realpath(path) for path in readable]
        is_allowed = is_within(real, *roots) if roots else self._is_in_attempt(real)
        return _Target(real, is_foreign=not is_allowed)

    def _find_real(self, location: str, volumes: Iterable[str]) -> str | None:
        """Return what a location of this machine resolves to; None if nothing is there, or it is in a volume."""
        if is_remote(location) or not os.path.isabs(location) or not _exists(location):
            return None
        normal = os.path.normpath(location)
        if is_within(normal, *self.mount_points, *volumes):
            return None
        return os.path.realpath(location)

    def _is_of_run(self, real: str) -> bool:
        """Return whether a path is in the workspace, or in what the caller has passed in or imported."""
        if self._workspace and is_within(real, self._workspace):
            return True
        # What is in the pipeline root is not the caller's only because a folder above the root is.
        is_own = is_within(real, self._root)
        paths = (*self._argument_paths, *self._imported)
        return any(is_within(real, path) for path in paths if not (is_own and is_within(self._root, path)))

    def _is_in_attempt(self, real: str) -> bool:
        """Return whether a path is the folder of an attempt, of whichever run, or in one: each of those has a log."""
        if not is_within(real, self._root):
            return False
        run, *parts = os.path.relpath(real, self._root).split(os.sep)
        if run == VOLUMES_FOLDER or not parts or parts[0].startswith("."):
            return False
        steps = (os.path.join(self._root, run, *parts[:depth]) for depth in range(1, len(parts) + 1))
        return any(os.path.isfile(os.path.join(step, LOG_FILE)) for step in steps)

    @cached_property
    def _root(self) -> str:
        return os.path.realpath(self.root)

    @cached_property
    def _workspace(self) -> str:
        return os.path.realpath(self.workspace) if self.workspace else ""

    @cached_property
    def _argument_paths(self) -> frozenset[str]:
        locations = (artifact.location for artifact in find_artifacts(self.arguments()))
        return frozenset(os.path.realpath(path) for path in locations if os.path.isabs(path) and _exists(path))


def list_inputs(inputs: Mapping[str, Value]) -> tuple[Mount, ...]:
    """Return the payloads of input artifacts that are files of this machine, for tasks that see all of it."""
    locations = dict.fromkeys(artifact.location for artifact in find_artifacts(inputs.values()))
    paths = (Path(location) for location in locations if not is_remote(location))
    return tuple(Mount(path, str(path), read_only=True) for path in paths if path.is_absolute())


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False  # no file can have such a path


def _leaves_bucket(uri: str) -> bool:
    """Return whether the path at which a URI is mounted leads out of its mount point."""
    return ".." in local_path(uri).split("/")


def _describe(location: str, target: _Target) -> str:
    return location if target.path in ("", location) else f"{location}, which leads to {target.path}"
