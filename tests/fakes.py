"""A way to run pipelines in tests without a process."""

from __future__ import annotations

from pathlib import Path

from standpipe.model.ports import Runner
from standpipe.runners.fake import Behaviour, FakeTasks
from standpipe.runs.options import LocalRunner


class FakeRunner(LocalRunner):
    """Runs tasks as the given functions, by task name; each gets the parameters and returns the outputs."""

    def __init__(self, **behaviours: Behaviour) -> None:
        self.behaviours = {name.replace("_", "-"): behaviour for name, behaviour in behaviours.items()}

    def _open(self) -> Runner:
        return FakeTasks(self.behaviours)

    def workspace_path(self, workspace: Path) -> str:
        return str(workspace)
