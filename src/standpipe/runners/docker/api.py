"""The runner of containers, as users choose it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import finalize

from standpipe.runners.api import LocalRunner
from standpipe.support.user_dirs import cache_folder

if TYPE_CHECKING:
    from pathlib import Path

    from standpipe.model.ports import Runner


class DockerRunner(LocalRunner):
    """Runs every kind of component in containers of a Docker engine, or of Podman by way of `DOCKER_HOST`.

    Args:
        max_concurrent_pip_installs: accepted for scripts written for KFP, without effect: each image is made once,
            alone.
        **container_run_args: arguments of `containers.run` in the Docker SDK, for all containers of tasks.

    Raises:
        RunArgumentError: if there is no such argument, or it cannot be passed.
    """

    def __init__(self, max_concurrent_pip_installs: int = 1, **container_run_args: Any) -> None:
        from standpipe.runners.docker.run_arguments import RunArguments  # brings the Docker SDK, which takes 0.2 s

        self._run_arguments = RunArguments.check(container_run_args)
        self.container_run_args = container_run_args

    def __repr__(self) -> str:
        return f"DockerRunner({', '.join(f'{name}={value!r}' for name, value in self.container_run_args.items())})"

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables that `environment=` sets for all tasks, by name."""
        return {name: value for name, value in self._run_arguments.environment.items() if value is not None}

    def open(self) -> Runner:
        """Make the runner that executes attempts. It connects to the engine when the first task comes."""
        from pathlib import Path  # with the parts of this runner, of no use to authoring

        from standpipe.runners.docker.engine import Engine
        from standpipe.runners.docker.images import DerivedImages  # costly to import, and of use to this runner only
        from standpipe.runners.docker.runner import ContainerTaskRunner

        engine = Engine()
        images = DerivedImages(engine, Path(cache_folder(), "images"))
        runner = ContainerTaskRunner(self._run_arguments, images, engine)
        finalize(self, runner.close)  # also at the end of the program
        return runner

    def workspace_path(self, workspace: Path) -> str:
        """Return KFP's path of the workspace, where it is mounted into all containers."""
        # costly to import, and of use to this runner only
        from standpipe.runners.docker.create_arguments import WORKSPACE

        return WORKSPACE
