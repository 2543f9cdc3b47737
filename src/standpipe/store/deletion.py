"""Deleting runs from the run store, and finding the runs that would miss them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from standpipe.model.events import Fact, TaskSucceeded
from standpipe.model.fact_values import values_of
from standpipe.model.layout import StateLayout
from standpipe.model.refs import RunId
from standpipe.model.values import find_artifacts
from standpipe.store.clearing import DELETE_PLANS, clear_run
from standpipe.store.database import Database
from standpipe.store.facts import decode
from standpipe.store.reading import run_rows, select_facts_with
from standpipe.store.runs import SCHEMA

#: The time at the end of the ids of runs, by which facts that may name other runs are found fast.
_STAMP = re.compile(r"-\d{4}(?:-\d\d){5}-\d{6}")
_STAMP_LENGTH = len("-2026-01-01-00-00-00-000000")


def delete_run(pipeline_root: Path, run: RunId) -> None:
    """Delete a run, and the Plans and texts that no other run has, in one transaction. The disk has it on return.

    Args:
        pipeline_root: the folder of the store, which has the run.
        run: the id of the run. No process drives it.

    Raises:
        StorageError: if the store cannot be written.
    """
    database = Database(StateLayout(pipeline_root).run_store, SCHEMA)
    with closing(database), database.transaction(survives_power_loss=True) as db:
        for statement, parameters in clear_run(run):
            db.execute(statement, parameters)
        db.execute("DELETE FROM runs WHERE id = ?", (run,))
        db.execute(DELETE_PLANS)


def find_users(pipeline_root: Path, run: RunId) -> list[RunId]:
    """Return the other runs that use artifacts or cached outputs of a run, in the order in which they were recorded.

    Raises:
        StorageError: if the store cannot be read.
    """
    users: dict[RunId, None] = {}
    for other, kind, body in select_facts_with(pipeline_root, run):
        if other not in users and other != run and _uses(decode(kind, body), run):
            users[other] = None
    return list(users)


def find_all_users(pipeline_root: Path) -> dict[RunId, set[RunId]]:
    """Return, for each run whose artifacts or cached outputs others use, these other runs: by reading all facts once.

    Raises:
        StorageError: if the store cannot be read.
    """
    ids: dict[str, list[RunId]] = {}
    for row in run_rows(pipeline_root):
        ids.setdefault(row.id[-_STAMP_LENGTH:], []).append(row.id)
    users: dict[RunId, set[RunId]] = {}
    for user, kind, body in select_facts_with(pipeline_root, "-"):
        others = {run for stamp in _STAMP.findall(body) for run in ids.get(stamp, ())} - {user}
        others = {run for run in others if user not in users.get(run, ())}
        fact = decode(kind, body) if others else None
        for run in others:
            if fact is not None and _uses(fact, run):
                users.setdefault(run, set()).add(user)
    return users


def _uses(fact: Fact, run: RunId) -> bool:
    origin = fact.cached_from if isinstance(fact, TaskSucceeded) else ""
    return (bool(origin) and origin.startswith(f"{run}/")) or any(f"/{run}/" in each for each in _locations(fact))


def _locations(fact: Fact) -> Iterator[str]:
    return (artifact.location for artifact in find_artifacts(values_of(fact)))
