"""Outputs that come from the cache instead of from an attempt, if they still are what their task had left."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from standpipe.errors import StandpipeError, StorageError
from standpipe.execution.cache.checksums import is_unchanged, payload_of, seal_of, signature_of
from standpipe.execution.cache.keys import Work
from standpipe.model.events import AttemptEnded, StartAttempt
from standpipe.model.ports import Cache, CacheEntry, Cancel
from standpipe.model.refs import RunId
from standpipe.model.values import ArtifactValue, Seal, Value, artifacts_in

T = TypeVar("T")


class _Damaged(StandpipeError):
    """An artifact is not what its task had left; the message says which, where, and how."""


class Results:
    """The cache as the attempts of one run use it. Any thread may.

    A cache that cannot be used any more costs no task its life: that is said once, and from then on every task runs.

    Args:
        cache: keeps what attempts leave.
        run: the id of the run.
        notice: told what the user should know.
    """

    def __init__(self, cache: Cache, run: RunId, notice: Callable[[str], None]) -> None:
        self._cache = cache
        self._run = run
        self._notice = notice
        self._lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}
        self._is_lost = False

    def of(self, work: Work, command: StartAttempt, cancel: Cancel, run: Callable[[], AttemptEnded]) -> AttemptEnded:
        """The end of an attempt: a remembered one of the same work, otherwise that of `run`, which is remembered.

        What is tried again runs in any case.
        """
        key = work.key()
        found = self._find(key, command, cancel) if key and not command.retry_index else None
        if found is not None:
            return AttemptEnded(command.task, found.outputs, cached=found.origin)
        ended = run()
        if ended.failure is None:
            now = work.key()  # the runner may have learned its part only now, when it has an image
            if now and key in ("", now):
                self._keep(now, CacheEntry(f"{self._run}/{command.task}", ended.outputs), cancel)
        return ended

    def seal(self, path: str, cancel: Cancel) -> Seal | None:
        """The seal of what is at a path, read once as long as it does not change; None as in `sealing.seal_of`."""
        with self._lock:
            one_at_a_time = self._reading.setdefault(path, threading.Lock())
        with one_at_a_time:  # who comes second finds what the first one has noted
            signature = signature_of(path)
            known = self._use(lambda: self._cache.seal(path, signature)) if signature else None
            if known is not None:
                return known
            seal = seal_of(path, cancel)
            if seal is not None and seal.signature:
                self._use(lambda: self._cache.note(path, seal))
            return seal

    def _find(self, key: str, command: StartAttempt, cancel: Cancel) -> CacheEntry | None:
        entry = self._use(lambda: self._cache.find(key))
        if entry is None:
            return None
        try:
            return self._verified(entry, cancel)
        except _Damaged as damaged:
            if not cancel:
                self._notice(f"cache: {damaged}; task {str(command.task)!r} runs again.")
            return None

    def _keep(self, key: str, entry: CacheEntry, cancel: Cancel) -> None:
        if any(artifact.seal is None and _has_payload(artifact) for artifact in artifacts_in(entry.outputs.values())):
            return  # what cannot be sealed cannot be trusted later
        standing = self._use(lambda: self._cache.keep(key, entry))
        if standing is None or standing == entry:
            return
        try:
            self._verified(standing, cancel)
        except _Damaged:
            if not cancel:
                self._use(lambda: self._cache.keep(key, entry, instead_of=standing))

    def _verified(self, entry: CacheEntry, cancel: Cancel) -> CacheEntry:
        """The entry, with seals that hold at this moment."""

        def check(name: str, value: Value) -> Value:
            if not isinstance(value, ArtifactValue) or value.seal is None:
                return value
            path, seal = payload_of(value), value.seal
            if is_unchanged(path, seal):
                return value
            found = self.seal(path, cancel)
            if found is None or found.digest != seal.digest:
                how = "is not what the task had left" if os.path.lexists(path) else "is gone"
                raise _Damaged(f"the artifact {name!r} of {entry.origin} at {path} {how}")
            return replace(value, seal=found)

        return replace(entry, outputs={name: check(name, value) for name, value in entry.outputs.items()})

    def _use(self, operation: Callable[[], T]) -> T | None:
        """Does something with the cache; None if it cannot be used, now or since an earlier time."""
        if self._is_lost:
            return None
        try:
            return operation()
        except StorageError as error:
            with self._lock:
                is_news, self._is_lost = not self._is_lost, True
            if is_news:
                self._notice(f"{error} This run goes on without it.")
            return None


def _has_payload(artifact: ArtifactValue) -> bool:
    path = payload_of(artifact)
    return bool(path) and os.path.lexists(path)
