"""A run in progress, in a process of its own, whose tasks end when the test says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

from standpipe import local
from standpipe.errors import StandpipeError
from standpipe.history import Run, Status
from tests.processes import wait_until

from .samples import roots


class LiveRun:
    """The pipeline `shapes.live`: three tasks in a row, each of which waits for `release`.

    Args:
        root: the pipeline root.
        folder: an empty folder.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        folder.mkdir()
        earlier = {run.id for run in local.runs(root)}
        self._process: subprocess.Popen[bytes] = roots.start(root, "live", str(folder))
        assert wait_until(lambda: self._find(earlier))
        self.id = self._find(earlier)
        assert wait_until(lambda: self._is_running())

    def release(self, step: int) -> None:
        """Let a task end: 1, 2 or 3."""
        (self._folder / str(step)).touch()

    def read(self) -> Run:
        """Return the run as it is now."""
        return local.get_run(self.id, pipeline_root=self._root)

    def wait(self, status: Status) -> bool:
        """Wait until the run has a status."""
        return wait_until(lambda: self.read().status is status)

    def close(self) -> None:
        """Let all tasks end, and wait for the process."""
        for step in (1, 2, 3):
            self.release(step)
        try:
            self._process.wait(timeout=20)
        finally:
            self._process.kill()
            self._process.wait()

    def _find(self, earlier: set[str]) -> str:
        return next((run.id for run in local.runs(self._root) if run.id not in earlier), "")

    def _is_running(self) -> bool:
        try:
            return any(task.status is Status.RUNNING and task.attempts for task in self.read().tasks)
        except StandpipeError:
            return False
