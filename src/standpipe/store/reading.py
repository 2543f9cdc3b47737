"""The run store read back: which runs there are, and the facts of one of them.

Whoever reads changes nothing and never makes a store. Runs may go on meanwhile: what is read is what was there at one
moment, and as facts are only appended, the first so many facts of a run stay what they are.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from difflib import get_close_matches
from pathlib import Path
from urllib.request import pathname2url

from standpipe.errors import NoSuchRun, StorageError
from standpipe.model.events import Fact, RunEnded
from standpipe.model.frozen import frozen
from standpipe.model.plan import Plan
from standpipe.model.refs import RunId
from standpipe.store import database, runs
from standpipe.store.facts import decode
from standpipe.store.plans import load
from standpipe.support.garbage_collection import lasting_objects

#: What names the run that began last.
LATEST = "latest"

#: How many runs a message names.
_NAMED = 5

#: Of each run, its number, its row, and what its first and its last fact say about it.
_RUNS = """
    SELECT runs.*, first.at AS began, last.seq AS length, last.at AS latest, last.kind AS kind, last.body AS body,
        runs.rowid AS number
    FROM runs
    LEFT JOIN facts AS first ON first.run = runs.id AND first.seq = 1
    LEFT JOIN facts AS last ON last.run = runs.id AND last.seq = (SELECT max(seq) FROM facts WHERE run = runs.id)
