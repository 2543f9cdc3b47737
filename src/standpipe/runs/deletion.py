"""Deleting runs: what the run store has of them, and their folders.

A process that dies meanwhile leaves either a run that is listed, or a folder in `.deleted` that names what is left to
remove; the next deletion removes it:

1. `.deleted/<run id>` is created: the run is about to be deleted.
2. The run store deletes the run, in one transaction.
3. The folder of the run is moved into `.deleted/<run id>`, and that is removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from standpipe.errors import StorageError
from standpipe.model.layout import StateLayout
from standpipe.model.refs import RunId
from standpipe.store.deletion import delete_run, find_users
from standpipe.store.locks import RunLock
from standpipe.store.reading import RunRow, run_row, run_rows
from standpipe.support.untrusted_files import ensure_folder, open_parent, remove_entry
from standpipe.support.untrusted_folders import visit_folders

#: What the folder of a run has in `.deleted/<run id>`.
_MOVED = "run"

#: The ids of runs end like this. Tasks may have put other names into `.deleted`.
_RUN_ID = re.compile(r".*-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{6}", re.DOTALL)

_BLOCK = 512  # bytes, the unit of `st_blocks`


class RunIsUsed(StorageError):
    """Other runs use artifacts of a run."""


class DeletedRun(NamedTuple):
    """A run that was deleted.

    `size` is the number of bytes on the disk that its folder had. `remains` is the folder with what could not be
    removed, None if everything was.
    """

    id: RunId
    size: int
    remains: Path | None


def delete_runs(pipeline_root: Path, names: Sequence[str], *, force: bool = False) -> Iterator[DeletedRun]:
    """Delete runs, and yield each when it is deleted. Nothing is deleted if one of them cannot be.

    Args:
        pipeline_root: the folder of the runs.
        names: the ids of the runs, or unique beginnings of them, or `latest`.
        force: whether runs are deleted whose artifacts other runs use.

    Raises:
        NoSuchRun: if there is no such run, or several ids begin so.
        RunIsActive: if a process drives one of them.
        RunIsUsed: if runs that are not deleted use artifacts of one of them.
        StorageError: if the run store or a folder cannot be written.
    """
    _remove_remains(pipeline_root)
    rows = {row.id: row for row in [run_row(pipeline_root, name) for name in names]}
    for run in rows:
        with _locked(StateLayout(pipeline_root).run_folder(run)):
            pass  # no process drives it
        if not force:
            _check_users(pipeline_root, run, rows)
    return (_delete(pipeline_root, row) for row in rows.values())


def folder_size(folder: Path) -> int:
    """Return the number of bytes on the disk that a folder and all that is in it have; 0 if it is missing."""
    total = 0

    def enter(descriptor: int) -> list[str]:
        nonlocal total
        folders = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with suppress(OSError):  # it was removed meanwhile
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
        return folders

    with suppress(OSError), open_parent(folder, folder.parent) as (parent, name):
        visit_folders(name, parent, enter, lambda name, parent: None)
    return total


def _delete(root: Path, row: RunRow) -> DeletedRun:
    layout = StateLayout(root)
    folder, bin_folder = layout.run_folder(row.id), layout.deleted / row.id
    with _locked(folder), _explained(folder):
        ensure_folder(layout.deleted, root, 0o700)
        ensure_folder(bin_folder, root, 0o700)
        size = folder_size(folder)
        delete_run(root, row.id)
        _move(folder, root)
    return DeletedRun(row.id, size, None if _remove(bin_folder, root) else bin_folder)


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


def _remove_remains(root: Path) -> None:
    """Remove what deletions have left that were killed. Runs that are listed stay: these were not deleted."""
    layout = StateLayout(root)
    try:
        left = [name for name in os.listdir(layout.deleted) if _RUN_ID.fullmatch(name)]
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
