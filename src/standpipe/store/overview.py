"""What `standpipe runs` and `standpipe show` print most of the time, read from summaries and outlines instead of facts.

These commands should answer at once, and the import of a module such as `typing` or `pathlib` takes longer than to read
a thousand runs. So this module imports next to nothing, and it does nothing about a store that is missing, damaged,
locked or of another version: its functions return None, and `store.reading` says what is wrong.
"""

from __future__ import annotations

import os
import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: Depth, name, status, seconds, note and count.
    LineFields = tuple[int, str, str, float | None, str, int]

#: The versions of the schema that have what is read here.
_VERSIONS = (6, 7)

#: The file of the run store; `model.layout` has it, too.
_FILE = "runs.sqlite"

#: All runs, the newest first. Durations are of whole microseconds, as in `history.records`. `state` is empty for a run
#: that has not ended.
_RUNS = """
    SELECT id, strftime('%Y-%m-%d %H:%M', created, 'localtime') || printf(
            ' %s%02d:%02d', CASE WHEN minutes < 0 THEN '-' ELSE '+' END, abs(minutes) / 60, abs(minutes) % 60
        ), rerun_of, coalesce(state, ''),
        coalesce(length, (SELECT coalesce(max(seq), 0) FROM facts WHERE run = id)),
        round(max(0.0, round(latest, 6) - round(began, 6) - idle), 6)
    FROM (
        SELECT *, rowid AS number,
            CAST(round((julianday(created, 'localtime') - julianday(created)) * 1440) AS INTEGER) AS minutes
        FROM runs
    ) LEFT JOIN summaries ON run = id
    ORDER BY number DESC
"""
_LATEST = "SELECT id FROM runs ORDER BY rerun_of != '', rowid DESC LIMIT 1"  # as `reading.run_row`
_NAMED = "SELECT id FROM runs WHERE id = ?"
_OF_PIPELINE = """
    SELECT id FROM runs, (SELECT ? AS name)
    WHERE rerun_of = '' AND name IN (pipeline, substr(id, 1, length(id) - 27)) ORDER BY runs.rowid DESC LIMIT 1
"""  # an id ends with 27 characters that are not the name of the pipeline
_BEGINNING = (
    "SELECT id FROM runs, (SELECT ? AS prefix) WHERE substr(id, 1, length(prefix)) = prefix AND prefix != '' LIMIT 2"
)
_OUTLINE = """
    SELECT id, state, round(max(0.0, round(latest, 6) - round(began, 6) - idle), 6), rerun_of, body
    FROM runs JOIN summaries ON summaries.run = id JOIN outlines ON outlines.run = id
    WHERE id = ?
"""
_LINES = """
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
        json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]')
    FROM json_each(?, '$[0]')
"""
_FAILURES = "SELECT value FROM json_each(?, '$[1]')"
_VALUES = "SELECT value FROM json_each(?, '$[3]')"
_HAS_VALUES = "SELECT json_type(?, '$[3]') IS NOT NULL"  # older Standpipes wrote none


#: For the completion of shells: the newest runs, and the tasks that the first facts of a run are about.
_IDS = "SELECT id, pipeline FROM runs ORDER BY rowid DESC LIMIT 200"
_TASKS = """
    SELECT DISTINCT task FROM (
        SELECT json_extract(body, '$.task') AS task FROM facts WHERE run = ? ORDER BY seq LIMIT 20000
    ) WHERE task IS NOT NULL LIMIT 500
"""


class RunOverview:
    """A run in a list.

    `created` is its local time to the minute, with its offset from UTC. `seconds` is for how long it was in progress,
    None until it has ended.
    """

    __slots__ = ("created", "rerun_of", "run", "seconds", "status")

    def __init__(self, run: str, status: str, created: str, seconds: float | None, rerun_of: str) -> None:
        self.run = run
        self.status = status
        self.created = created
        self.seconds = seconds
        self.rerun_of = rerun_of


class StoredOutline:
    """The outline of a run that has ended: its lines, as the fields of `history.outline.Line`, and its failures.

    `values` are the lines of its inputs, outputs and metrics.
    """

    __slots__ = ("failures", "lines", "rerun_of", "run", "seconds", "status", "values")

    def __init__(
        self, about: tuple[str, str, float, str], lines: list[LineFields], values: list[str], failures: list[str]
    ) -> None:
        self.run, self.status, self.seconds, self.rerun_of = about
        self.lines = lines
        self.values = values
        self.failures = failures


