"""Which tasks of which runs made and used which payloads, for the lineage of artifacts across runs."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict

from standpipe.errors import StandpipeError
from standpipe.history import Run, Status
from standpipe.history.run import RunState, state_of
from standpipe.model.frozen import frozen
from standpipe.ui.source import RunSource
from standpipe.ui.views.lineage import IndexedArtifact, IndexedRun, Search
from standpipe.ui.views.previews import location_of

#: The newest runs are searched, in steps, so that no page waits for all of them: the next one continues.
MAX_RUNS = 200
_SECONDS = 0.4

#: How many seconds the artifacts of a run in progress are used: pages are refreshed with each of its facts.
_FRESH = 10.0

#: The most artifacts that are kept; one takes about 500 bytes.
_MOST_KEPT = 50_000


@frozen
class _Kept:
    """What was read of a run, and the state that the run was in; of one in progress it is used until a time."""

    indexed: IndexedRun
    state: RunState
    until: float

    def describes(self, run: Run) -> bool:
        return self.state == state_of(run) and time.monotonic() < self.until


class ArtifactIndex:
    """The artifacts of the newest runs. Those of runs that have ended are read once. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the least recently used first
        self._size = 0

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
            if kept or time.monotonic() < end:
                indexed.append(kept or self._add(run))
        return Search(tuple(indexed), len(all_runs), len(indexed) == len(others))

    def _find(self, run: Run) -> IndexedRun | None:
        with self._lock:
            kept = self._kept.get(run.id)
            if not kept or not kept.describes(run):
                return None
            self._kept.move_to_end(run.id)
            return kept.indexed

    def _add(self, run: Run) -> IndexedRun:
        state = state_of(run)
        try:
            indexed = _index(run)
        except StandpipeError:  # deleted meanwhile, or of a version that this one cannot read
            indexed = IndexedRun(run.id, ())
        until = time.monotonic() + _FRESH if run.status is Status.RUNNING else math.inf
        with self._lock:
            former = self._kept.pop(run.id, None)
            self._kept[run.id] = _Kept(indexed, state, until)
            self._size += len(indexed.artifacts) - (len(former.indexed.artifacts) if former else 0)
            while self._size > _MOST_KEPT and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1].indexed.artifacts)
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
