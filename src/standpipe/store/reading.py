"""Reading the run store: its runs, the facts of a run, Plans.

A reader never changes a store and never creates or migrates one, so it reads every version of the schema. Runs may be
active meanwhile: a reader sees the store as it was at one moment. Since facts are only appended, the first N facts of a
run stay the same.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from standpipe.errors import NoSuchRun
from standpipe.model.events import Fact, RunResumed
from standpipe.model.fact_values import values_of
from standpipe.model.frozen import frozen
from standpipe.model.layout import StateLayout
from standpipe.model.plan import Plan
from standpipe.model.ports import FactsReplaced
from standpipe.model.refs import RunId
from standpipe.model.states import TaskState
from standpipe.store import database, runs
from standpipe.store.facts import STATES, decode, decode_all
from standpipe.store.plans import load
from standpipe.store.read_only import opened
from standpipe.store.relocation import Move, infer_root
from standpipe.support.garbage_collection import pause_garbage_collection

#: The name of the run that was started last, apart from reruns of single tasks.
LATEST = "latest"

#: The parts of the time at the end of an id, such as `-2026-11-22-10-47-51-167596`, and the number of its characters.
_PARTS_OF_TIME = 7
_TIME_LENGTH = 27

#: The largest number of runs that a message names.
_MOST_NAMED = 5

#: Of each run, its row, its number, and what its first and its last fact say about it: `state` is empty unless the last
#: one is its end. `idle` is for how long nothing drove it: between the last fact of a process and the resumption by the
#: next one.
_RUNS = """
    SELECT runs.*, runs.rowid AS number,
        CASE last.kind WHEN 'RunEnded' THEN json_extract(last.body, '$.state') ELSE '' END AS state,
        last.seq AS length, first.at AS began, last.at AS latest,
        (SELECT sum(resumed.at - before.at) FROM facts AS resumed
            JOIN facts AS before ON before.run = resumed.run AND before.seq = resumed.seq - 1
            WHERE resumed.run = runs.id AND resumed.kind = 'RunResumed') AS idle
    FROM runs
    LEFT JOIN facts AS first ON first.run = runs.id AND first.seq = 1
    LEFT JOIN facts AS last ON last.run = runs.id AND last.seq = (SELECT max(seq) FROM facts WHERE run = runs.id)
"""
#: The same from the summaries of runs that have ended, which are few rows beside all facts.
_ENDED_RUNS = """
    SELECT runs.*, runs.rowid AS number, state, length, began, latest, idle
    FROM runs JOIN summaries ON summaries.run = runs.id
"""
_WITHOUT_SUMMARY = "WHERE runs.id NOT IN (SELECT run FROM summaries)"
_SUMMARIES_VERSION = 6  # of the schema: the first one with that table

#: By number, as the clock may have been set since.
_NEWEST_FIRST = "ORDER BY number DESC"
_SINCE = "WHERE number > ? ORDER BY number"
_ONE = "WHERE id = ?"

#: The attributes of a row that schema 1 lacks, with their column and its name in older schemas.
_SINCE_VERSION_2 = {
    "uuid": ("uuid",),
    "plan": ("plan",),
    "workspace": ("workspace",),
    "rerun_of": ("rerun_of", "repeats"),
    "redacted": ("redacted", "masked"),
}
_FACTS = "SELECT at, kind, body FROM facts WHERE run = ? AND seq > ? AND seq <= ? ORDER BY seq"
_NUMBER = "SELECT rowid FROM runs WHERE id = ?"
_LAST_FACT = "SELECT coalesce(max(seq), 0) FROM facts WHERE run = ?"
_FACTS_WITH = """
    SELECT run, kind, body FROM facts JOIN runs ON runs.id = run WHERE instr(body, ?) ORDER BY runs.rowid, seq
