"""Pruning: which runs, cache entries, environments and images nobody needs any more, and their deletion.

A run is kept, whatever selects it, if a process drives it, if a run that is kept uses its artifacts or cached outputs,
or if the cache has entries with its artifacts, unless these are pruned as well. A process that dies meanwhile leaves
what the next pruning removes: see `runs.deletion` and `stored_venvs`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import RunnerError
from standpipe.history import Run, Status, runs
from standpipe.model.locations import is_remote
from standpipe.model.refs import RunId
from standpipe.model.values import find_artifacts
from standpipe.runners.docker.stored_images import StoredImage, connected, list_images, may_have_engine, remove_image
from standpipe.runners.process.stored_venvs import StoredVenv, list_venvs, remove_venv
from standpipe.runs.deletion import DeletedRun, delete_unused, remove_remains
from standpipe.store.cache import StoredEntry, delete_entries, read_entries
from standpipe.store.deletion import find_all_users
from standpipe.store.locks import RunIsActive
from standpipe.store.reading import run_rows
from standpipe.support.disk_usage import DiskUsage, folder_size
from standpipe.support.user_dirs import cache_folder

#: The statuses of runs that can be pruned.
STATUSES = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.INTERRUPTED)

_NO_SIZES: Mapping[RunId, int] = {}


@dataclass(frozen=True)
class Selection:
    """Which runs are pruned: those that everything here selects. None and empty ones select all runs.

    `older_than` is in seconds since the last record of a run, `larger_than` in bytes on the disk. The newest `keep`
    runs of each pipeline are kept, whatever else selects them.
    """

    older_than: float | None = None
    keep: int | None = None
    statuses: Collection[Status] = ()
    larger_than: int | None = None
    pipeline: str = ""

    def __bool__(self) -> bool:
        return self != Selection()


class PrunableRun(NamedTuple):
    """A run that is pruned: `last` is the time of its last record, `size` its bytes on the disk."""

    id: RunId
    pipeline: str
    status: str
    last: float
    size: int


class NeededRun(NamedTuple):
    """A run that was selected and is kept: because of these runs, or of entries of the cache."""

    id: RunId
    users: tuple[RunId, ...]
    entries: int


class UnusedEntry(NamedTuple):
    """A cache entry that is pruned: its key, and the run and task that its outputs come from."""

    key: str
    origin: str


@dataclass(frozen=True)
class Pruning:
    """What a pruning of a pipeline root deletes, and the runs that it keeps although they were selected."""

    root: Path
    cache: Path
    runs: tuple[PrunableRun, ...] = ()
    kept: tuple[NeededRun, ...] = ()
    entries: tuple[UnusedEntry, ...] = ()
    venvs: tuple[StoredVenv, ...] = ()
    images: tuple[StoredImage, ...] = ()

    @property
    def size(self) -> int:
        """The bytes on the disk that it frees, as far as they are known before."""
        of_runs, of_venvs = sum(run.size for run in self.runs), sum(venv.size for venv in self.venvs)
        return of_runs + of_venvs + sum(image.size for image in self.images)

    def __bool__(self) -> bool:
        return bool(self.runs or self.entries or self.venvs or self.images)


def select_runs(
    root: Path,
    selection: Selection,
    *,
    cache: Path | None = None,
    with_cache: bool = False,
    now: float | None = None,
    sizes: Mapping[RunId, int] = _NO_SIZES,
) -> Pruning:
    """Return what a pruning deletes of the runs and of the cache.

    Args:
        root: the pipeline root.
        selection: which runs; if it selects nothing in particular, none.
        cache: the folder of the cache; by default the pipeline root.
        with_cache: whether entries of the cache are pruned that name artifacts of these runs, or missing artifacts.
        now: the time, in seconds since the epoch.
        sizes: the bytes on the disk of runs that were measured already.

    Raises:
        StorageError: if the run store or the cache cannot be read.
    """
    cache = cache or root
    selected = _select(root, selection, time.time() if now is None else now, sizes) if selection else {}
    entries = read_entries(cache) if selected or with_cache else []
    by_run = _entries_by_run(entries, root)
    needed = _find_needed(root, selected, {} if with_cache else by_run)
    pruned = [run for run in selected.values() if run.id not in needed]
    dead = _dead_entries(entries, by_run, {run.id for run in pruned}) if with_cache else ()
    return Pruning(root, cache, tuple(pruned), tuple(needed.values()), tuple(dead))


def _select(root: Path, selection: Selection, now: float, sizes: Mapping[RunId, int]) -> dict[RunId, PrunableRun]:
    """Return the runs that a selection selects and no process drives, the newest first."""
    last = {row.id: row.latest for row in run_rows(root)}
    counts: dict[str, int] = {}
    selected = {}
    for run in runs(root):
        counts[run.pipeline] = counts.get(run.pipeline, 0) + 1
        at = last.get(run.id) or run.created.timestamp()
        is_old = selection.older_than is None or now - at > selection.older_than
        if is_old and counts[run.pipeline] > (selection.keep or 0) and _fits(run, selection):
            size = sizes[run.id] if run.id in sizes else folder_size(run.folder)
            if selection.larger_than is None or size > selection.larger_than:
                selected[run.id] = PrunableRun(run.id, run.pipeline, run.status.value, at, size)
    return selected


def _fits(run: Run, selection: Selection) -> bool:
    return (
        run.status in (selection.statuses or STATUSES)
        and run.status is not Status.RUNNING
        and selection.pipeline in ("", run.pipeline)
    )


def _find_needed(
    root: Path, selected: Mapping[RunId, PrunableRun], entries: Mapping[RunId, Sequence[StoredEntry]]
) -> dict[RunId, NeededRun]:
    """Return the selected runs that the cache or runs which are kept need; those may need others."""
    users = find_all_users(root) if selected else {}
    needed: dict[RunId, NeededRun] = {}
    while True:
        more = {
            run: NeededRun(run, kept, len(entries.get(run, ())))
            for run in selected
            if run not in needed
            and (
                (kept := tuple(sorted(user for user in users.get(run, ()) if user not in selected or user in needed)))
                or run in entries
            )
        }
        if not more:
            return needed
        needed.update(more)


def _entries_by_run(entries: Sequence[StoredEntry], root: Path) -> dict[RunId, list[StoredEntry]]:
    """Return the entries of a cache by the runs below a root whose folders have their artifacts."""
    by_run: dict[RunId, list[StoredEntry]] = {}
    prefix = os.path.join(str(root), "")
    for each in entries:
        locations = [artifact.location for artifact in find_artifacts(each.entry.outputs.values())]
        for run in {path[len(prefix) :].partition("/")[0] for path in locations if path.startswith(prefix)}:
            by_run.setdefault(run, []).append(each)
    return by_run


def _dead_entries(
    entries: Sequence[StoredEntry], by_run: Mapping[RunId, Sequence[StoredEntry]], pruned: Collection[RunId]
) -> Iterator[UnusedEntry]:
    keys = {each.key for run in pruned for each in by_run.get(run, ())}
    for each in entries:
        if each.key in keys or _lacks_payload(each):
            yield UnusedEntry(each.key, each.entry.origin)


def _lacks_payload(stored: StoredEntry) -> bool:
    """Return whether a file that had a checksum when the entry was stored is missing."""
    return any(
        artifact.checksum is not None and not is_remote(artifact.location) and not os.path.lexists(artifact.location)
        for artifact in find_artifacts(stored.entry.outputs.values())
    )


def select_venvs(older_than: float) -> tuple[StoredVenv, ...]:
    """Return the environments that nobody has used for so many seconds, and the incomplete ones."""
    return unused_venvs(list_venvs(venvs_folder(), DiskUsage()), older_than)


def unused_venvs(venvs: Iterable[StoredVenv], older_than: float) -> tuple[StoredVenv, ...]:
    """Return those of some environments that nobody has used for so many seconds, and the incomplete ones."""
    limit = time.time() - older_than
    return tuple(each for each in venvs if each.used < limit or not each.is_complete)


def select_images(older_than: float) -> tuple[StoredImage, ...]:
    """Return the derived images that nobody has used for so many seconds.

    Raises:
        RunnerError: if there is no container engine, or it does not answer.
    """
    if not may_have_engine():
        raise RunnerError("There is no container engine on this machine, so there are no images to prune.")
    limit = time.time() - older_than
    with connected() as client:
        return tuple(each for each in list_images(client, marks_folder()) if each.used < limit)


def venvs_folder() -> Path:
    """Return the folder of the environments of all pipeline roots."""
    return Path(cache_folder(), "envs")


def marks_folder() -> Path:
    """Return the folder in which runners mark the derived images that they use."""
    return Path(cache_folder(), "images")


def prune_runs(pruning: Pruning, kubernetes: str | None = None) -> Iterator[DeletedRun]:
    """Delete cache entries, then runs, and yield each run when it is deleted.

    Runs that others have begun to use since they were selected, or that a process drives now, are left.

    Args:
        pruning: what is deleted.
        kubernetes: the objects with credentials of object stores that the environment does not have.

    Raises:
        StorageError: if the run store, the cache or a folder cannot be written.
    """
    remove_remains(pruning.root)
    delete_entries(pruning.cache, [each.key for each in pruning.entries])
    selected = {run.id: run for run in pruning.runs}
    needed = _find_needed(pruning.root, selected, {})
    listed = {row.id for row in run_rows(pruning.root)} if selected else set()
    for run in selected:
        if run in listed and run not in needed:
            try:
                yield delete_unused(pruning.root, run, kubernetes)
            except RunIsActive:
                continue  # it was resumed meanwhile


def prune_venvs(pruning: Pruning) -> Iterator[tuple[StoredVenv, bool]]:
    """Remove environments, and yield each with whether it was removed: others are in use."""
    for venv in pruning.venvs:
        yield venv, remove_venv(venv.folder)


def prune_images(pruning: Pruning) -> Iterator[tuple[StoredImage, bool]]:
    """Remove images, and yield each with whether it was removed: others are in use.

    Raises:
        RunnerError: if the container engine does not answer.
    """
    if not pruning.images:
        return
    with connected() as client:
        for image in pruning.images:
            yield image, remove_image(client, image, marks_folder())
