"""The runs of a pipeline root, with readers that fold only what is new since the last page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import StandpipeError
from standpipe.history import Run, get_run, runs
from standpipe.history.totals_reader import TotalsReader
from standpipe.model.plan import Plan
from standpipe.store.reading import StoredFacts, plan_digest, read_plan, run_row
from standpipe.ui.pages_in_work import PagesInWork

#: How many runs keep their records in memory, and of how many facts together unless it is one run: those of a run of
#: 10,000 tasks are 50,000, and take about 40 MB.
_MOST_KEPT = 4
_MOST_FACTS = 60_000


class _Kept(NamedTuple):
    """A run as it was read last, and the number of facts that it had when it was first read."""

    run: Run
    length: int


class RunSource:
    """The runs of one pipeline root. Any thread may use it.

    Args:
        root: the pipeline root. It may not exist yet; then there are no runs.

    Attributes:
        totals: the totals of its runs.
        pages: the pages that are being made of them, for which `prepare` waits.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.totals = TotalsReader(root)
        self.pages = PagesInWork()
        self._lock = threading.Lock()
        self._preparing = threading.Lock()
        self._read_plan = lru_cache(_MOST_KEPT)(partial(read_plan, root))
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the least recently used first

    def runs(self) -> list[Run]:
        """Return all runs, newest first, without reading their tasks.

        Raises:
            StorageError: if the run store cannot be read.
        """
        return runs(self.root)

    def run(self, run: str) -> Run:
        """Return a run as it is now. Facts that an earlier call has read are not read again.

        Args:
            run: its id, a unique beginning of it, the name of a pipeline, or `latest`.

        Raises:
            NoSuchRun: if there is no such run.
            StorageError: if the run store cannot be read.
        """
        with self._lock:
            kept = self._kept.get(run)
        snapshot = kept.run.refresh() if kept else get_run(self.root, run)
        length = kept.length if kept else run_row(self.root, snapshot.id).length
        with self._lock:
            self._kept[snapshot.id] = _Kept(snapshot, length)
            self._kept.move_to_end(snapshot.id)
            while len(self._kept) > 1 and self._holds_too_much():
                self._kept.popitem(last=False)
        return snapshot

    def _holds_too_much(self) -> bool:
        return len(self._kept) > _MOST_KEPT or sum(kept.length for kept in self._kept.values()) > _MOST_FACTS

    def prepare(self, run: str) -> None:
        """Read the facts and the Plan of a run whose page may come next; an error is left to that page.

        Nothing happens if they were read. Only one run is prepared at a time: a pointer that moves over a list must not
        make the server read all of them.
        """
        with self._lock:
            is_kept = run in self._kept
        if is_kept or not self._preparing.acquire(blocking=False):
            return
        try:
            with suppress(StandpipeError):
                self._read_ahead(self.run(run))
        finally:
            self._preparing.release()

    def _read_ahead(self, run: Run) -> None:
        """Read a run while no pages are being made, as long as it is kept."""
        self.pages.wait()
        while not run.read_ahead():
            self.pages.wait()
            with self._lock:
                if run.id not in self._kept:
                    return
        run.tasks  # noqa: B018 - it makes them
        self.readable_plan(run)

    def plan(self, run: Run) -> Plan | None:
        """Return the Plan that a run was started or last resumed with; None for a run of a version that stored none.

        The facts of the run are not read for it, apart from those of its resumptions.

        Raises:
            NoSuchRun: if there is no such run.
            StorageError: if the run store cannot be read.
        """
        digest = plan_digest(self.root, StoredFacts(self.root).run(run.id))
        return self._read_plan(digest) if digest else None

    def readable_plan(self, run: Run) -> Plan | None:
        """Return the Plan of a run as `plan` does; None also if it cannot be read."""
        try:
            return self.plan(run)
        except StandpipeError:
            return None