"""
_TOTALS = "SELECT run, json_extract(body, '$[2]') FROM outlines"
_RESUMED = "SELECT kind, body FROM facts WHERE run = ? AND kind = 'RunResumed' ORDER BY seq DESC"
_ROOTS = "SELECT seq, path FROM roots WHERE run = ? ORDER BY seq"
_ROWS = 200  # of facts that are decoded together
_ROOTS_VERSION = 5  # of the schema: the first one with that table
_ARTIFACT_ROOTS_VERSION = 7


@frozen
class RunRow:
    """A run without its facts.

    `created` is ISO 8601, in UTC. `length` is the number of its facts; `began` and `latest` are the times at which the
    first and the last of them were stored, in seconds since the epoch, None if it has no facts. `idle` is the number of
    seconds between them in which no process drove the run. `state` is its final state, None until it has ended. `uuid`,
    `plan`, `workspace`, `rerun_of` and `redacted` are the columns of the store, empty in a store of schema 1. `number`
    is higher for runs that were recorded later.
    """

    id: RunId
    pipeline: str
    created: str
    length: int = 0
    began: float | None = None
    latest: float | None = None
    idle: float = 0.0
    state: TaskState | None = None
    uuid: str = ""
    plan: str = ""
    workspace: str = ""
    rerun_of: str = ""
    redacted: int = 0
    number: int = 0

    @property
    def seconds(self) -> float:
        """For how long it was in progress between its first and its last fact, in seconds."""
        return 0.0 if self.began is None or self.latest is None else max(0.0, self.latest - self.began - self.idle)


def run_rows(pipeline_root: Path) -> list[RunRow]:
    """Return all runs below a pipeline root, the newest first; none if there is no store.

    Raises:
        StorageError: if the store cannot be read.
    """
    path = StateLayout(pipeline_root).run_store
    return _select_runs(path, _NEWEST_FIRST)


def run_row(pipeline_root: Path, run: str) -> RunRow:
    """Return the run of an id, of the name of a pipeline, or of the only id with that prefix; the first that fits.

    `latest` is the newest run that is not the rerun of a task: a debug session must not change what `resume latest`
    continues. If there are only reruns, it is the newest of them. The name of a pipeline, or its display name, stands
    for the newest of its runs, apart from reruns. `store.overview` has the same rules.

    Raises:
        NoSuchRun: if there is none, or several ids have that prefix.
        StorageError: if the store cannot be read.
    """
    path = StateLayout(pipeline_root).run_store
    rows = _select(path, "SELECT * FROM runs ORDER BY rowid DESC")
    matches = _find_matches(rows, run)
    if len(matches) == 1:
        return StoredFacts(pipeline_root).run(matches[0])
    raise NoSuchRun(_no_such_run(pipeline_root, run, [row["id"] for row in rows], matches))


def _find_matches(rows: Sequence[sqlite3.Row], run: str) -> list[RunId]:
    """Return the ids that the name of a run may stand for: one unless there is none, or its beginning is ambiguous."""
    ids: list[RunId] = [row["id"] for row in rows]
    originals = [row for row in rows if not _column(row, "rerun_of")]
    if run == LATEST and rows:
        return [originals[0]["id"] if originals else ids[0]]
    if not run or run in ids:
        return [run] if run else []
    of_pipeline = [row["id"] for row in originals if run in (row["pipeline"], row["id"][:-_TIME_LENGTH])]
    return of_pipeline[:1] or [each for each in ids if each.startswith(run)]


def run_facts(pipeline_root: Path, row: RunRow) -> list[tuple[float, Fact]]:
    """Return the facts of a run up to its row's `length`, each with the time at which it was stored.

    Raises:
        StorageError: if the store cannot be read, or lacks one of them.
    """
    return StoredFacts(pipeline_root).facts_since(row.id, until=row.length)


def read_run(pipeline_root: Path, run: str) -> tuple[RunRow, list[tuple[float, Fact]]]:
    """Return a run, named as for `run_row`, and all its facts with the times at which they were stored.

    Raises:
        NoSuchRun: if there is none, or several ids have that prefix.
        StorageError: if the store cannot be read.
    """
    row = run_row(pipeline_root, run)
    return row, run_facts(pipeline_root, row)


def select_facts_with(pipeline_root: Path, text: str) -> Iterator[tuple[RunId, str, str]]:
    """Yield the run, the kind and the body of each fact in whose body a text is, in the order of the runs.

    Raises:
        StorageError: if the store cannot be read.
    """
    with opened(StateLayout(pipeline_root).run_store, runs.SCHEMA) as db:
        yield from (() if db is None else map(tuple, db.execute(_FACTS_WITH, (text,))))


def read_plan(pipeline_root: Path, digest: str) -> Plan:
    """Return the Plan of an id.

    Raises:
        StorageError: if the store cannot be read, or lacks it.
    """
    path = StateLayout(pipeline_root).run_store
    selected = _select(path, "SELECT body FROM plans WHERE digest = ?", digest)
    if not selected:
        raise runs.SCHEMA.damage(path, f"the pipeline {digest} of a run is missing")
    return load(selected[0]["body"])


def read_totals(pipeline_root: Path) -> dict[RunId, str]:
    """Return the totals of the runs that have ended, as JSON; see `history.totals`. Those of older versions have none.

    Raises:
        StorageError: if the store cannot be read.
    """
    with opened(StateLayout(pipeline_root).run_store, runs.SCHEMA) as db:
        if db is None or database.version_of(db) < _SUMMARIES_VERSION:
            return {}
        return {run: totals for run, totals in db.execute(_TOTALS) if totals is not None}


def plan_digest(pipeline_root: Path, row: RunRow) -> str:
    """Return the id of the Plan that a run was started or last resumed with; empty if its version stored none.

    Raises:
        StorageError: if the store cannot be read.
    """
    path = StateLayout(pipeline_root).run_store
    selected = _select(path, _RESUMED, row.id)
    resumed = (decode(each["kind"], each["body"], _text_reader(path)) for each in selected)
    return next((fact.plan for fact in resumed if isinstance(fact, RunResumed) and fact.plan), row.plan)


class StoredFacts:
    """The `FactReader` of the run store in a pipeline root.

    Args:
        pipeline_root: the folder with the run store. It may not exist yet; then there are no runs.
    """

    def __init__(self, pipeline_root: Path) -> None:
        self._root = str(pipeline_root)
        self._path = StateLayout(pipeline_root).run_store

    def runs_since(self, number: int = 0) -> list[RunRow]:
        """Return the runs with a higher number, in ascending order."""
        return _select_runs(self._path, _SINCE, number)

    def run(self, run: RunId) -> RunRow:
        """Return what the store says about a run now."""
        rows = _select_runs(self._path, _ONE, run)
        if not rows:
            raise NoSuchRun(f"Run {run!r} is no longer in {self._path}.")
        return rows[0]

    def facts_since(
        self, run: RunId, seq: int = 0, until: int | None = None, *, number: int | None = None
    ) -> list[tuple[float, Fact]]:
        """Return the facts of a run with a higher sequence number, in order, with their times.

        The locations of artifacts are those in the pipeline root as it is now, which may have been moved or copied.
        """
        facts: list[tuple[float, Fact]] = []
        roots: list[sqlite3.Row] = []
        with pause_garbage_collection(), opened(self._path, runs.SCHEMA) as db:
            if db is not None:
                until = db.execute(_LAST_FACT, (run,)).fetchone()[0] if until is None else until
                facts += _select_facts(db, (run, seq, until), _text_reader(self._path))
                roots = _select_roots(db, run)
                # After the facts: they are replaced at once, together with the number.
                if number is not None and [*map(tuple, db.execute(_NUMBER, (run,)))] != [(number,)]:
                    raise FactsReplaced
        expected = max(0, (until or 0) - seq)
        if len(facts) != expected:
            problem = f"run {run} has {seq + len(facts)} facts, expected {seq + expected}"
            raise runs.SCHEMA.damage(self._path, problem)
        return self._relocate(run, facts, roots, seq)

    def _relocate(
        self, run: RunId, facts: list[tuple[float, Fact]], roots: list[sqlite3.Row], seq: int
    ) -> list[tuple[float, Fact]]:
        """Return facts, the first of which follows the number `seq`, with the locations that artifacts have now."""
        if len(roots) == 1 and roots[0][0] == 1 and os.fsdecode(roots[0][1]) == self._root:
            return facts
        starts = {first: os.fsdecode(path) for first, path in roots}
        former = infer_root((value for _, fact in facts for value in values_of(fact)), run)  # before the first of them
        former = next((path for first, path in reversed(starts.items()) if first <= seq), former)
        relocated = []
        for number, (at, fact) in enumerate(facts, start=seq + 1):
            former = starts.get(number, former)
            is_here = former in ("", self._root)
            relocated.append((at, fact if is_here else Move(former, self._root).fact(fact)))
        return relocated


def former_roots(pipeline_root: Path, run: RunId) -> list[str]:
    """Return the other pipeline roots in which a run was started or resumed, the last one first.

    A path of this one is none of them, whichever links lead to it and mounts show it.
    """
    with opened(StateLayout(pipeline_root).run_store, runs.SCHEMA) as db:
        roots = [] if db is None else _select_roots(db, run)
    paths = dict.fromkeys(os.fsdecode(path) for _, path in reversed(roots))
    return [path for path in paths if not (os.path.exists(path) and os.path.samefile(path, pipeline_root))]


def artifact_root(pipeline_root: Path, run: RunId) -> str:
    """Return the URI below which payloads of the artifacts of a run are; empty if they are in the pipeline root."""
    with opened(StateLayout(pipeline_root).run_store, runs.SCHEMA) as db:
        if db is None or database.version_of(db) < _ARTIFACT_ROOTS_VERSION:
            return ""
        row = db.execute("SELECT uri FROM artifact_roots WHERE run = ?", (run,)).fetchone()
    return row["uri"] if row else ""


def _text_reader(path: Path) -> Callable[[str], str]:
    """Return a function that returns large texts by their digests, equal ones as one object."""

    @cache
    def read_text(digest: str) -> str:
        parts = _select(path, "SELECT body FROM texts WHERE digest = ? ORDER BY part", digest)
        if not parts:
            raise runs.SCHEMA.damage(path, f"the text {digest} of a fact is missing")
        return b"".join(part["body"] for part in parts).decode("utf-8", "surrogatepass")

    return read_text


def _select_runs(path: Path, clause: str, *parameters: object) -> list[RunRow]:
    """Return the runs that a clause selects, by the columns of `_RUNS`, in its order; none if there is no store."""
    with opened(path, runs.SCHEMA) as db:
        if db is None:
            return []
        has_summaries = database.version_of(db) >= _SUMMARIES_VERSION
        of_version = (_ENDED_RUNS, "UNION ALL", _RUNS, _WITHOUT_SUMMARY) if has_summaries else (_RUNS,)
        statement = " ".join(("SELECT * FROM (", *of_version, ")", clause))
        return [_row(row) for row in db.execute(statement, parameters)]


def _row(selected: sqlite3.Row) -> RunRow:
    return RunRow(
        selected["id"],
        selected["pipeline"],
        selected["created"],
        length=selected["length"] or 0,
        began=selected["began"],
        latest=selected["latest"],
        idle=selected["idle"] or 0.0,
        state=STATES[selected["state"]] if selected["state"] else None,
        number=selected["number"],
        **{name: value for name in _SINCE_VERSION_2 if (value := _column(selected, name)) is not None},
    )


def _column(selected: sqlite3.Row, attribute: str) -> Any:
    """Return a column that schema 1 lacks; None there."""
    columns = selected.keys()
    return next((selected[name] for name in _SINCE_VERSION_2[attribute] if name in columns), None)


def _no_such_run(root: Path, run: str, all_ids: list[RunId], matches: list[RunId]) -> str:
    if matches:
        which = (
            f"{len(matches)} runs in {root} have an id that begins with {run!r}: {_listed(matches)}. "
            "Use a longer prefix"
        )
    elif "-" in run and run == Path(run).name and (folder := StateLayout(root).run_folder(run)).is_dir():
        return (
            f"The run store in {root} does not have run {run!r}. Its folder {folder} exists, so its process was killed "
            "before it recorded the run, or its facts were lost (a power loss, a restored backup). Start a new run; no "
            "run will use that folder."
        )
    elif not all_ids:
        return f"There is no run {run!r}: {root} holds no runs. Name another folder with pipeline_root=... or --root."
    else:
        from standpipe.support.near_misses import close_meanings  # only a mistake needs it

        newest = {each.rsplit("-", _PARTS_OF_TIME)[0]: each for each in reversed(all_ids)}  # by their pipelines
        close = close_meanings(run, {**newest, **{each: each for each in all_ids}}, most=_MOST_NAMED)
        which = f"There is no run {run!r} in {root}. "
        which += f"The closest are {_listed(close)}" if close else f"The newest are {_listed(all_ids)}"
    return f"{which}, or use {LATEST!r} or the name of a pipeline; local.runs() and `standpipe runs` list all runs."


def _listed(ids: list[RunId]) -> str:
    return ", ".join(ids[:_MOST_NAMED]) + (", …" if len(ids) > _MOST_NAMED else "")


# --- the database -----------------------------------------------------------------------------------------------------


def _select(path: Path, statement: str, *parameters: object) -> list[sqlite3.Row]:
    """Return the rows of a statement; none if there is no store.

    Raises:
        StorageError: if the store cannot be read; the message says what to do.
    """
    with opened(path, runs.SCHEMA) as db:
        return [] if db is None else db.execute(statement, parameters).fetchall()


def _select_facts(
    db: sqlite3.Connection, parameters: tuple[RunId, int, int], read_text: Callable[[str], str]
) -> Iterator[tuple[float, Fact]]:
    """Yield facts with their times: few at a time, which stay in the cache of the processor until they are decoded."""
    cursor = db.cursor()
    cursor.row_factory = None  # plain tuples take less time
    cursor.execute(_FACTS, parameters)
    while rows := cursor.fetchmany(_ROWS):
        decoded = decode_all([(kind, body) for _, kind, body in rows], read_text)
        yield from zip([at for at, _, _ in rows], decoded, strict=True)


def _select_roots(db: sqlite3.Connection, run: RunId) -> list[sqlite3.Row]:
    return db.execute(_ROOTS, (run,)).fetchall() if database.version_of(db) >= _ROOTS_VERSION else []
