"""The run store: the facts of every run, append-only, in SQLite (`runs.sqlite` in the pipeline root).

Schema, version 2:

* `runs`: `id` (the run's id), `pipeline` (its name), `created` (ISO 8601, UTC), `uuid`, `plan` (the digest of the Plan
  that it began with), `workspace` (the folder on this machine; empty if it has none), `repeats` (the run and the task
  that were run again by `rerun_task`; empty for others), `masked` (1 if secrets may have been masked in what is kept of
  it). Those after `created` are empty or 0 where version 1 wrote them.
* `plans`: `digest` (SHA-256 of the body), `body` (a Plan as JSON: see `store.plans`).
* `facts`: `run`, `seq` (from 1, without gaps), `at` (seconds since the epoch), `kind` (the fact's class), `body` (its
  fields as JSON: see `store.facts`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from standpipe.model.events import Fact
from standpipe.model.plan import Plan
from standpipe.model.refs import RunInfo
from standpipe.store.database import Database, Schema
from standpipe.store.facts import encode
from standpipe.store.plans import dump
from standpipe.support.redaction import NO_SECRETS, Redactor

FILE_NAME = "runs.sqlite"

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
    ALTER TABLE runs ADD COLUMN masked INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE plans (digest TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    """,
)

SCHEMA = Schema(
    name="run store",
    migrations=_MIGRATIONS,
    advice="Check that the disk is not full and that the folder is yours, or choose another pipeline root: "
    "local.init(..., pipeline_root=...).",
    elsewhere="choose another pipeline root: local.init(..., pipeline_root=...)",
)


class RunRecorder:
    """Appends the facts of one run, each batch in one transaction. To be used by one thread.

    What the run is comes with its first facts, so that no run is without any.

    Args:
        pipeline_root: where the store is.
        run: the run.
        plan: what it begins with, or goes on with.
        workspace: its folder on this machine, empty if it has none.
        repeats: the run and the task that it runs again.
        redactor: takes secrets out of the plan; facts are given without them.
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
        redactor: Redactor = NO_SECRETS,
        recorded: int = 0,
    ) -> None:
        self._database = Database(pipeline_root / FILE_NAME, SCHEMA)
        self._run = run.id
        self._seq = recorded
        body, self.plan = dump(plan, redactor)
        self._unwritten: list[tuple[str, list[tuple[object, ...]]]] = [
            ("INSERT OR IGNORE INTO plans VALUES (?, ?)", [(self.plan, body)])
        ]
        if not recorded:
            row = (run.id, run.name, run.created, run.uuid, self.plan, workspace, repeats, int(bool(redactor)))
            self._unwritten.append(("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row]))
        # It tells seconds since the epoch, but goes evenly, whoever sets the clock of the machine meanwhile.
        self._epoch = time.time() - time.monotonic()
        try:
            self._write(())  # if that cannot be, nothing has been started yet
        except BaseException:
            self.close()
            raise

    def __call__(self, facts: Sequence[Fact]) -> None:
        """Appends the facts."""
        now = self._epoch + time.monotonic()
        rows = []
        for fact in facts:
            self._seq += 1
            rows.append((self._run, self._seq, now, *encode(fact)))
        self._write([*self._unwritten, ("INSERT INTO facts VALUES (?, ?, ?, ?, ?)", rows)])
        self._unwritten.clear()

    def close(self) -> None:
        """Closes the database; it is opened again if there is more to append."""
        self._database.close()

    def _write(self, statements: Sequence[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        with self._database.transaction() as db:
            for statement, rows in statements:
                db.executemany(statement, rows)
