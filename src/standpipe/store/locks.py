"""The lock of a run: a file in the run's folder that is locked while a process executes the run.

The system releases the lock when the process ends, in whatever way, so the lock tells an active run from one whose
process was killed. Another process requests the cancellation of the run by a file in the same folder.
"""

from __future__ import annotations

import errno
import os
import time
from functools import partial
from pathlib import Path
from types import TracebackType

from standpipe.errors import StorageError
from standpipe.model.layout import IN_PROGRESS_FILE, LOCK_FILE, PULLED_FOLDER, STOP_FILE
from standpipe.store.database import NO_LOCKS
from standpipe.support.forking import Descriptor
from standpipe.support.locks import is_file_at, open_for_locking, try_lock, unlock
from standpipe.support.untrusted_files import UntrustedFileError, open_or_create, open_parent, read_file, remove_path

_LOCK = LOCK_FILE
_REQUEST = STOP_FILE

#: The longest time that `is_active` holds the lock on a busy machine, in seconds.
_CHECK_TIME = 0.1

#: The most bytes of the lock's file: the id of a process.
_MAX_PID = 32

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class RunIsActive(StorageError):
    """Another process or thread executes this run."""


class RunLock:
    """Holds the lock of a run for the duration of a `with` block.

    Args:
        folder: the folder of the run.

    Raises:
        RunIsActive: on entry, if another process or thread holds the lock.
        StorageError: on entry, if the folder cannot be written, or its file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LOCK
        self._file = Descriptor(-1)

    def __enter__(self) -> RunLock:
        patience_ends = time.monotonic() + _CHECK_TIME
        try:
            while not self._acquire(patience_ends):
                pass  # the file was removed since, or `is_active` held the lock
        except BlockingIOError as error:
            raise RunIsActive(
                f"Run {self._path.parent.name} is still active, in {_owner(self._path)}. Wait until it has "
                "ended, or cancel it: local.get_run(...).cancel(), or `standpipe cancel`."
            ) from error
        except OSError as error:
            raise StorageError(f"The run in {self._path.parent} cannot be locked: {_reason(error)}.") from error
        _remove_request(self._path.parent)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._file.number < 0:
            return  # a forked child, which leaves the `with` block of its parent; the parent holds the lock
        _remove_request(self._path.parent)
        remove_path(self._path, self._path.parent.parent)
        unlock(self._file)

    def _acquire(self, patience_ends: float) -> bool:
        """Lock the file; return whether it is locked and still at its path."""
        file = open_for_locking(partial(open_or_create, self._path, self._path.parent.parent))
        try:
            if not try_lock(file.number):
                if time.monotonic() > patience_ends:
                    raise BlockingIOError
                time.sleep(_CHECK_TIME / 50)
                return False
            is_current = is_file_at(file.number, self._path)
            if is_current:
                _write_owner(file.number)
                self._file = file
        finally:
            if self._file is not file:
                unlock(file)
        return is_current


def is_active(folder: Path) -> bool:
    """Return whether a process executes the run in a folder, this one or another."""
    try:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = open_for_locking(partial(os.open, folder / _LOCK, flags))
    except OSError:
        return False  # it was not created, or removed since, or a task has put something else there
    try:
        return not try_lock(file.number, shared=True)  # so that two checks do not take each other for the run
    finally:
        unlock(file)


def is_in_progress(folder: Path) -> bool:
    """Return whether a process executes the run in a folder, or another system does, as far as this machine knows."""
    return is_active(folder) or is_pulled_in_progress(folder)


def is_pulled_in_progress(folder: Path) -> bool:
    """Return whether the run in a folder was pulled from another system before it ended there."""
    return os.path.lexists(folder / PULLED_FOLDER / IN_PROGRESS_FILE)


def ask_to_stop(folder: Path) -> None:
    """Request the cancellation of the run in a folder from the process that executes it.

    Raises:
        StorageError: if the folder cannot be written.
    """
    try:
        os.close(open_or_create(folder / _REQUEST, folder.parent))
    except UntrustedFileError as error:
        raise StorageError(f"The run in {folder} cannot be cancelled: {error} Remove it.") from error
    except OSError as error:
        raise StorageError(
            f"The run in {folder} cannot be cancelled: {error.strerror} ({error.filename}). Check that the folder "
            "exists and that you may write to it."
        ) from error


def was_asked_to_stop(folder: Path) -> bool:
    """Remove a request to cancel the run in a folder; return whether there was one. A second request is a new file."""
    try:
        with open_parent(folder / _REQUEST, folder.parent) as (descriptor, name):
            os.unlink(name, dir_fd=descriptor)
    except OSError:
        return False  # there is none, or the folder was removed
    return True


def _remove_request(folder: Path) -> None:
    remove_path(folder / _REQUEST, folder.parent)


def _write_owner(file: int) -> None:
    """Write the id of this process, which is only for messages: so a full disk, which deletion frees, does without."""
    os.ftruncate(file, 0)
    try:
        os.write(file, str(os.getpid()).encode())
    except OSError as error:
        if error.errno not in _FULL_DISK:
            raise


def _owner(path: Path) -> str:
    try:
        pid = read_file(path, path.parent.parent, _MAX_PID).decode("ascii", "replace")
    except OSError:
        return "a process that has just ended"
    return f"process {pid}" if pid else "a process that has just started"


def _reason(error: OSError) -> str:
    if isinstance(error, UntrustedFileError):
        return f"{error} Remove it"
    if error.errno in NO_LOCKS:
        return (
            f"its file system has no locks ({error.strerror}), so two processes could execute the same run. Choose a "
            "pipeline root on another file system: local.init(..., pipeline_root=...)"
        )
    file = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror}{file}. Check that the folder exists and that you may write to it"
