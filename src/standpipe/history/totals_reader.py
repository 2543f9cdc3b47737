"""Reads the totals of many runs: of those that have ended from the run store, of others step by step from their facts.

A list of runs never waits for a run of 50,000 tasks: what cannot be read in time is read for the next page.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from standpipe.errors import StandpipeError
from standpipe.history.progress import RunProgress
from standpipe.history.records import Status
from standpipe.history.run import Run, RunState, state_of
from standpipe.history.totals import RunTotals
from standpipe.model.ports import FactsReplaced
from standpipe.model.refs import RunId
from standpipe.store.reading import StoredFacts, read_totals
from standpipe.support.garbage_collection import pause_garbage_collection

#: How many facts are read at a time.
_STEP = 2_000


class TotalsReader:
    """The totals of the runs in a pipeline root that were read so far. Any thread may use it.

    Args:
        pipeline_root: the folder with the run store.
        clock: returns seconds, for the time that reading may take.
    """

    def __init__(self, pipeline_root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = pipeline_root
        self._clock = clock
        self._facts = StoredFacts(pipeline_root)
        self._lock = threading.Lock()
        self._ended: dict[RunId, tuple[RunState, RunTotals | None]] = {}  # None: an older version recorded it
        self._open: dict[RunId, _Fold] = {}

    def stored(self, runs: Sequence[Run]) -> dict[RunId, RunTotals]:
        """Return the totals of those runs that have ended, as far as the run store has them or `folded` read them.

        Args:
            runs: all runs of the pipeline root.

        Raises:
            StorageError: if the run store cannot be read.
        """
        with self._lock:
            self._ended = {run.id: self._ended[run.id] for run in runs if self._is_known(run)}
            new = {run.id: state_of(run) for run in runs if run.ended is not None and run.id not in self._ended}
            if new:
                texts = read_totals(self._root)
                self._ended |= {run: (state, _parse(texts.get(run))) for run, state in new.items()}
            ids = {run.id for run in runs}
            self._open = {run: fold for run, fold in self._open.items() if run in ids}
            return {run: totals for run, (_, totals) in self._ended.items() if totals is not None}

    def folded(self, runs: Iterable[Run], seconds: float) -> dict[RunId, RunTotals]:
        """Return the totals of runs from their facts: of runs that have not ended, and of those of older versions.

        Args:
            runs: the runs, the most important one first.
            seconds: for how long facts are read. Then the totals are not complete; the next call reads on.
        """
        deadline = self._clock() + seconds
        with self._lock, pause_garbage_collection():
            return {run.id: self._fold(run, deadline) for run in runs}

    def _is_known(self, run: Run) -> bool:
        known = self._ended.get(run.id)
        return known is not None and known[0] == state_of(run)

    def _fold(self, run: Run, deadline: float) -> RunTotals:
        try:
            recorded = self._facts.run(run.id)
            fold = self._open.get(run.id)
            if fold is None or fold.number != recorded.number:
                fold = self._open[run.id] = _Fold(self._facts, run.id, recorded.number)
            is_complete = fold.read(recorded.length, lambda: self._clock() > deadline)
        except StandpipeError:  # the page of the run says what is wrong with it
            return RunTotals(is_complete=True)
        totals = replace(fold.totals(is_over=run.status is not Status.RUNNING), is_complete=is_complete)
        if is_complete and run.ended is not None and self._is_known(run):
            self._ended[run.id] = (state_of(run), totals)
            del self._open[run.id]
        return totals


class _Fold:
    """The facts of one run that were read so far, folded.

    Args:
        facts: where the facts are read.
        run: the id of the run.
        number: its number in the run store, which is another one after its facts were replaced.
    """

    def __init__(self, facts: StoredFacts, run: RunId, number: int) -> None:
        self.number = number
        self._facts = facts
        self._run = run
        self._length = 0
        self._progress = RunProgress()

    def read(self, length: int, is_late: Callable[[], bool]) -> bool:
        """Read the facts that are new, up to a number of facts, until it is late; return whether these are all."""
        while self._length < length and not is_late():
            until = min(length, self._length + _STEP)
            try:
                facts = self._facts.facts_since(self._run, self._length, until, number=self.number)
            except FactsReplaced:
                return False  # the next call reads the other ones
            for at, fact in facts:
                self._progress.apply(at, fact)
            self._length = until
        return self._length >= length

    def totals(self, *, is_over: bool) -> RunTotals:
        return self._progress.totals(is_over=is_over)


def _parse(text: str | None) -> RunTotals | None:
    return None if text is None else RunTotals.from_fields(json.loads(text))
