"""Checks of the folders that runs write to: space, permissions, file systems, locks, clocks."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from standpipe.doctor.answers import Answer, Surroundings, ok, problem, warning
from standpipe.errors import StorageError
from standpipe.model.resources import format_memory
from standpipe.store.cache import CacheIndex
from standpipe.store.locks import RunLock
from standpipe.support.locks import open_for_locking, try_lock, unlock
from standpipe.support.system_files import read_text

#: The bytes and the files that a folder should have left: those of an environment with large libraries.
_SPACE = 5 * 1024**3
_FILES = 50_000

#: File systems of other machines, on which locks and SQLite are slow, or do not work between machines.
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "fuse.sshfs", "fuse.gcsfuse", "fuse.s3fs", "glusterfs")

#: The seconds by which the clock of a file system may differ: some keep times to two seconds.
_CLOCK_SKEW = 3.0


def nearest_folder(path: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next((each for each in (path, *path.parents) if each.is_dir()), Path("/"))


def check_root(surroundings: Surroundings) -> Answer:
    """Check the pipeline root: runs and their artifacts are written there."""
    return _check_folder(surroundings.root, "Choose another folder with --root FOLDER.")


def check_cache(surroundings: Surroundings) -> Answer:
    """Check the folder of environments."""
    return _check_folder(surroundings.cache, "Choose another folder with the variable STANDPIPE_CACHE.")


def check_temporary(_: Surroundings) -> Answer:
    """Check the folder for temporary files, which the libraries of tasks use."""
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        return problem(error.strerror or str(error), "Set TMPDIR to a folder that you may write to.")
    return _check_folder(folder, "Choose another folder with the variable TMPDIR.")


def check_locks(surroundings: Surroundings) -> Answer:
    """Lock files, and write a database, where runs and environments do."""
    for path in (surroundings.root, surroundings.cache):
        folder = nearest_folder(path)
        try:
            _try_locks(folder)
        except (OSError, StorageError) as error:
            return problem(
                f"files in {folder} cannot be locked, or hold no database: {_first_sentence(error)}",
                "Choose folders on a local disk, with --root FOLDER and the variable STANDPIPE_CACHE.",
            )
    remote = list(_remote_folders(surroundings))
    if remote:
        return warning(
            f"{' and '.join(remote)}: locks work here, but SQLite is slow there, and not safe if several machines "
            "use the same pipeline root",
            "Use a local disk, with --root FOLDER and STANDPIPE_CACHE, or run from one machine only.",
        )
    return ok("files can be locked, and SQLite works, in the pipeline root and the cache folder")


def check_clock(surroundings: Surroundings) -> Answer:
    """Compare the clock of this machine with that of the pipeline root's file system."""
    folder = nearest_folder(surroundings.root)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
            file.flush()
            skew = os.fstat(file.fileno()).st_mtime - time.time()
    except OSError as error:
        return warning(f"not checked: {folder} cannot be written: {error.strerror}", "Choose another --root FOLDER.")
    if abs(skew) > _CLOCK_SKEW:
        return warning(
            f"the file system of {folder} is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}",
            "Synchronize the clocks of both machines (for instance: sudo timedatectl set-ntp true).",
        )
    return ok(f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}, as in the pipeline root")


def _check_folder(path: Path, alternative: str) -> Answer:
    folder = nearest_folder(path)
    missing = "" if folder == path else ", which does not exist yet"
    if path.exists() and folder != path:
        return problem(f"{path} is not a folder", alternative)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
            file.flush()
    except OSError as error:
        return problem(f"{folder} cannot be written: {error.strerror}", alternative)
    free, files = shutil.disk_usage(folder).free, _free_files(folder)
    detail = f"{path}{missing}: {format_memory(free)} free"
    if free < _SPACE:
        return warning(detail, f"Free some space: `standpipe prune` removes old runs and environments. {alternative}")
    if files is not None and files < _FILES:
        return warning(f"{detail}, but only {files:,} more files", f"Remove some files. {alternative}")
    return ok(detail)


def _free_files(folder: Path) -> int | None:
    """Return how many files a file system has left for this user; None if it has no limit."""
    status = os.statvfs(folder)
    return status.f_favail if status.f_files else None


def _try_locks(folder: Path) -> None:
    """Do what runs and builds do.

    Raises:
        OSError: if the file system has no locks.
        StorageError: if it has no locks, or SQLite does not work there.
    """
    with tempfile.TemporaryDirectory(prefix=".standpipe-doctor-", dir=folder) as name:
        draft = Path(name)
        file = open_for_locking(partial(os.open, draft / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            try_lock(file.number)
        finally:
            unlock(file)
        run = draft / "run"
        run.mkdir()
        with RunLock(run):
            pass
        index = CacheIndex(draft)
        index.find("doctor")
        index.close()


def _remote_folders(surroundings: Surroundings) -> Iterator[str]:
    for path in dict.fromkeys((surroundings.root, surroundings.cache)):
        kind = file_system(nearest_folder(path))
        if kind in _REMOTE:
            yield f"{path} is on a file system of another machine ({kind})"


def file_system(folder: Path, proc: Path = Path("/proc")) -> str:
    """Return the kind of the file system of a folder; empty if the system does not say."""
    real, longest, kind = os.path.realpath(folder), "", ""
    for line in read_text(proc / "self" / "mountinfo").splitlines():
        fields, _, system = line.partition(" - ")
        point = fields.split()[4].replace("\\040", " ")
        if os.path.join(real, "").startswith(os.path.join(point, "")) and len(point) >= len(longest):
            longest, kind = point, system.split()[0]
    return kind


def _first_sentence(error: Exception) -> str:
    return str(error).splitlines()[0]
