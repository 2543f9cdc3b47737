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
from standpipe.model.ports import FactReader, RecordedRun
from standpipe.model.refs import RunId, TaskRef
from standpipe.store.locks import is_in_progress, read_pulled_version
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
        self._version = read_pulled_version(folder)
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
            _read_ahead=lambda: self._advance(recorded.length),
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

    def _details(self, length: int, *, is_over: bool) -> RunDetails:
        """Return the details of the run after its first facts, as many as `length`."""
        with self._lock, pause_garbage_collection():
            self._restart_if_replaced()
            if self._latest is not None and self._latest[:2] == (length, is_over):
                return self._latest[2]  # a record of each task of a large run takes longer than a page of it
            if length < self._length:
                self._restart()  # a later snapshot was read before this one
            self._read(length)
            details = self._fold.details(is_over=is_over)
            self._latest = length, is_over, details
            return details

    def _advance(self, length: int) -> bool:
        """Read some more facts, up to a number; return whether all of them have been read."""
        with self._lock, pause_garbage_collection():
            self._restart_if_replaced()
            self._read(min(length, self._length + STEP))
            return self._length >= length

    def _read(self, length: int) -> None:
        if length == self._length:
            return
        for at, fact in self._facts.facts_since(self._run, self._length, length):
            self._fold.apply(at, fact)
            self._length += 1

    def _restart_if_replaced(self) -> None:
        """Forget the facts that were read if another pull has replaced them."""
        version = read_pulled_version(self._folder)
        if version != self._version:
            self._restart()
            self._version = version

    def _restart(self) -> None:
        self._fold, self._length = RunFold(self._folder, self._display_name), 0
        self._latest = None
