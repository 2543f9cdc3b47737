"""Reads a run step by step: what was read once is kept, so that following a run never reads it all again."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

from standpipe.history.folding import RunFold
from standpipe.history.records import Status, to_datetime
from standpipe.history.run import Run, RunDetails
from standpipe.model.ports import FactReader, RecordedRun
from standpipe.model.refs import RunId
from standpipe.store.locks import is_active
from standpipe.support.garbage_collection import pause_garbage_collection


class RunReader:
    """The facts of one run that were read so far, folded. Any thread may use it.

    Args:
        facts: where the facts are read.
        run: the id of the run.
        folder: the folder of the run.
    """

    def __init__(self, facts: FactReader, run: RunId, folder: Path) -> None:
        self._facts = facts
        self._run = run
        self._folder = folder
        self._lock = threading.Lock()
        self._latest: tuple[int, bool, RunDetails] | None = None  # after how many facts, and whether it was over
        self._restart()

    def snapshot(self, recorded: RecordedRun | None = None, *, idle_since: int | None = None) -> Run:
        """Return the run as it is now. Its details are read when they are first used, and stay those of now.

        Args:
            recorded: what the store says about the run, if that was just read.
            idle_since: the number of facts that the run had when, before `recorded` was read, no process worked on it.

        Raises:
            NoSuchRun: if there is no such run.
            StorageError: if the store cannot be read.
        """
        recorded, status = self._status(recorded or self._facts.run(self._run), idle_since)
        is_over = status is not Status.RUNNING
        return Run(
            id=recorded.id,
            pipeline=recorded.pipeline,
            status=status,
            created=datetime.fromisoformat(recorded.created.replace("Z", "+00:00")).astimezone(),  # 3.10 rejects the Z
            started=None if recorded.began is None else to_datetime(recorded.began),
            ended=to_datetime(recorded.latest) if recorded.state and recorded.latest is not None else None,
            folder=self._folder,
            rerun_of=recorded.rerun_of,
            _idle=recorded.idle,
            _read=lambda: self._details(recorded.length, is_over=is_over),
            _refresh=lambda: self.snapshot(),  # a function, which copies of the run share
        )

    def _status(self, recorded: RecordedRun, idle_since: int | None) -> tuple[RecordedRun, Status]:
        """Return the status of a run, with what is recorded about it at that time.

        A run may end, or be resumed, between reading the store and checking its lock. So a run without an end that no
        process works on is interrupted only if nothing has been recorded after that check.
        """
        while recorded.state is None:
            if recorded.length == idle_since:
                return recorded, Status.INTERRUPTED
            if is_active(self._folder):
                return recorded, Status.RUNNING
            recorded, idle_since = self._facts.run(self._run), recorded.length
        return recorded, Status[recorded.state.name]

    def _details(self, length: int, *, is_over: bool) -> RunDetails:
        """Return the details of the run after its first facts, as many as `length`."""
        with self._lock, pause_garbage_collection():
            if self._latest is not None and self._latest[:2] == (length, is_over):
                return self._latest[2]  # a record of each task of a large run takes longer than a page of it
            if length < self._length:
                self._restart()  # a later snapshot was read before this one
            for at, fact in self._facts.facts_since(self._run, self._length, length):
                self._fold.apply(at, fact)
                self._length += 1
            details = self._fold.details(is_over=is_over)
            self._latest = length, is_over, details
            return details

    def _restart(self) -> None:
        self._fold, self._length = RunFold(self._folder), 0
        self._latest = None
