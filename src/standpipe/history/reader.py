"""Reads a run step by step: what was read once is kept, so that following a run never reads it all again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from standpipe.history.display_names import NO_DISPLAY_NAMES
from standpipe.history.folding import RunFold
from standpipe.history.records import Status, to_datetime
from standpipe.history.run import Run, RunDetails
from standpipe.model.ports import FactReader, FactsReplaced, RecordedRun
from standpipe.model.refs import RunId, TaskRef
from standpipe.store.locks import is_in_progress
from standpipe.support.garbage_collection import pause_garbage_collection

#: How many facts are read ahead at a time. To read all of them at once takes a sixth less time.
STEP = 4_000


class RunReader:
    """The facts of one run that were read so far, folded. Any thread may use it.

    Args:
        facts: where the facts are read.
        run: the id of the run.
        folder: the folder of the run.
        display_name: returns the display name of a task, empty if it has none.
    """

    def __init__(
        self,
        facts: FactReader,
        run: RunId,
        folder: Path,
        display_name: Callable[[TaskRef], str] = NO_DISPLAY_NAMES,
    ) -> None:
        self._facts = facts
        self._run = run
        self._folder = folder
        self._display_name = display_name
        self._lock = threading.Lock()
        self._latest: tuple[int, bool, RunDetails] | None = None  # after how many facts, and whether it was over
        self._length = self._number = 0
        self._restart(0)

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
            _number=recorded.number,
            _read=lambda: self._details(recorded, is_over=is_over),
            _refresh=lambda: self.snapshot(),  # a function, which copies of the run share
            _read_ahead=lambda: self._advance(recorded),
        )

    def _status(self, recorded: RecordedRun, idle_since: int | None) -> tuple[RecordedRun, Status]:
        """Return the status of a run, with what is recorded about it at that time.

        A run may end, or be resumed, between reading the store and checking its lock. So a run without an end that no
        process works on is interrupted only if nothing has been recorded after that check.
        """
        while recorded.state is None:
            if recorded.length == idle_since:
                return recorded, Status.INTERRUPTED
            if is_in_progress(self._folder):
                return recorded, Status.RUNNING
            recorded, idle_since = self._facts.run(self._run), recorded.length
        return recorded, Status[recorded.state.name]

    def _details(self, recorded: RecordedRun, *, is_over: bool) -> RunDetails:
        """Return the details of a run after the facts that it had when `recorded` was read."""
        with self._lock, pause_garbage_collection():
            if recorded.number == self._number and recorded.length < self._length:
                self._restart(recorded.number)  # a later snapshot was read before this one
            self._read(recorded)
            if self._latest is None or self._latest[:2] != (self._length, is_over):
                # A record of each task of a large run takes longer than a page of it.
                self._latest = self._length, is_over, self._fold.details(is_over=is_over)
            return self._latest[2]

    def _advance(self, recorded: RecordedRun) -> bool:
        """Read some more facts of those that a run had when `recorded` was read; return whether it has no more."""
        with self._lock, pause_garbage_collection():
            return self._read(recorded, STEP)

    def _read(self, recorded: RecordedRun, most: int | None = None) -> bool:
        """Read the facts that a run had when `recorded` was read; all that it has now, if they were replaced since.

        Args:
            recorded: what the store said about the run.
            most: the most facts to read; by default all.

        Returns:
            Whether all of them were read.
        """
        while True:
            if recorded.number != self._number:
                self._restart(recorded.number)
            until = recorded.length if most is None else min(recorded.length, self._length + most)
            if self._length >= until:
                return self._length >= recorded.length
            try:
                facts = self._facts.facts_since(self._run, self._length, until, number=recorded.number)
                break
            except FactsReplaced:
                recorded = self._facts.run(self._run)
        for at, fact in facts:
            self._fold.apply(at, fact)
        self._length = until
        return self._length >= recorded.length

    def _restart(self, number: int) -> None:
        """Forget the facts that were read; the next ones are those of the run with a number."""
        self._fold = RunFold(self._folder, self._display_name)
        self._length, self._number = 0, number
        self._latest = None
