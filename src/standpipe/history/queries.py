"""Runs of a run store as objects."""

from __future__ import annotations

from pathlib import Path

from standpipe.errors import NoSuchRun
from standpipe.history.display_names import DisplayNames
from standpipe.history.reader import RunReader
from standpipe.history.run import Run
from standpipe.model.layout import StateLayout
from standpipe.model.plan import Plan
from standpipe.model.redacted import is_redacted, seems_redacted
from standpipe.model.refs import RunId
from standpipe.store.locks import is_in_progress
from standpipe.store.reading import StoredFacts, plan_digest, read_plan, run_row, run_rows
from standpipe.store.runs import UNMARKED


def runs(pipeline_root: Path) -> list[Run]:
    """Return all runs in a pipeline root, newest first; see `standpipe.local.runs`."""
    rows = run_rows(pipeline_root)
    idle = {row.id: row.length for row in rows if row.state is None and not is_in_progress(pipeline_root / row.id)}
    if idle:
        rows = run_rows(pipeline_root)  # one of them may have ended, or been resumed, before its lock was checked
    return [_reader(pipeline_root, row.id).snapshot(row, idle_since=idle.get(row.id)) for row in rows]


def get_run(pipeline_root: Path, run: str) -> Run:
    """Return one run; see `standpipe.local.get_run`."""
    row = run_row(pipeline_root, run)
    return _reader(pipeline_root, row.id).snapshot(row)


def has_lost_secrets(pipeline_root: Path, run: str, value: object) -> bool:
    """Return whether an input or the Plan of a run cannot be used, as secrets were redacted in it.

    Raises:
        NoSuchRun: if there is no such run.
        StorageError: if the run store cannot be read.
    """
    return is_redacted(value) or (seems_redacted(value) and run_row(pipeline_root, run).redacted == UNMARKED)


def _reader(pipeline_root: Path, run: RunId) -> RunReader:
    folder, names = StateLayout(pipeline_root).run_folder(run), DisplayNames(lambda: _read_plan(pipeline_root, run))
    return RunReader(StoredFacts(pipeline_root), run, folder, names)


def _read_plan(pipeline_root: Path, run: RunId) -> Plan | None:
    """Return the current Plan of a run; None if its version stored none, or the run was deleted."""
    try:
        digest = plan_digest(pipeline_root, run_row(pipeline_root, run))
    except NoSuchRun:
        return None
    return read_plan(pipeline_root, digest) if digest else None
