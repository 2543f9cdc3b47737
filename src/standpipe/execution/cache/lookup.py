"""Cached outputs in place of an attempt, as long as their payloads are what the task left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from standpipe.errors import StandpipeError, StorageError
from standpipe.execution.cache.keys import KeyInputs
from standpipe.execution.checksums import is_unchanged
from standpipe.model.cancellation import Cancellation
from standpipe.model.events import AttemptEnded, StartAttempt
from standpipe.model.locations import is_remote
from standpipe.model.ports import ArtifactStore, Cache, CacheEntry
from standpipe.model.refs import RunId
from standpipe.model.values import ArtifactValue, Checksum, Value, find_artifacts
from standpipe.support.redaction import NO_SECRETS, Redactor

T = TypeVar("T")


class _ArtifactChanged(StandpipeError):
    """A cached artifact is not what its task left; the message names the artifact and its path."""


class ResultCache:
    """The cache as the attempts of one run use it, from any thread.

    A cache that fails makes no task fail: the user gets one notice, and from then on every task runs.

    Args:
        cache: stores the outputs of attempts, by key, and checksums.
        run: the id of the run.
        artifacts: the store of payloads.
        notice: called with what the user should know.
        may_use: returns whether the tasks of the run may read a location.
        redactor: knows the secrets. Results that hold one are not cached: a redacted output would not be what the
            task left, and another one is not to be stored.
    """

    def __init__(
        self,
        cache: Cache,
        run: RunId,
        artifacts: ArtifactStore,
        notice: Callable[[str], None],
        may_use: Callable[[str], bool] = lambda _: True,
        redactor: Redactor = NO_SECRETS,
    ) -> None:
        self._cache = cache
        self._run = run
        self._artifacts = artifacts
        self._notice = notice
        self._may_use = may_use
        self._redactor = redactor
        self._lock = threading.Lock()
        self._location_locks: dict[str, threading.Lock] = {}
        self._is_unusable = False
        self._former_checksums: dict[str, Checksum] = {}  # by location
        self._has_older_entries: bool | None = None  # not known yet

    def reuse_or_run(
        self, inputs: KeyInputs, command: StartAttempt, cancel: Cancellation, run: Callable[[], AttemptEnded]
    ) -> AttemptEnded:
        """Return the cached result of an attempt; if there is none, that of `run`, which is cached if it succeeds.

        A retry always runs.
        """
        key = inputs.compute_key()
        entry = None
        if key and not command.retry_index:
            entry = self._find(key, command, cancel) or self._find_former(key, inputs, command, cancel)
        if entry is not None:
            return AttemptEnded(command.task, entry.outputs, cached_from=entry.origin)
        ended = run()
        if ended.failure is None:
            key_after = inputs.compute_key()  # the runner may know its fingerprint only now that it has an image
            if key_after and key in ("", key_after):
                self._store(key_after, CacheEntry(f"{self._run}/{command.task}", ended.outputs), cancel)
        return ended

    def checksum(self, location: str, cancel: Cancellation, algorithm: str = "") -> Checksum | None:
        """Return the checksum of a payload, which is read only if it has changed; see `ArtifactStore`.

        If any algorithm will do, it is the one of the checksum that is known, so that cache keys stay what they were.
        """
        with self._lock:
            location_lock = self._location_locks.setdefault(location, threading.Lock())
        with location_lock:  # the second thread gets what the first one has stored
            signature = self._artifacts.signature(location)
            known = self._try(lambda: self._cache.checksum(location, signature)) if signature else None
            if known is not None and algorithm in ("", known.algorithm):
                return known
            former = self._former_checksums.get(location)
            if former is not None and former.signature == signature and former.algorithm == algorithm:
                return former
            checksum = self._artifacts.checksum(location, cancel, algorithm)
            if checksum is None or not checksum.signature:
                return checksum
            if known is not None:
                self._former_checksums[location] = checksum  # the cache keeps the one that present keys are made of
            elif not self._redactor.contains_secret(location):
                self._try(lambda: self._cache.note(location, checksum))
            return checksum

    def _find(self, key: str, command: StartAttempt, cancel: Cancellation) -> CacheEntry | None:
        entry = self._try(lambda: self._cache.find(key))
        if entry is None:
            return None
        try:
            return self._verify(entry, cancel)
        except _ArtifactChanged as error:
            if not cancel:
                self._notice(f"cache: {error}; task {str(command.task)!r} runs again.")
            return None

    def _find_former(
        self, key: str, inputs: KeyInputs, command: StartAttempt, cancel: Cancellation
    ) -> CacheEntry | None:
        """Return the entry that an older Standpipe stored, which is found by the present key from now on."""
        if self._has_older_entries is None:
            self._has_older_entries = bool(self._try(self._cache.has_older_entries))
        former = inputs.former() if self._has_older_entries else ""
        entry = self._find(former, command, cancel) if former not in ("", key) else None
        if entry is not None:
            self._try(partial(self._cache.keep, key, entry))
        return entry

    def _store(self, key: str, entry: CacheEntry, cancel: Cancellation) -> None:
        if self._redactor.contains_secret([*entry.outputs.values()]):
            return
        artifacts = find_artifacts(entry.outputs.values())
        if any(not artifact.checksum and self._artifacts.exists(artifact.location) for artifact in artifacts):
            return  # without a digest, a later run cannot check the payload
        current = self._try(lambda: self._cache.keep(key, entry))
        if current is None or current == entry:
            return
        try:
            self._verify(current, cancel)
        except _ArtifactChanged:
            if not cancel:
                self._try(lambda: self._cache.keep(key, entry, instead_of=current))

    def _verify(self, entry: CacheEntry, cancel: Cancellation) -> CacheEntry:
        """Return the entry with checksums that are valid now.

        Raises:
            _ArtifactChanged: if a payload is missing or has changed, or tasks may not read it.
        """

        def verify(name: str, value: Value) -> Value:
            if not isinstance(value, ArtifactValue):
                return value
            if not self._may_use(value.location):
                raise _ArtifactChanged(
                    f"the artifact {name!r} of {entry.origin} at {value.location} is not one of a run"
                )
            if value.checksum is None:
                return value
            location, expected = value.location, value.checksum
            if is_unchanged(location, expected, self._artifacts):
                return value
            checksum = self.checksum(location, cancel, expected.algorithm)
            if checksum is None or checksum.digest != expected.digest:
                how = "has changed" if self._artifacts.exists(location) else "is missing"
                path = location if is_remote(location) else self._artifacts.local_path(location)
                raise _ArtifactChanged(f"the artifact {name!r} of {entry.origin} at {path} {how}")
            return replace(value, checksum=checksum)

        return replace(entry, outputs={name: verify(name, value) for name, value in entry.outputs.items()})

    def _try(self, operation: Callable[[], T]) -> T | None:
        """Return what an operation on the cache returns; None if the cache cannot be used, now or since earlier."""
        if self._is_unusable:
            return None
        try:
            return operation()
        except StorageError as error:
            with self._lock:
                is_first, self._is_unusable = not self._is_unusable, True
            if is_first:
                self._notice(f"{error} This run continues without the cache.")
            return None
