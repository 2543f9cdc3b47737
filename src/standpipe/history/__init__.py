"""Run history: the runs of a run store as objects, for people and programs."""

from __future__ import annotations

from pathlib import Path

from standpipe.history.reader import RunReader
from standpipe.history.records import Artifact, Attempt, Status
from standpipe.history.run import Run
from standpipe.history.task import Task
from standpipe.model.ports import RecordedRun
from standpipe.store.reading import StoredFacts, run_row, run_rows

__all__ = ["Artifact", "Attempt", "Run", "Status", "Task", "get_run", "runs"]


def runs(pipeline_root: Path) -> list[Run]:
    """Return all runs in a pipeline root, newest first; see `standpipe.local.runs`."""
    return [_read(pipeline_root, row) for row in run_rows(pipeline_root)]


def get_run(pipeline_root: Path, run: str) -> Run:
    """Return one run; see `standpipe.local.get_run`."""
    return _read(pipeline_root, run_row(pipeline_root, run))


def _read(pipeline_root: Path, run: RecordedRun) -> Run:
    return RunReader(StoredFacts(pipeline_root), run.id, pipeline_root / run.id).snapshot(run)
