"""Runs of a run store as objects."""

from __future__ import annotations

from pathlib import Path

from standpipe.history.reader import RunReader
from standpipe.history.run import Run
from standpipe.model import events
from standpipe.model.layout import StateLayout
from standpipe.model.plan import Plan
from standpipe.model.refs import RunId
from standpipe.store.locks import is_active
from standpipe.store.reading import StoredFacts, read_plan, run_facts, run_row, run_rows


def runs(pipeline_root: Path) -> list[Run]:
    """Return all runs in a pipeline root, newest first; see `standpipe.local.runs`."""
    rows = run_rows(pipeline_root)
    idle = {row.id: row.length for row in rows if row.state is None and not is_active(pipeline_root / row.id)}
    if idle:
        rows = run_rows(pipeline_root)  # one of them may have ended, or been resumed, before its lock was checked
    return [_reader(pipeline_root, row.id).snapshot(row, idle_since=idle.get(row.id)) for row in rows]


def get_run(pipeline_root: Path, run: str) -> Run:
    """Return one run; see `standpipe.local.get_run`."""
    row = run_row(pipeline_root, run)
    return _reader(pipeline_root, row.id).snapshot(row)


def get_plan(pipeline_root: Path, run: str) -> Plan | None:
    """Return the Plan that a run was started or last resumed with; None for a run of a version that stored none.

    Raises:
        NoSuchRun: if there is no such run.
        StorageError: if the run store cannot be read.
    """
    row = run_row(pipeline_root, run)
    resumed = [fact.plan for _, fact in run_facts(pipeline_root, row) if isinstance(fact, events.RunResumed)]
    digest = next((plan for plan in reversed(resumed) if plan), row.plan)
    return read_plan(pipeline_root, digest) if digest else None


def _reader(pipeline_root: Path, run: RunId) -> RunReader:
    return RunReader(StoredFacts(pipeline_root), run, StateLayout(pipeline_root).run_folder(run))
