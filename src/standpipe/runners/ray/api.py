"""The runner on Ray clusters, as users choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import finalize

from standpipe.runners.api import LocalRunner, refuse_init_containers

if TYPE_CHECKING:
    from pathlib import Path

    from standpipe.model.plan import Plan
    from standpipe.model.ports import Runner


class RayRunner(LocalRunner):
    """Runs lightweight Python components on a Ray cluster, each attempt as a task of Ray in a process of its own.

    The nodes of the cluster exchange artifacts by an object store, as with `pipeline_root="s3://bucket/runs"`. Without
    one, they need a disk that they share with this machine, at the same path, for the pipeline root.

    Args:
        address: the address of the cluster: `auto` for the one that runs on this machine, `host:port`,
            `ray://host:port`, or `local` for a new one on this machine that ends with the program. By default, the
            variable `RAY_ADDRESS`; without that, `local`.
        use_venv: whether each task runs in an environment that holds only its own packages, built once on each node.
            Otherwise tasks run in the environment of Ray on their nodes.
    """

    text_options = ("address",)

    def __init__(self, address: str | None = None, *, use_venv: bool = True) -> None:
        self.address = address
        self.use_venv = use_venv

    def __repr__(self) -> str:
        return f"RayRunner({self.address!r}{'' if self.use_venv else ', use_venv=False'})"

    @property
    def command_options(self) -> tuple[str, ...]:
        """The flags of the command line that choose this runner."""
        return (*super().command_options, *(() if self.use_venv else ("--no-venv",)))

    @classmethod
    def from_command_line(
        cls, *, no_venv: bool, no_init_containers: bool = False, no_warm_imports: bool = False, **options: str
    ) -> RayRunner:
        """Make the runner that the flags of the command line ask for."""
        super().from_command_line(no_venv=False, no_init_containers=no_init_containers, no_warm_imports=no_warm_imports)
        return cls(**options, use_venv=not no_venv)

    def check_plan(self, plan: Plan) -> None:
        """Refuse a pipeline whose tasks have init containers or sidecars.

        Raises:
            UnsupportedError: if tasks have some; the message names them.
        """
        refuse_init_containers(plan, "RayRunner")

    def open(self) -> Runner:
        """Make the runner that executes attempts. It connects to the cluster when the first task comes.

        Raises:
            RunnerError: if Ray is not installed.
        """
        from standpipe.runners.ray.connection import import_ray
        from standpipe.runners.ray.runner import RayTaskRunner  # costly to import, and of use to this runner only

        import_ray()
        runner = RayTaskRunner(self.address, use_venv=self.use_venv)
        finalize(self, runner.close)  # also at the end of the program
        return runner

    def workspace_path(self, workspace: Path) -> str:
        """Return the path of the workspace, which is on the disk that the nodes share."""
        return str(workspace)
