"""Which tasks of which runs made and used which payloads, for the lineage of artifacts across runs."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from standpipe.errors import StandpipeError
from standpipe.history import Run, Status
from standpipe.ui.source import RunSource
from standpipe.ui.views.lineage import IndexedArtifact, IndexedRun, Search
from standpipe.ui.views.previews import location_of

#: The newest runs are searched, in steps, so that no page waits for all of them: the next one continues.
MAX_RUNS = 200
_SECONDS = 0.4

#: The most artifacts of runs that have ended that are kept; one takes about 500 bytes.
_MOST_KEPT = 50_000


class ArtifactIndex:
    """The artifacts of the newest runs. Those of runs that have ended are read once. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, IndexedRun] = OrderedDict()  # the least recently used first

    def read(self, source: RunSource, current: str) -> Search:
        """Return the artifacts of as many of the newest runs as can be read in a part of a second.

        Args:
            source: the runs.
            current: the run whose page asks, which is left out.
        """
        all_runs = source.runs()
        others = [run for run in all_runs[:MAX_RUNS] if run.id != current]
        end = time.monotonic() + _SECONDS
        indexed = []
        for run in others:
            kept = self._find(run)
            if kept is None and time.monotonic() > end:
                continue
            indexed.append(kept or self._add(run))
        return Search(tuple(indexed), len(all_runs), len(indexed) == len(others))

    def _find(self, run: Run) -> IndexedRun | None:
        with self._lock:
            kept = self._kept.get(run.id) if run.status is not Status.RUNNING else None
            if kept:
                self._kept.move_to_end(run.id)
            return kept

    def _add(self, run: Run) -> IndexedRun:
        try:
            indexed = _index(run)
        except StandpipeError:  # deleted meanwhile, or of a version that this one cannot read
            return IndexedRun(run.id, ())
        if run.status is not Status.RUNNING:
            with self._lock:
                self._kept[run.id] = indexed
                while len(self._kept) > 1 and sum(len(kept.artifacts) for kept in self._kept.values()) > _MOST_KEPT:
                    self._kept.popitem(last=False)
        return indexed


def _index(run: Run) -> IndexedRun:
    cached = {task.path for task in run.all_tasks() if task.cached_from}
    return IndexedRun(
        run.id,
        tuple(
            IndexedArtifact(
                location_of(artifact),
                artifact.digest,
                artifact.producer,
                artifact.producer in cached,
                artifact.consumers,
            )
            for artifact in run.artifacts
        ),
    )
