"""The runner of processes, as users choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from standpipe.runners.api import LocalRunner
from standpipe.support.user_dirs import cache_folder

if TYPE_CHECKING:
    from pathlib import Path

    from standpipe.model.ports import Runner


class SubprocessRunner(LocalRunner):
    """Runs lightweight Python components on this machine, each attempt in a new process.

    Args:
        use_venv: whether each task runs in an environment that holds only its own packages, built once and shared by
            all tasks that name the same ones. Otherwise tasks run in the current environment, and packages that are
            missing there are installed into it.
        serialize_pip_installs: accepted for scripts written for KFP, without effect: each environment is built once,
            alone.
        max_concurrent_pip_installs: the same.
    """

    def __init__(
        self, use_venv: bool = True, serialize_pip_installs: bool = True, max_concurrent_pip_installs: int = 1
    ) -> None:
        self.use_venv = use_venv

    def __repr__(self) -> str:
        return f"SubprocessRunner(use_venv={self.use_venv})"

    @property
    def command_options(self) -> tuple[str, ...]:
        """The flags of the command line that choose this runner."""
        return () if self.use_venv else ("--no-venv",)

    @classmethod
    def from_command_line(cls, *, no_venv: bool) -> SubprocessRunner:
        """Make the runner that the flags of the command line ask for."""
        return cls(use_venv=not no_venv)

    def open(self) -> Runner:
        """Make the runner that executes attempts."""
        from pathlib import Path  # with the parts of this runner, of no use to authoring

        from standpipe.runners.process.runner import ProcessTaskRunner
        from standpipe.runners.process.venv import (  # costly to import, and of use to this runner only
            CurrentEnvironment,
            Venvs,
        )

        return ProcessTaskRunner(Venvs(Path(cache_folder(), "envs")) if self.use_venv else CurrentEnvironment())

    def workspace_path(self, workspace: Path) -> str:
        """Return the path of the workspace on this machine, which tasks share."""
        return str(workspace)
