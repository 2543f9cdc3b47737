"""The runner of processes, as users choose it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from standpipe.runners.api import LocalRunner, refuse_init_containers
from standpipe.support.user_dirs import cache_folder

if TYPE_CHECKING:
    from pathlib import Path

    from standpipe.model.plan import Plan
    from standpipe.model.ports import Runner

#: The values of a variable that switch something off.
_OFF = ("0", "false", "no", "off")


class SubprocessRunner(LocalRunner):
    """Runs lightweight Python components on this machine, each attempt in a new process.

    Args:
        use_venv: whether each task runs in an environment that holds only its own packages, built once and shared by
            all tasks that name the same ones. Otherwise tasks run in the current environment, and packages that are
            missing there are installed into it.
        serialize_pip_installs: accepted for scripts written for KFP, without effect: each environment is built once,
            alone.
        max_concurrent_pip_installs: the same.
        ignore_init_containers: whether tasks with init containers or sidecars (`kubernetes.add_init_container`) run
            without them. Otherwise a pipeline that has such tasks is refused: a process has no containers beside it.
        warm_imports: whether tasks may start in a copy of a process that has imported their packages already. Each
            still has a process of its own. `STANDPIPE_WARM_IMPORTS=0` switches it off as well.
    """

    def __init__(
        self,
        use_venv: bool = True,
        serialize_pip_installs: bool = True,
        max_concurrent_pip_installs: int = 1,
        *,
        ignore_init_containers: bool = False,
        warm_imports: bool = True,
    ) -> None:
        self.use_venv = use_venv
        self.ignore_init_containers = ignore_init_containers
        self.warm_imports = warm_imports

    def __repr__(self) -> str:
        more = ", ignore_init_containers=True" if self.ignore_init_containers else ""
        more += "" if self.warm_imports else ", warm_imports=False"
        return f"SubprocessRunner(use_venv={self.use_venv}{more})"

    @property
    def command_options(self) -> tuple[str, ...]:
        """The flags of the command line that choose this runner."""
        flags = {
            "--no-venv": not self.use_venv,
            "--no-init-containers": self.ignore_init_containers,
            "--no-warm-imports": not self.warm_imports,
        }
        return tuple(flag for flag, is_set in flags.items() if is_set)

    @classmethod
    def from_command_line(
        cls, *, no_venv: bool, no_init_containers: bool = False, no_warm_imports: bool = False, **_: str
    ) -> SubprocessRunner:
        """Make the runner that the flags of the command line ask for."""
        return cls(use_venv=not no_venv, ignore_init_containers=no_init_containers, warm_imports=not no_warm_imports)

    def check_plan(self, plan: Plan) -> None:
        """Refuse a pipeline whose tasks have init containers or sidecars, unless the user's options ignore them.

        Raises:
            UnsupportedError: if tasks have some; the message names them.
        """
        if not self.ignore_init_containers:
            refuse_init_containers(
                plan,
                "SubprocessRunner",
                "To run these tasks without them, use local.SubprocessRunner(ignore_init_containers=True) or "
                "--no-init-containers.",
            )

    def open(self) -> Runner:
        """Make the runner that executes attempts."""
        from pathlib import Path  # with the parts of this runner, of no use to authoring

        from standpipe.runners.process.runner import ProcessTaskRunner
        from standpipe.runners.process.venv import (  # costly to import, and of use to this runner only
            CurrentEnvironment,
            Venvs,
        )
        from standpipe.runners.process.warm_imports import shared_warm_imports

        environments = Venvs(Path(cache_folder(), "envs")) if self.use_venv else CurrentEnvironment()
        return ProcessTaskRunner(environments, warm=shared_warm_imports() if self._may_warm() else None)

    def _may_warm(self) -> bool:
        return self.warm_imports and os.environ.get("STANDPIPE_WARM_IMPORTS", "1").lower() not in _OFF

    @contextmanager
    def running(self) -> Iterator[Runner]:
        """Give the open runner for the length of a run."""
        with super().running() as runner:
            from standpipe.runners.process.fork_servers import shared_servers  # of use to this runner only

            with shared_servers.run():
                yield runner

    def retire(self, successor: LocalRunner) -> None:
        """Leave the fork servers to the successor, if that is of the same kind: they are shared."""
        if not isinstance(successor, SubprocessRunner):
            super().retire(successor)

    def workspace_path(self, workspace: Path) -> str:
        """Return the path of the workspace on this machine, which tasks share."""
        return str(workspace)
