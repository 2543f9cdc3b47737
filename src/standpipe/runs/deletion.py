"""Deleting runs: what the run store has of them, and their folders.

A process that dies meanwhile leaves either a run that is listed, or a folder in `.deleted` that names what is left to
remove; the next deletion removes it:

1. `.deleted/<run id>` is created: the run is about to be deleted.
2. The run store deletes the run, in one transaction.
3. The folder of the run is moved into `.deleted/<run id>`, and that is removed.

The first two need space. On a full disk the contents of the folder are removed before them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from standpipe.artifact_stores.routing import delete_payloads
from standpipe.errors import StorageError
from standpipe.model.layout import LOCK_FILE, StateLayout
from standpipe.model.refs import RunId
from standpipe.runs.credentials import find_providers
from standpipe.store.deletion import delete_run, find_users
from standpipe.store.locks import RunLock
from standpipe.store.reading import RunRow, artifact_root, run_row, run_rows
from standpipe.support.disk_usage import folder_size
from standpipe.support.untrusted_files import ensure_folder, open_parent, remove_entry

if TYPE_CHECKING:
    from standpipe.pods.provisions import Source

#: What the folder of a run has in `.deleted/<run id>`.
_MOVED = "run"

#: A disk with fewer free bytes is full: the run store may not be able to delete a run.
_FREE = 4 * 1024**2

#: The ids of runs end like this. Tasks may have put other names into `.deleted`.
RUN_ID = re.compile(r".*-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{6}", re.DOTALL)


class RunIsUsed(StorageError):
    """Other runs use artifacts of a run."""


class DeletedRun(NamedTuple):
    """A run that was deleted.

    `size` is the number of bytes on the disk that its folder had. `remains` is the folder with what could not be
    removed, None if everything was. `remote` is the URI below which artifacts of it are left, with the reason; empty if
    none are.
    """

    id: RunId
    size: int
    remains: Path | None
    remote: str = ""


def delete_runs(
    pipeline_root: Path, names: Sequence[str], *, force: bool = False, kubernetes: Source = None
) -> Iterator[DeletedRun]:
    """Delete runs, and yield each when it is deleted. Nothing is deleted if one of them cannot be.

    Args:
        pipeline_root: the folder of the runs.
        names: the runs, each as `run_row` takes it: of the name of a pipeline, only the newest run is deleted.
        force: whether runs are deleted whose artifacts other runs use.
        kubernetes: the objects with credentials of object stores that the environment does not have.

    Raises:
        NoSuchRun: if there is no such run, or several ids begin so.
        RunIsActive: if a process drives one of them.
        RunIsUsed: if runs that are not deleted use artifacts of one of them.
        StorageError: if the run store or a folder cannot be written.
    """
    remove_remains(pipeline_root)
    rows = {row.id: row for row in [run_row(pipeline_root, name) for name in names]}
    for run in rows:
        with _locked(StateLayout(pipeline_root).run_folder(run)):
            pass  # no process drives it
        if not force:
            _check_users(pipeline_root, run, rows)
    return (delete_unused(pipeline_root, run, kubernetes) for run in rows)


def delete_unused(root: Path, run: RunId, kubernetes: Source = None) -> DeletedRun:
    """Delete a run that no other run uses, as the caller knows, or whose users may miss it; see `delete_runs`.

    Raises:
        RunIsActive: if a process drives it.
        StorageError: if the run store or its folder cannot be written.
    """
    folder = StateLayout(root).run_folder(run)
    with _locked(folder), _explained(folder):
        size = folder_size(folder)
        remote = _delete_remote(root, run, kubernetes)
        try:
            remains = _delete(root, run)
        except (StorageError, OSError):
            if shutil.disk_usage(root).free >= _FREE:
                raise
            _empty(folder, root)
            remains = _delete(root, run)
        _move(folder, root)
    return DeletedRun(run, size, None if _remove(remains, root) else remains, remote)


def _delete(root: Path, run: RunId) -> Path:
    """Delete a run from the run store; return the folder that names what is left to remove."""
    deleted = StateLayout(root).deleted
    ensure_folder(deleted, root, 0o700)
    ensure_folder(deleted / run, root, 0o700)
    delete_run(root, run)
    return deleted / run


def _delete_remote(root: Path, run: RunId, kubernetes: Source) -> str:
    """Delete the payloads of a run in an object store; return where some are left, and why."""
    uri = artifact_root(root, run)
    if not uri:
        return ""
    try:
        delete_payloads(f"{uri}/{run}", partial(find_providers, kubernetes))
    except StorageError as error:
        return f"{uri}/{run} ({error})"
    return ""


def _empty(folder: Path, root: Path) -> None:
    """Remove what is in the folder of a run, but not its lock."""
    with suppress(FileNotFoundError):
        for name in [each for each in os.listdir(folder) if each != LOCK_FILE]:
            _remove(folder / name, root)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run, so that nothing resumes it meanwhile. A run whose folder was removed has none."""
    with RunLock(folder) if folder.is_dir() else nullcontext():
        yield


def _check_users(root: Path, run: RunId, deleted: dict[RunId, RunRow]) -> None:
    users = [user for user in find_users(root, run) if user not in deleted]
    if users:
        raise RunIsUsed(
            f"Run {run} was not deleted: other runs use its artifacts or cached outputs: {', '.join(users)}. Delete "
            f"these as well, or use --force: then their artifacts that are in {StateLayout(root).run_folder(run)} are "
            "missing."
        )


def _move(folder: Path, root: Path) -> None:
    """Move the folder of a run that was deleted to what is left to remove; if it is missing, do nothing."""
    target = StateLayout(root).deleted / folder.name / _MOVED
    with (
        suppress(FileNotFoundError),
        open_parent(folder, root) as (source_folder, source),
        open_parent(target, root) as (target_folder, name),
    ):
        os.rename(source, name, src_dir_fd=source_folder, dst_dir_fd=target_folder)


def _remove(folder: Path, root: Path) -> bool:
    """Remove a folder; return whether nothing of it is left."""
    with suppress(OSError), open_parent(folder, root) as (parent, name):
        remove_entry(name, parent)
    return not os.path.lexists(folder)


def remove_remains(root: Path) -> None:
    """Remove what deletions have left that were killed. Runs that are listed stay: these were not deleted."""
    layout = StateLayout(root)
    try:
        left = [name for name in os.listdir(layout.deleted) if RUN_ID.fullmatch(name)]
    except OSError:
        return
    listed = {row.id for row in run_rows(root)} if left else set()
    for name in left:
        if name not in listed:
            with suppress(OSError):
                _move(layout.run_folder(name), root)
            _remove(layout.deleted / name, root)
    with suppress(OSError):
        os.rmdir(layout.deleted)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Raise errors of the system as errors that say what to do."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"The run in {folder} cannot be deleted: {error.strerror} ({error.filename}). Check that you may write to "
            "the pipeline root and to the folder."
        ) from error
