"""Whose run it is: a file in the run's folder that is locked for as long as the run goes on.

The lock goes with the process that holds it, however that ends, so it tells a run that goes on from one whose process
was killed. The same folder takes the wish of another process that the run should stop.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from weakref import WeakSet

from standpipe.errors import StorageError
from standpipe.store.database import NO_LOCKS

_LOCK = ".running"
_WISH = ".stop"

#: Seconds that somebody may hold the file who only looks whether the run goes on (`is_active`), on a busy machine.
_GLANCE = 0.1


class RunIsActive(StorageError):
    """Another process, or another thread, is at this run."""


class RunLock:
    """Holds a run, from `with` to its end.

    Args:
        folder: the run's own.

    Raises:
        RunIsActive: on entering, if somebody else holds it.
        StorageError: on entering, if the folder cannot be written, or its file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LOCK
        self._file = -1
        _held.add(self)

    def __enter__(self) -> RunLock:
        patience_ends = time.monotonic() + _GLANCE
        try:
            while not self._locked(patience_ends):
                pass  # whoever had it has removed the file in the meantime, or may only have looked at it
        except BlockingIOError as error:
            raise RunIsActive(
                f"Run {self._path.parent.name} is still going on, in the process {_owner(self._path)}. Wait for its "
                "end, or stop it: local.get_run(...).cancel(), or `standpipe cancel`."
            ) from error
        except OSError as error:
            raise StorageError(f"The run in {self._path.parent} cannot be locked: {_why(error)}") from error
        _forget_wish(self._path.parent)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        _forget_wish(self._path.parent)
        self._path.unlink(missing_ok=True)
        self.let_go()

    def let_go(self) -> None:
        """Closes the file. In a process that was forked, that leaves the lock to the one that it was forked from."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _locked(self, patience_ends: float) -> bool:
        """Locks the file; returns whether it could, and it is still the one that everybody finds."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(file, exclusively=True)
            is_current = _same(file, self._path)
            if is_current:
                os.ftruncate(file, 0)
                os.write(file, str(os.getpid()).encode())
                self._file = file
        except BlockingIOError:
            if time.monotonic() > patience_ends:
                raise
            time.sleep(_GLANCE / 50)
            return False
        finally:
            if self._file != file:
                os.close(file)
        return is_current


_held: WeakSet[RunLock] = WeakSet()


def is_active(folder: Path) -> bool:
    """Whether the run in a folder goes on, here or in another process."""
    try:
        file = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # nobody made one, or whoever did has removed it
    try:
        _lock(file, exclusively=False)  # so that who looks does not take another one who looks for the run
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def ask_to_stop(folder: Path) -> None:
    """Leaves the wish that the run in a folder should stop, for whoever drives it.

    Raises:
        StorageError: if the folder cannot be written.
    """
    try:
        (folder / _WISH).touch()
    except OSError as error:
        raise StorageError(f"The run in {folder} cannot be asked to stop: {error.strerror}") from error


def was_asked_to_stop(folder: Path) -> bool:
    """Takes the wish that the run in a folder should stop, if there is one; whoever repeats it leaves another."""
    try:
        (folder / _WISH).unlink()
    except OSError:
        return False  # there is none, or the folder is gone
    return True


def _forget_wish(folder: Path) -> None:
    (folder / _WISH).unlink(missing_ok=True)


def _lock(file: int, *, exclusively: bool) -> None:
    try:
        import fcntl  # there is none on Windows
    except ImportError:
        return
    fcntl.flock(file, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)


def _same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path) -> str:
    try:
        return path.read_text() or "that has just begun"
    except OSError:
        return "that has just ended"


def _why(error: OSError) -> str:
    if error.errno in NO_LOCKS:
        return (
            f"its file system has no locks ({error.strerror}), so that two processes could take the same run. Choose a "
            "pipeline root on another one: local.init(..., pipeline_root=...)"
        )
    return f"{error.strerror} ({error.filename})"


def _after_fork_in_child() -> None:
    for lock in list(_held):
        lock.let_go()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
