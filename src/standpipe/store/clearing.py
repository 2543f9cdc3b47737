"""The statements that delete what only one run has, in transactions that delete the run or replace its facts."""

from __future__ import annotations

from collections.abc import Iterator

from standpipe.model.refs import RunId
from standpipe.store.facts import TEXTS

#: The Plans that no run has.
DELETE_PLANS = """
    DELETE FROM plans WHERE digest NOT IN (SELECT plan FROM runs) AND digest NOT IN (
        SELECT coalesce(json_extract(body, '$.plan'), '') FROM facts WHERE kind = 'RunResumed'
    )
"""
#: The texts that only this run has. All facts are read for it, but not if the run has no texts.
_DELETE_TEXTS = """
    DELETE FROM texts WHERE EXISTS (SELECT 1 FROM facts WHERE run = ? AND instr(body, ?)) AND digest NOT IN (
        SELECT json_extract(value, '$[1]') FROM facts, json_each(body, ?) WHERE run != ? AND instr(body, ?)
    )
"""
#: In this order: a trigger would look for the summary of the run after each fact that is deleted.
_DELETE_ROWS = (
    "DELETE FROM summaries WHERE run = ?",
    "DELETE FROM outlines WHERE run = ?",
    "DELETE FROM facts WHERE run = ?",
    "DELETE FROM roots WHERE run = ?",
    "DELETE FROM artifact_roots WHERE run = ?",
)


def clear_run(run: RunId) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the statements, with their parameters, that delete all that only a run has, but its row and its Plan."""
    mark = f'"{TEXTS}":'
    yield _DELETE_TEXTS, (run, mark, f"$.{TEXTS}", run, mark)
    for statement in _DELETE_ROWS:
        yield statement, (run,)
