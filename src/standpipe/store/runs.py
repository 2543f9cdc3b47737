"""The run store: the facts of every run, append-only, in SQLite (`runs.sqlite` in the pipeline root).

A run is deleted as a whole, with all that only it has: see `store.deletion`. A pull can replace all facts of a run.

Schema, version 7:

* `runs`: `rowid` (higher for runs that were recorded, or whose facts were replaced, later), `id` (the run's id),
  `pipeline` (its name), `created` (ISO 8601, UTC), `uuid`, `plan` (the id of the Plan that it began with), `workspace`
  (the folder on this machine; empty if it has none), `rerun_of` (the run and the task of which it is a rerun; empty for
  others), `redacted` (0 if the run started without secrets, `MARKED` if values without their secrets have marks,
  `UNMARKED` if an older Standpipe started it, which stored `***` without a mark). Those after `created` are empty or 0
  where version 1 wrote them.
* `artifact_roots`: `run`, `uri`: the payloads of the artifacts of the run are below this URI. Other runs have no row.
* `plans`: `digest` (the id of a Plan: the SHA-256 of its body), `body` (the Plan as JSON: see `store.plans`).
* `roots`: `run`, `seq`, `path` (bytes): from the fact of that number on, the paths of the run are those of a pipeline
  root at `path`, which may have been moved or copied since. Runs of version 4 have no row for their first facts.
* `facts`: `run`, `seq` (from 1, without gaps), `at` (seconds since the epoch), `kind`, `body` (see `store.facts`).
* `texts`: `digest` (the SHA-256 of a large text), `part` (from 0), `body` (the part, as UTF-8).
* `summaries`: what lists show of a run that has ended: `run`, `state`, `length` (the number of its facts), `began` and
  `latest` (the times of the first and the last of them), `idle` (the seconds between the two in which no process drove
  the run). The end of a run adds its summary; its resumption removes it, and so does a trigger if facts are deleted.
* `outlines`: `run`, `body` (JSON: the lines and the failures of a run that has ended, see `history.outline`, its
  totals, see `history.totals`, and lines of its values; older Standpipes did not write the last two). Runs that version
  5 or older recorded have none.

A migration changes tables and columns, never bodies: those keep the names that they were written with, which
`store.notation` explains.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from standpipe.model.events import AttemptFailed, Fact, RunEnded, TaskFailed, TaskSucceeded
from standpipe.model.kfp import DELETE_PVC
from standpipe.model.layout import RUN_STORE_FILE, StateLayout
from standpipe.model.plan import Container, Plan
from standpipe.model.refs import RunInfo
from standpipe.store.clearing import DELETE_PLANS, clear_run
from standpipe.store.database import Database, Schema
from standpipe.store.facts import encode, pieces_of
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
    """
    CREATE TABLE roots (
        run TEXT NOT NULL REFERENCES runs(id), seq INTEGER NOT NULL, path BLOB NOT NULL, PRIMARY KEY (run, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE texts (
        digest TEXT NOT NULL, part INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (digest, part)
    ) STRICT;
    """,
    """
    CREATE TABLE summaries (
        run TEXT PRIMARY KEY REFERENCES runs(id),
        state TEXT NOT NULL,
        length INTEGER NOT NULL,
        began REAL NOT NULL,
        latest REAL NOT NULL,
        idle REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outlines (run TEXT PRIMARY KEY REFERENCES runs(id), body TEXT NOT NULL) STRICT;
    CREATE TRIGGER facts_deleted AFTER DELETE ON facts BEGIN
        DELETE FROM summaries WHERE run = OLD.run;
        DELETE FROM outlines WHERE run = OLD.run;
    END;
    INSERT INTO summaries SELECT last.run, json_extract(last.body, '$.state'), last.seq, first.at, last.at,
        coalesce((SELECT sum(resumed.at - before.at) FROM facts AS resumed
            JOIN facts AS before ON before.run = resumed.run AND before.seq = resumed.seq - 1
            WHERE resumed.run = last.run AND resumed.kind = 'RunResumed'), 0.0)
    FROM runs
    JOIN facts AS last ON last.run = runs.id AND last.seq = (SELECT max(seq) FROM facts WHERE run = runs.id)
    JOIN facts AS first ON first.run = runs.id AND first.seq = 1
    WHERE last.kind = 'RunEnded';
    """,
    """
    CREATE TABLE artifact_roots (run TEXT PRIMARY KEY REFERENCES runs(id), uri TEXT NOT NULL) STRICT, WITHOUT ROWID;
    """,
)

#: How many rows one statement inserts. SQLite compiles each of these few once, and older ones allow 999 parameters.
_ROWS_OF_STATEMENTS = (100, 10, 1)
_INSERT_FACTS = {
    size: "INSERT INTO facts VALUES " + ", ".join(["(?, ?, ?, ?, ?)"] * size)  # noqa: S608 - parameters only
    for size in _ROWS_OF_STATEMENTS
}
#: Sums up a run after its last fact. A trigger would cost each fact half of what it costs to insert it.
_SUM_UP = """
    INSERT OR REPLACE INTO summaries SELECT last.run, json_extract(last.body, '$.state'), last.seq, first.at, last.at,
        coalesce((SELECT sum(resumed.at - before.at) FROM facts AS resumed
            JOIN facts AS before ON before.run = resumed.run AND before.seq = resumed.seq - 1
            WHERE resumed.run = last.run AND resumed.kind = 'RunResumed'), 0.0)
    FROM facts AS last JOIN facts AS first ON first.run = last.run AND first.seq = 1
    WHERE last.run = ? AND last.seq = ?
"""
_ADD_OUTLINE = "INSERT OR REPLACE INTO outlines VALUES (?, ?)"

#: What does not hold of a run that is resumed.
_REOPEN = ("DELETE FROM summaries WHERE run = ?", "DELETE FROM outlines WHERE run = ?")

_ADD_RUN = "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
#: With another number, by which those who have read its facts see that they were replaced.
_REPLACE_RUN = """
    INSERT OR REPLACE INTO runs (rowid, id, pipeline, created, uuid, plan, workspace, rerun_of, redacted)
    SELECT max(rowid) + 1, ?, ?, ?, ?, ?, ?, ?, ? FROM runs
"""
_ADD_ROOT = """
    INSERT INTO roots SELECT ?, ?, ?
    WHERE ? IS NOT (SELECT path FROM roots WHERE run = ? ORDER BY seq DESC LIMIT 1)
"""

SCHEMA = Schema(
    name="run store",
    migrations=_MIGRATIONS,
    advice="Check that the disk is not full and that you may write to the folder, or choose another pipeline root: "
    "local.init(..., pipeline_root=...).",
    repair="The folders of the runs beside it are intact. Restore a backup of the file, recover its content with "
    f"`sqlite3 {RUN_STORE_FILE} .recover`, or move it away: the next run creates a new one.",
    alternative="choose another pipeline root: local.init(..., pipeline_root=...)",
    if_replaced="The folders of the runs hold what their tasks have written so far. Let nothing move or delete the "
    "pipeline root while runs are active, and start the run again.",
)

#: A power loss makes a resumed run execute again at most as much of what its tasks had done, in seconds.
_MOST_LOST = 1.0


class Outline(Protocol):
    """What a person reads of a run, kept up to date while the run is recorded."""

    def apply(self, at: float, fact: Fact) -> None:
        """Apply the next fact of the run, which was recorded at a time in seconds since the epoch."""

    def outline(self) -> str:
        """Return the outline of the run, which has ended, as JSON."""


class RunRecorder:
    """Appends the facts of one run, each batch in one transaction. For one thread.

    A batch waits for the disk if a power loss could otherwise take more than a second of the work of tasks, or the end
    of the run, which the caller hears of. To wait each time would take as long as to execute a task. What else a power
    loss takes costs no work: a resumed run decides it again, and moves aside folders of attempts that are not known.
    Where a task deletes a PVC, every batch waits: tasks that have used the PVC cannot be executed again.

    The row of the run is written together with its first facts, so that no run is without facts.

    Args:
        pipeline_root: the folder of the store.
        run: the run.
        plan: the Plan that it starts or is resumed with.
        now: returns the time in seconds since the epoch, from the clock that the facts have their own times from.
        workspace: the folder of its workspace on this machine, empty if it has none.
        rerun_of: the run and the task of which it is a rerun.
        redactor: redacts secrets from the plan; facts come without them.
        recorded: the number of facts that the store has of the run, if it is resumed.
        replaces: whether the first batch takes the place of all that the store has of the run, in one transaction.
        outline: the outline of the run after these facts, which is stored when the run ends; None to store none.

    Raises:
        StorageError: from any method, if the database cannot be written.
    """

    def __init__(
        self,
        pipeline_root: Path,
        run: RunInfo,
        plan: Plan,
        *,
        now: Callable[[], float] = time.time,
        workspace: str = "",
        rerun_of: str = "",
        redactor: Redactor = NO_SECRETS,
        recorded: int = 0,
        replaces: bool = False,
        outline: Outline | None = None,
    ) -> None:
        self._database = Database(StateLayout(pipeline_root).run_store, SCHEMA)
        self._run = run.id
        self._seq = recorded
        self._unsafe = 0.0  # the work that a power loss could take, in seconds
        self._most_lost = 0.0 if _deletes_volumes(plan) else _MOST_LOST
        self._process = os.getpid()
        self._outline = outline
        self._stored_texts: set[str] = set()
        body, self.plan = dump(plan, redactor)
        self._unwritten: list[tuple[str, list[tuple[object, ...]]]] = [
            *((statement, [parameters]) for statement, parameters in (clear_run(run.id) if replaces else ())),
            ("INSERT OR IGNORE INTO plans VALUES (?, ?)", [(self.plan, body)]),
        ]
        if recorded:
            self._unwritten += [(statement, [(run.id,)]) for statement in _REOPEN]
        else:
            row = (run.id, run.name, run.created, run.uuid, self.plan, workspace, rerun_of, MARKED if redactor else 0)
            self._unwritten.append((_REPLACE_RUN if replaces else _ADD_RUN, [row]))
            if replaces:
                self._unwritten.append((DELETE_PLANS, [()]))
            if run.artifact_root:
                self._unwritten.append(("INSERT INTO artifact_roots VALUES (?, ?)", [(run.id, run.artifact_root)]))
        root = os.fsencode(pipeline_root)
        self._unwritten.append((_ADD_ROOT, [(run.id, recorded + 1, root, root, run.id)]))
        self._now = now
        try:
            self._write(())  # fails before anything of the run has started
        except BaseException:
            self.close()
            raise

    def __call__(self, facts: Sequence[Fact]) -> None:
        """Append facts, with the time of now."""
        now = self._now()
        self.append([(now, fact) for fact in facts])

    def append(self, facts: Sequence[tuple[float, Fact]]) -> None:
        """Append facts, each with the time at which it was recorded, in seconds since the epoch."""
        rows: list[tuple[float, str, str]] = []
        texts: dict[str, str] = {}
        for at, fact in facts:
            rows.append((at, *encode(fact, texts)))
            self._unsafe += _work(fact)
            if self._outline:
                self._outline.apply(at, fact)
        new_texts = {digest: text for digest, text in texts.items() if digest not in self._stored_texts}
        survives = self._unsafe >= self._most_lost
        statements = [*self._unwritten, *_insert_facts(self._run, self._seq + 1, rows)]
        last = self._seq + len(rows)
        if facts and isinstance(facts[-1][1], RunEnded):
            statements.append((_SUM_UP, [(self._run, last)]))
            if self._outline:
                statements.append((_ADD_OUTLINE, [(self._run, self._outline.outline())]))
        self._write(statements, new_texts, survives)
        self._unwritten.clear()
        self._seq = last
        self._stored_texts.update(new_texts)
        if survives:
            self._unsafe = 0.0

    @property
    def has_facts(self) -> bool:
        """Whether the store has the run: its row is written with its first facts."""
        return not self._unwritten

    def close(self) -> None:
        """Close the database. The next call opens it again."""
        self._database.close()

    def _write(
        self,
        statements: Sequence[tuple[str, Sequence[tuple[object, ...]]]],
        texts: Mapping[str, str] = MappingProxyType({}),
        survives_power_loss: bool = False,
    ) -> None:
        if self._process != os.getpid():
            return  # a child that a signal handler has forked leaves the run, which is the parent's to record
        with self._database.transaction(survives_power_loss=survives_power_loss) as db:
            for statement, rows in statements:
                db.executemany(statement, rows)
            for digest, text in texts.items():
                parts = (
                    (digest, part, piece.encode("utf-8", "surrogatepass")) for part, piece in enumerate(pieces_of(text))
                )
                db.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?, ?)", parts)


def _insert_facts(
    run: str, first: int, rows: Sequence[tuple[float, str, str]]
) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """Yield the statements, with their parameters, that append facts to a run.

    A statement inserts many rows: Python lets go of the interpreter's lock for each statement that it executes, and
    threads that execute attempts would take it as often as there are facts.

    Args:
        run: the id of the run.
        first: the number of the first fact.
        rows: the time, the kind and the body of each.
    """
    begin = 0
    for size in _ROWS_OF_STATEMENTS:
        while len(rows) - begin >= size:
            columns = (
                value
                for seq, (at, kind, body) in enumerate(rows[begin : begin + size], first + begin)
                for value in (run, seq, at, kind, body)
            )
            yield _INSERT_FACTS[size], [tuple(columns)]
            begin += size


def _deletes_volumes(plan: Plan) -> bool:
    return any(isinstance(each, Container) and str(each.image) == DELETE_PVC for each in plan.executors.values())


def _work(fact: Fact) -> float:
    """Return the seconds of work that are lost with a fact. The end of a run is worth any wait."""
    if isinstance(fact, (AttemptFailed, TaskSucceeded, TaskFailed)):
        return fact.report.seconds if fact.report else 0.0
    return _MOST_LOST if isinstance(fact, RunEnded) else 0.0
