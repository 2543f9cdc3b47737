"""The run store: the facts of every run, append-only, in SQLite (`runs.sqlite` in the pipeline root).

Schema, version 2:

* `runs`: `id` (the run's id), `pipeline` (its name), `created` (ISO 8601, UTC), `uuid`, `plan` (the digest of the Plan
  that it began with), `workspace` (the folder on this machine; empty if it has none), `repeats` (the run and the task
  that were run again by `rerun_task`; empty for others). Those after `created` are empty where version 1 wrote them.
* `plans`: `digest` (SHA-256 of the body), `body` (a Plan as JSON: see `store.plans`).
* `facts`: `run`, `seq` (from 1, without gaps), `at` (seconds since the epoch), `kind` (the fact's class), `body` (its
  fields as JSON: see `store.facts`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakSet

from standpipe.errors import StorageError
from standpipe.model.events import Fact
from standpipe.model.plan import Plan
from standpipe.model.refs import RunInfo
from standpipe.store.facts import encode
from standpipe.store.plans import dump

FILE_NAME = "runs.sqlite"

#: Seconds that other processes may take to write what they have.
_PATIENCE = 30

#: Each brings a database from the version of its index to the next one. They are never changed, only added to.
_MIGRATIONS = (
    """
    CREATE TABLE runs (id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, created TEXT NOT NULL) STRICT;
    CREATE TABLE facts (
        run TEXT NOT NULL REFERENCES runs(id),
        seq INTEGER NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (run, seq)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE runs ADD COLUMN uuid TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN plan TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN workspace TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN repeats TEXT NOT NULL DEFAULT '';
    CREATE TABLE plans (digest TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    """,
)

#: Held while a database is in use. A fork waits for it, and finds all of them closed: a connection of SQLite does not
#: survive a fork, after which both processes would take its locks for theirs and overwrite what the other one wrote
#: (https://www.sqlite.org/howtocorrupt.html, "Carrying an open database file across a fork").
_in_use = threading.RLock()
_recorders: WeakSet[RunRecorder] = WeakSet()


class RunRecorder:
    """Appends the facts of one run, each batch in one transaction. To be used by one thread.

    What the run is comes with its first facts, so that no run is without any.

    Args:
        pipeline_root: where the store is.
        run: the run.
        plan: what it begins with, or goes on with.
        workspace: its folder on this machine, empty if it has none.
        repeats: the run and the task that it runs again.
        recorded: how many facts of the run there are already, where it goes on.

    Raises:
        StorageError: from any method, if the database cannot be written.
    """

    def __init__(
        self,
        pipeline_root: Path,
        run: RunInfo,
        plan: Plan,
        *,
        workspace: str = "",
        repeats: str = "",
        recorded: int = 0,
    ) -> None:
        self._path = pipeline_root / FILE_NAME
        self._run = run.id
        self._seq = recorded
        self._db: sqlite3.Connection | None = None
        _recorders.add(self)
        body, self.plan = dump(plan)
        self._unwritten: list[tuple[str, list[tuple[object, ...]]]] = [
            ("INSERT OR IGNORE INTO plans VALUES (?, ?)", [(self.plan, body)])
        ]
        if not recorded:
            row = (run.id, run.name, run.created, run.uuid, self.plan, workspace, repeats)
            self._unwritten.append(("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", [row]))
        self._write(())  # if that cannot be, nothing has been started yet

    def __call__(self, facts: Sequence[Fact]) -> None:
        """Appends the facts."""
        now = time.time()
        rows = []
        for fact in facts:
            self._seq += 1
            rows.append((self._run, self._seq, now, *encode(fact)))
        self._write([*self._unwritten, ("INSERT INTO facts VALUES (?, ?, ?, ?, ?)", rows)])
        self._unwritten.clear()

    def close(self) -> None:
        """Closes the database; it is opened again if there is more to append."""
        with _in_use:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _write(self, statements: Sequence[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        try:
            with _in_use:
                if self._db is None:
                    self._db = _open(self._path)
                with self._db:
                    for statement, rows in statements:
                        self._db.executemany(statement, rows)
        except sqlite3.Error as error:
            raise StorageError(
                f"The run store {self._path} cannot be written: {error}. "
                "Check that the disk is not full and that the folder is yours, or choose another pipeline root: "
                "local.init(..., pipeline_root=...)."
            ) from error


def _before_fork() -> None:
    _in_use.acquire()
    for recorder in list(_recorders):
        recorder.close()


def _after_fork_in_child() -> None:
    global _in_use
    _in_use = threading.RLock()  # the old one is held by a thread that is not in this process


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before_fork, after_in_parent=lambda: _in_use.release(), after_in_child=_after_fork_in_child
    )


def _open(path: Path) -> sqlite3.Connection:
    # A thread that forks closes the connections of all the others.
    db = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
    try:
        _use_wal(db)
        db.execute("PRAGMA synchronous = NORMAL")  # in WAL mode this loses no committed fact when a process dies
        _migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _use_wal(db: sqlite3.Connection) -> None:
    """Chooses the mode in which nobody who reads waits for who writes.

    To switch a new database to it, a process must have it for itself, and if several try at once SQLite refuses
    instead of waiting for the timeout.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.005)
        else:
            return


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    if _version(db) == len(_MIGRATIONS):
        return
    db.execute("BEGIN EXCLUSIVE")  # another process may be at it
    version = _version(db)
    if version > len(_MIGRATIONS):
        raise StorageError(
            f"The run store {path} was written by a newer Standpipe (schema {version}, this one knows "
            f"{len(_MIGRATIONS)}). Upgrade Standpipe, or choose another pipeline root."
        )
    for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
        for statement in filter(str.strip, script.split(";")):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number}")
    db.commit()


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