"""
_NEWEST_FIRST = f"{_RUNS} ORDER BY created DESC, runs.rowid DESC"
_RUNS_SINCE = f"{_RUNS} WHERE runs.rowid > ? ORDER BY runs.rowid"
_RUN = f"{_RUNS} WHERE runs.id = ?"
_SINCE_VERSION_2 = ("uuid", "plan", "workspace", "repeats", "masked")
_FACTS = "SELECT seq, at, kind, body FROM facts WHERE run = ? AND seq > ? AND seq <= ? ORDER BY seq"
_LAST = 2**63 - 1  # the highest number that SQLite has


@frozen
class RunRow:
    """What the store says of a run at a glance.

    `created` is ISO 8601, in UTC. `length` is how many facts there are of it; `began` and `latest` are when the first
    and the last of them were stored, in seconds since the epoch, None where there is none. `end` is the last fact, if
    that is the end of the run. `uuid`, `plan`, `workspace`, `repeats` and `masked` are those of the store's schema:
    empty where an older Standpipe wrote it. `number` is higher for runs that were recorded later.
    """

    id: RunId
    pipeline: str
    created: str
    length: int = 0
    began: float | None = None
    latest: float | None = None
    end: RunEnded | None = None
    uuid: str = ""
    plan: str = ""
    workspace: str = ""
    repeats: str = ""
    masked: int = 0
    number: int = 0

    @property
    def rerun_of(self) -> str:
        """The run and the task that it reruns; empty for other runs."""
        return self.repeats


def run_rows(pipeline_root: Path) -> list[RunRow]:
    """All runs below a pipeline root, the newest first; none where there is no store.

    Raises:
        StorageError: if the store cannot be read.
    """
    return [_row(found) for found in _select(pipeline_root / runs.FILE_NAME, _NEWEST_FIRST)]


def run_row(pipeline_root: Path, run: str) -> RunRow:
    """The run of that id, or of the only id that begins so; `latest` is the newest run.

    Raises:
        NoSuchRun: if there is none, or several ids begin so.
        StorageError: if the store cannot be read.
    """
    rows = run_rows(pipeline_root)
    if run == LATEST and rows:
        return rows[0]
    found = [row for row in rows if row.id == run] or [row for row in rows if run and row.id.startswith(run)]
    if len(found) == 1:
        return found[0]
    raise NoSuchRun(_no_such_run(pipeline_root, run, [row.id for row in rows], [row.id for row in found]))


def run_facts(pipeline_root: Path, row: RunRow) -> list[tuple[float, Fact]]:
    """The facts of a run that its row speaks of, each with the time at which it was stored.

    Raises:
        StorageError: if the store cannot be read, or lacks one of them.
    """
    return StoredFacts(pipeline_root).facts_since(row.id, until=row.length)


def read_run(pipeline_root: Path, run: str) -> tuple[RunRow, list[tuple[float, Fact]]]:
    """A run, named as for `run_row`, and all its facts with the times at which they were stored.

    Raises:
        NoSuchRun: if there is none, or several ids begin so.
        StorageError: if the store cannot be read.
    """
    row = run_row(pipeline_root, run)
    return row, run_facts(pipeline_root, row)


def read_plan(pipeline_root: Path, digest: str) -> Plan:
    """The Plan of that digest.

    Raises:
        StorageError: if the store cannot be read, or lacks it.
    """
    path = pipeline_root / runs.FILE_NAME
    found = _select(path, "SELECT body FROM plans WHERE digest = ?", digest)
    if not found:
        raise StorageError(_damaged(path, f"the pipeline {digest} of a run is not there"))
    return load(found[0]["body"])


class StoredFacts:
    """The `FactReader` of the run store in a pipeline root.

    Args:
        pipeline_root: the folder with the run store. It may not exist yet; then there are no runs.
    """

    def __init__(self, pipeline_root: Path) -> None:
        self._path = pipeline_root / runs.FILE_NAME

    def runs_since(self, number: int = 0) -> list[RunRow]:
        """Return the runs with a higher number, in ascending order."""
        return [_row(found) for found in _select(self._path, _RUNS_SINCE, number)]

    def run(self, run: RunId) -> RunRow:
        """Return what the store says about a run now."""
        rows = _select(self._path, _RUN, run)
        if not rows:
            raise NoSuchRun(f"Run {run!r} is no longer in {self._path}.")
        return _row(rows[0])

    def facts_since(self, run: RunId, seq: int = 0, until: int | None = None) -> list[tuple[float, Fact]]:
        """Return the facts of a run with a higher sequence number, in order, with their times."""
        found = _select(self._path, _FACTS, run, seq, _LAST if until is None else until)
        expected = until if until is not None else found[-1]["seq"] if found else seq
        if len(found) != expected - seq:
            problem = f"of the {expected} facts of run {run}, {seq + len(found)} are there"
            raise StorageError(_damaged(self._path, problem))
        with lasting_objects():
            return [(at, decode(kind, body)) for _, at, kind, body in found]


def _row(found: sqlite3.Row) -> RunRow:
    last = decode(found["kind"], found["body"]) if found["kind"] == RunEnded.__name__ else None
    return RunRow(
        found["id"],
        found["pipeline"],
        found["created"],
        length=found["length"] or 0,
        began=found["began"],
        latest=found["latest"],
        end=last if isinstance(last, RunEnded) else None,
        number=found["number"],
        **{name: found[name] for name in _SINCE_VERSION_2 if name in found.keys()},  # noqa: SIM118 - not those of a dict
    )


def _no_such_run(root: Path, run: str, all_ids: list[RunId], found: list[RunId]) -> str:
    if found:
        which = f"{len(found)} runs in {root} have an id that begins with {run!r}: {_listed(found)}. Give more of it"
    elif not all_ids:
        return f"There is no run {run!r}: {root} holds no runs. Another folder is named by pipeline_root=... or --root."
    else:
        close = get_close_matches(run, all_ids, _NAMED)
        which = f"There is no run {run!r} in {root}. "
        which += f"The closest are {_listed(close)}" if close else f"The newest are {_listed(all_ids)}"
    return f"{which}, or say {LATEST!r}; local.runs() and `standpipe runs` list all."


def _listed(ids: list[RunId]) -> str:
    return ", ".join(ids[:_NAMED]) + (", …" if len(ids) > _NAMED else "")


# --- the database -----------------------------------------------------------------------------------------------------


def _select(path: Path, statement: str, *parameters: object) -> list[sqlite3.Row]:
    """The rows that a statement selects; none where there is no store yet.

    Raises:
        StorageError: if the store cannot be read; the message says what to do.
    """
    if not os.path.lexists(path):
        return []
    # A fork waits, as it does for those who write: see `database.in_use`.
    with _explained(path), database.in_use, closing(_connect(path)) as db:
        if not _is_ready(db, path):
            return []
        db.row_factory = sqlite3.Row
        return db.execute(statement, parameters).fetchall()


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that reads, and waits for those who write.

    SQLite keeps notes beside a database while it is in use. Where it may not, as in a folder that is write-protected,
    and nobody has such notes there, the file itself is all that there is.
    """
    uri = f"file:{pathname2url(str(path.absolute()))}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=database.PATIENCE)
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        db.close()
        if os.path.exists(f"{path}-wal"):
            raise
        return sqlite3.connect(f"{uri}&immutable=1", uri=True)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _is_ready(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the store has its tables; a new one has not until its first run has begun."""
    version, known = database.version_of(db), len(runs.SCHEMA.migrations)
    if version > known:
        raise StorageError(
            f"The run store {path} was written by a newer Standpipe (schema {version}, this one knows {known}). "
            "Upgrade Standpipe, or choose another pipeline root."
        )
    page_size = db.execute("PRAGMA page_size").fetchone()[0]
    if os.path.getsize(path) % page_size:
        raise StorageError(_damaged(path, "its end is missing"))  # SQLite takes what is missing of a page for zeros
    return version > 0


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what SQLite and the system refuse into errors that say what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(
            f"The run store {path} cannot be read: {error}. Check that the file and its folder are yours to read, and "
            "that no other program holds it."
        ) from error
    except sqlite3.Error as error:
        raise StorageError(_damaged(path, str(error))) from error


def _damaged(path: Path, why: str) -> str:
    return (
        f"The run store {path} is damaged: {why}. The folders of the runs beside it are whole. Put a backup of the "
        f"file in its place, save what is left of it with `sqlite3 {path.name} .recover`, or move it away: the next "
        "run begins a new one."
    )
