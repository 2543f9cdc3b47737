"""The run store: the facts of every run, append-only, in SQLite (`runs.sqlite` in the pipeline root).

Schema, version 4:

* `runs`: `id` (the run's id), `pipeline` (its name), `created` (ISO 8601, UTC), `uuid`, `plan` (the id of the Plan that
  it began with), `workspace` (the folder on this machine; empty if it has none), `rerun_of` (the run and the task of
  which it is a rerun; empty for others), `redacted` (0 if the run started without secrets, `MARKED` if values without
  their secrets have marks, `UNMARKED` if an older Standpipe started it, which stored `***` without a mark).
  Those after `created` are empty or 0 where version 1 wrote them.
* `plans`: `digest` (the id of a Plan: the SHA-256 of its body), `body` (the Plan as JSON: see `store.plans`).
* `facts`: `run`, `seq` (from 1, without gaps), `at` (seconds since the epoch), `kind`, `body` (see `store.facts`).

A migration changes tables and columns, never bodies: those keep the names that they were written with, which
`store.notation` explains.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from standpipe.model.events import Fact
from standpipe.model.layout import RUN_STORE_FILE, StateLayout
from standpipe.model.plan import Plan
from standpipe.model.refs import RunInfo
from standpipe.store.database import Database, Schema
from standpipe.store.facts import encode
from standpipe.store.plans import dump
from standpipe.support.redaction import NO_SECRETS, Redactor

#: The values of the column `redacted`; see above.
UNMARKED, MARKED = 1, 2

#: See `database.Schema`.
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
    """
    ALTER TABLE runs RENAME COLUMN repeats TO rerun_of;
    ALTER TABLE runs RENAME COLUMN masked TO redacted;
    """,
    # Without it, listing runs would read all their facts to see how long each was idle before it was resumed.
    """
    CREATE INDEX resumptions ON facts(run) WHERE kind = 'RunResumed';
    """,
)

SCHEMA = Schema(
    name="run store",
    migrations=_MIGRATIONS,
    advice="Check that the disk is not full and that you may write to the folder, or choose another pipeline root: "
    "local.init(..., pipeline_root=...).",
    repair="The folders of the runs beside it are intact. Restore a backup of the file, recover its content with "
    f"`sqlite3 {RUN_STORE_FILE} .recover`, or move it away: the next run creates a new one.",
    alternative="choose another pipeline root: local.init(..., pipeline_root=...)",
)


class RunRecorder:
    """Appends the facts of one run, each batch in one transaction. For one thread.

    The row of the run is written together with its first facts, so that no run is without facts.

    Args:
        pipeline_root: the folder of the store.
        run: the run.
        plan: the Plan that it starts or is resumed with.
        workspace: the folder of its workspace on this machine, empty if it has none.
        rerun_of: the run and the task of which it is a rerun.
        redactor: redacts secrets from the plan; facts come without them.
        recorded: the number of facts that the store has of the run, if it is resumed.

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
        rerun_of: str = "",
        redactor: Redactor = NO_SECRETS,
        recorded: int = 0,
    ) -> None:
        self._database = Database(StateLayout(pipeline_root).run_store, SCHEMA)
        self._run = run.id
        self._seq = recorded
        body, self.plan = dump(plan, redactor)
        self._unwritten: list[tuple[str, list[tuple[object, ...]]]] = [
            ("INSERT OR IGNORE INTO plans VALUES (?, ?)", [(self.plan, body)])
        ]
        if not recorded:
            row = (run.id, run.name, run.created, run.uuid, self.plan, workspace, rerun_of, MARKED if redactor else 0)
            self._unwritten.append(("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row]))
        # Seconds since the epoch, from a clock that nobody sets while the run lasts.
        self._epoch = time.time() - time.monotonic()
        try:
            self._write(())  # fails before anything of the run has started
        except BaseException:
            self.close()
            raise

    def __call__(self, facts: Sequence[Fact]) -> None:
        """Append facts."""
        now = self._epoch + time.monotonic()
        rows = []
        for fact in facts:
            self._seq += 1
            rows.append((self._run, self._seq, now, *encode(fact)))
        self._write([*self._unwritten, ("INSERT INTO facts VALUES (?, ?, ?, ?, ?)", rows)])
        self._unwritten.clear()

    def close(self) -> None:
        """Close the database. The next call opens it again."""
        self._database.close()

    def _write(self, statements: Sequence[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        with self._database.transaction() as db:
            for statement, rows in statements:
                db.executemany(statement, rows)
