"""The runner of this process, as users choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from standpipe.runners.api import LocalRunner, refuse_init_containers

if TYPE_CHECKING:
    from pathlib import Path

    from standpipe.model.plan import Plan
    from standpipe.model.ports import Runner


class InProcessRunner(LocalRunner):
    """Runs lightweight Python components in this process, for debuggers, profilers and coverage.

    Tasks run one at a time, in the thread that calls the run: breakpoints of an editor in your file hold,
    `breakpoint()` has the terminal, and Ctrl-C is a `KeyboardInterrupt` in the component. Types, inputs and outputs are
    checked as in a process of its own. What is installed here is used: `packages_to_install` are not installed, and a
    warning names those that are missing. Results are not cached. Limits have no effect, and nothing can kill a task.
    """

    in_process = True

    def __repr__(self) -> str:
        return "InProcessRunner()"

    def check_plan(self, plan: Plan) -> None:
        """Refuse a pipeline whose tasks have init containers or sidecars: a process has no containers beside it.

        Raises:
            UnsupportedError: if tasks have some; the message names them.
        """
        refuse_init_containers(plan, "InProcessRunner")

    def open(self) -> Runner:
        """Make the runner that executes attempts."""
        from standpipe.runners.in_process.runner import InProcessTaskRunner  # of no use to authoring

        return InProcessTaskRunner()

    def workspace_path(self, workspace: Path) -> str:
        """Return the path of the workspace on this machine, which tasks share."""
        return str(workspace)