def read_overview(pipeline_root: str) -> list[RunOverview] | None:
    """Return all runs below a pipeline root, the newest first; None if that cannot be told without more."""
    try:
        rows = _select_runs(pipeline_root)
        idle = {run: length for run, _, _, state, length, _ in rows if not state and not _is_active(pipeline_root, run)}
        if idle:
            rows = _select_runs(pipeline_root)  # one may have ended, or been resumed, before its lock was checked
    except (OSError, sqlite3.Error, _UnknownStore):
        return None
    return [
        RunOverview(run, state or ("INTERRUPTED" if idle.get(run) == length else "RUNNING"), created, seconds, rerun_of)
        for run, created, rerun_of, state, length, seconds in rows
    ]


def read_outline(pipeline_root: str, run: str) -> StoredOutline | None:
    """Return the outline of a run, named as for `reading.run_row`; None if it has none, or that cannot be told."""
    try:
        db = _open(pipeline_root)
        try:
            ids = _find_ids(db, run)
            row = db.execute(_OUTLINE, ids[0]).fetchone() if len(ids) == 1 else None
            if row is None:
                return None
            body = row[-1]
            if not db.execute(_HAS_VALUES, (body,)).fetchone()[0]:
                return None
            lines = db.execute(_LINES, (body,)).fetchall()
            values, failures = (
                [text for (text,) in db.execute(statement, (body,))] for statement in (_VALUES, _FAILURES)
            )
        finally:
            db.close()
    except (OSError, sqlite3.Error, _UnknownStore):
        return None
    return StoredOutline(row[:-1], lines, values, failures)


def _find_ids(db: sqlite3.Connection, run: str) -> list[tuple[str]]:
    """Return the ids that the name of a run may stand for, as `reading.run_row` finds them."""
    statements = (_LATEST,) if run == "latest" else (_NAMED, _OF_PIPELINE, _BEGINNING) if run else ()
    for statement in statements:
        ids: list[tuple[str]] = db.execute(statement, () if statement is _LATEST else (run,)).fetchall()
        if ids:
            return ids
    return []


def list_runs(pipeline_root: str) -> list[tuple[str, str]]:
    """Return the ids of the newest runs with the names of their pipelines; none if they cannot be told."""
    try:
        db = _open(pipeline_root)
        try:
            return db.execute(_IDS).fetchall()
        finally:
            db.close()
    except (OSError, sqlite3.Error, _UnknownStore):
        return []


def list_tasks(pipeline_root: str, run: str) -> list[str]:
    """Return the paths of tasks of a run, named as for `reading.run_row`; none if they cannot be told."""
    try:
        db = _open(pipeline_root)
        try:
            ids = _find_ids(db, run)
            return [_task_path(task) for (task,) in db.execute(_TASKS, ids[0])] if len(ids) == 1 else []
        finally:
            db.close()
    except (OSError, sqlite3.Error, _UnknownStore):
        return []


class _UnknownStore(Exception):
    """The store is missing, truncated or of another version."""


def _select_runs(pipeline_root: str) -> list[tuple[str, str, str, str, int, float | None]]:
    db = _open(pipeline_root)
    try:
        rows = db.execute(_RUNS).fetchall()
    finally:
        db.close()
    if any(row[1] is None for row in rows):
        raise _UnknownStore  # a time that SQLite cannot read
    return rows


def _task_path(steps: str) -> str:
    """Return the path of a task as people write it, from its JSON in facts. Names have no characters of JSON.

    >>> _task_path('[["for-loop-1",3],["train",null]]')
    'for-loop-1/3/train'
    """
    parts = steps.translate({ord(character): None for character in '[]" '}).split(",")
    return "/".join(part for part in parts if part != "null")


def _open(pipeline_root: str) -> sqlite3.Connection:
    path = os.path.join(os.getcwd(), os.path.expanduser(pipeline_root), _FILE)
    if not path.isascii() or not path.startswith("/") or not os.path.isfile(path):
        raise _UnknownStore  # `store.reading` knows the URI of any path, and says what is wrong
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(f"file://{quoted}?mode=ro", uri=True)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (page_size,) = db.execute("PRAGMA page_size").fetchone()
    except BaseException:
        db.close()
        raise
    if version in _VERSIONS and not os.path.getsize(path) % page_size:
        return db
    db.close()
    raise _UnknownStore


def _is_active(pipeline_root: str, run: str) -> bool:
    from pathlib import Path  # only runs that have not ended need all of this

    from standpipe.store.locks import is_in_progress

    return is_in_progress(Path(pipeline_root).expanduser() / run)
