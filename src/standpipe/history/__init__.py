"""Looking back: what the run store says of runs, as objects for people and programs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from standpipe.history.folding import fold
from standpipe.history.records import Artifact, Attempt, Run, Status, Story, Task, moment
from standpipe.model.layout import StateLayout
from standpipe.store.locks import is_active
from standpipe.store.reading import RunRow, run_facts, run_row, run_rows

__all__ = ["Artifact", "Attempt", "Run", "Status", "Task", "get_run", "runs"]


def runs(pipeline_root: Path) -> list[Run]:
    """All runs below a pipeline root, the newest first; see `standpipe.local.runs`."""
    return [_run(pipeline_root, row) for row in run_rows(pipeline_root)]


def get_run(pipeline_root: Path, run: str) -> Run:
    """One run; see `standpipe.local.get_run`."""
    return _run(pipeline_root, run_row(pipeline_root, run))


def _run(root: Path, row: RunRow) -> Run:
    folder = StateLayout(root).run_folder(row.id)
    status = _status(row, folder)

    def read() -> Story:
        return fold(run_facts(root, row), folder, is_over=status is not Status.RUNNING)

    return Run(
        id=row.id,
        pipeline=row.pipeline,
        status=status,
        created=datetime.fromisoformat(row.created.replace("Z", "+00:00")),  # Python 3.10 does not know the Z
        started=None if row.began is None else moment(row.began),
        ended=moment(row.latest) if row.end and row.latest is not None else None,
        folder=folder,
        repeats=row.repeats,
        _read=read,
    )


def _status(row: RunRow, folder: Path) -> Status:
    if row.end:
        return Status[row.end.state.name]
    return Status.RUNNING if is_active(folder) else Status.INTERRUPTED
