"""The options of runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from standpipe.errors import ArgumentError
from standpipe.faults import Fault, check_faults
from standpipe.model.frozen import frozen
from standpipe.runners.api import LocalRunner, suggestions

#: How many tasks run at once unless the user says otherwise, whatever the number of cores: most of them wait.
MAX_PARALLEL = 16

#: What may become of tasks that ask for more than the machine has (`model.resources.ResourcePolicy`).
RESOURCE_POLICIES = ("clamp", "strict", "ignore")


@frozen
class Session:
    """The options of runs; see `init`."""

    runner: LocalRunner
    pipeline_root: str | os.PathLike[str] = "./local_outputs"
    workspace_root: str | os.PathLike[str] | None = None
    raise_on_error: bool = True
    enable_caching: bool = False
    cache_root: str | os.PathLike[str] | None = None
    max_parallel: int = MAX_PARALLEL
    quiet: bool = False
    kubernetes: str | os.PathLike[str] | Mapping[str, Any] | None = None
    resources: str = "clamp"
    faults: Sequence[Fault] = ()
    secrets: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.runner, LocalRunner):
            raise ArgumentError(f"Invalid runner={self.runner!r}: expected {' or '.join(suggestions())}.")
        if isinstance(self.max_parallel, bool) or not isinstance(self.max_parallel, int) or self.max_parallel < 1:
            raise ArgumentError(f"max_parallel={self.max_parallel!r} must be a whole number of tasks, at least 1.")
        check_folder("pipeline_root", self.pipeline_root)
        for name in ("workspace_root", "cache_root"):
            if (folder := getattr(self, name)) is not None:
                check_folder(name, folder)
        if "://" in str(self.pipeline_root):
            raise ArgumentError(
                f"pipeline_root={str(self.pipeline_root)!r} is not on this machine: pass a folder. "
                "Where a cluster keeps artifacts is said with @dsl.pipeline(pipeline_root=...)."
            )
        if "://" in str(self.cache_root or ""):
            raise ArgumentError(f"cache_root={str(self.cache_root)!r} is not on this machine: pass a folder.")
        if self.resources not in RESOURCE_POLICIES:
            raise ArgumentError(
                f"resources={self.resources!r} must be one of {', '.join(map(repr, RESOURCE_POLICIES))}: what becomes "
                "of tasks that ask for more than this machine has."
            )
        if isinstance(self.kubernetes, (str, os.PathLike)):
            if not os.path.exists(os.path.expanduser(self.kubernetes)):
                raise ArgumentError(
                    f"kubernetes={str(self.kubernetes)!r} does not exist: pass the file or folder that says what "
                    "secrets, config maps and PVCs hold on this machine."
                )
        elif not isinstance(self.kubernetes, (Mapping, type(None))):
            raise ArgumentError(f"kubernetes={type(self.kubernetes).__name__} is no file, folder or mapping.")
        check_faults(self.faults)
        names = self.secrets
        if (
            not isinstance(names, Iterable)
            or isinstance(names, str)
            or not all(isinstance(name, str) for name in names)
        ):
            raise ArgumentError("secrets must be a list of names of environment variables: secrets=['API_TOKEN'].")

    @property
    def command_options(self) -> tuple[str, ...]:
        """The options of `standpipe resume` that say the same, as far as they can; without where runs are kept."""
        told = [*self.runner.command_options]
        if self.workspace_root is not None:
            told += ["--workspace-root", _absolute(self.workspace_root)]
        if isinstance(self.kubernetes, (str, os.PathLike)):
            told += ["--kubernetes", _absolute(self.kubernetes)]
        if self.resources != Session.resources:
            told += ["--resources", self.resources]
        for name in self.secrets:
            told += ["--secret", name]
        return (*told, "--cache") if self.enable_caching else tuple(told)


def check_folder(name: str, folder: object) -> None:
    """Raises ArgumentError unless a folder is named as Python names files."""
    if not isinstance(folder, (str, os.PathLike)) or not isinstance(path := os.fspath(folder), str) or "\0" in path:
        raise ArgumentError(f"{name}={folder!r} is no folder: pass its path, as text or as a pathlib.Path.")


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(os.path.expanduser(path))
