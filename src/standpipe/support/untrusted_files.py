"""Files below a folder that tasks can write to: opened as what they must be, and never through a link.

Tasks can put anything below the root of their run, at any time: links, FIFOs, devices, files without an end. The way
from the root to a path is therefore opened folder by folder, each below the descriptor of the one before it, without
following links. That is `openat2` with `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`, on every POSIX system. The root
itself, and what is above it, belongs to the user: links there are followed.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Union

from standpipe.errors import StorageError
from standpipe.model.resources import format_memory
from standpipe.support.paths import real_path
from standpipe.support.untrusted_folders import OPEN_FOLDER, change_mode, visit_folders

#: The most bytes that are read of one file. A run store has no room for more than 10^9 bytes in one value, and JSON
#: text takes several times its size in memory. Twice over, it holds the largest values that are in use (100 MB).
MAX_BYTES = 512 * 1024 * 1024

#: What opens the root, a folder below it, and a file. Without `O_NONBLOCK`, opening a FIFO waits for a writer.
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

#: What must not be a step of a path.
_NO_NAMES = frozenset(("", ".", ".."))

_KINDS = {
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


#: A path, as text or as an object.
StrPath = Union[str, "os.PathLike[str]"]


class UntrustedFileError(StorageError):
    """Something below a run's root is not what it must be; a task probably made it so. It was not used."""


def read_file(path: StrPath, root: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file. It never waits: a file that grows meanwhile is read up to its size before.

    Args:
        path: the file, below `root`.
        root: the folder below which no link is followed.
        limit: the most bytes that the file may have.

    Raises:
        FileNotFoundError: if nothing is there.
        UntrustedFileError: if there is something else or too much, or a link is on the way.
        OSError: if it cannot be read.
    """
    file = open_below(path, root)
    try:
        size = os.fstat(file).st_size
        if size > limit:
            raise UntrustedFileError(f"{path} has {format_memory(size)}: expected at most {format_memory(limit)}.")
        content = os.read(file, size)
        while len(content) < size and (more := os.read(file, size - len(content))):
            content += more
    except OSError as error:
        raise _named(error, path) from None
    else:
        return content
    finally:
        os.close(file)


def open_below(path: StrPath, root: Path) -> int:
    """Open a regular file below a folder for reading, without waiting, and return its descriptor.

    Args:
        path: the file, below `root`.
        root: the folder below which no link is followed.

    Raises:
        UntrustedFileError: if there is something else, or a link is on the way.
        OSError: if it is missing, or cannot be read.
    """
    folder, name = _open_parent(path, root)
    try:
        return _open_regular(name, folder, path)
    except OSError as error:
        raise _named(error, path) from None
    finally:
        os.close(folder)


def open_regular(path: str) -> int:
    """Open a regular file for reading, without waiting, and return its descriptor.

    Args:
        path: its path. Links on the way are followed; it must not be one itself.

    Raises:
        UntrustedFileError: if there is something else. Devices are not opened, as that alone may have an effect.
        OSError: if it is missing, or cannot be read.
    """
    return _open_regular(path, None, path)


def _open_regular(name: str, folder: int | None, shown: object) -> int:
    _check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), shown)
    try:
        file = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        raise _explain(error, name, folder, shown, "a regular file") from None
    try:
        _check_regular(os.fstat(file), shown)  # a task may have replaced it since
    except BaseException:
        os.close(file)
        raise
    return file


def create_file(path: Path, root: Path, mode: int = 0o666) -> int:
    """Create a file for reading and writing, and return its descriptor.

    Args:
        path: the file, below `root`, in a folder that exists.
        root: the folder below which no link is followed.
        mode: its permissions, as far as the umask allows them.

    Raises:
        UntrustedFileError: if there is something already, or a link is on the way.
        OSError: if it cannot be created.
    """
    folder, name = _open_parent(path, root)
    try:
        return create_file_in(folder, name, path, mode)
    finally:
        os.close(folder)


def create_file_in(folder: int, name: str, path: Path, mode: int = 0o666) -> int:
    """Create a file in an open folder for reading and writing, and return its descriptor; see `create_file`.

    Args:
        folder: the descriptor of the folder.
        name: the name of the file.
        path: its path, which errors name.
        mode: its permissions, as far as the umask allows them.
    """
    try:
        return os.open(name, _NEW_FILE, mode, dir_fd=folder)
    except FileExistsError:
        raise UntrustedFileError(_exists(path)) from None
    except OSError as error:
        raise _named(error, path) from None


def open_or_create(path: Path, root: Path) -> int:
    """Open a regular file for reading and writing, created if it is missing, and return its descriptor.

    Raises:
        UntrustedFileError: if there is something else, or a link is on the way.
        OSError: if it cannot be opened or created.
    """
    with open_parent(path, root) as (folder, name), _names(path):
        try:
            file = os.open(name, _NEW_FILE & ~os.O_EXCL | os.O_NONBLOCK, 0o666, dir_fd=folder)
        except OSError as error:
            raise _explain(error, name, folder, path, "a regular file") from None
        try:
            _check_regular(os.fstat(file), path)
        except BaseException:
            os.close(file)
            raise
    return file


@contextmanager
def open_parent(path: Path, root: Path, *, create: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder that a path is in for the length of a block; yield its descriptor and the name in it.

    Args:
        path: a path below `root`; it need not exist.
        root: the folder below which no link is followed.
        create: whether missing folders are created, the root included.

    Raises:
        FileNotFoundError: if a folder is missing.
        UntrustedFileError: if there is a link on the way, or no folder.
        OSError: if a folder cannot be opened or created.
    """
    descriptor, name = _open_parent(path, root, create=create)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


@contextmanager
def open_folder(path: Path, root: Path) -> Iterator[int]:
    """Open a folder, which is `root` or below it, for the length of a block; errors are those of `open_parent`."""
    top = os.fspath(root)
    descriptor = _open_below(top, () if path == root else _steps(os.fspath(path), top))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def ensure_folder(folder: Path, root: Path, mode: int | None = None) -> None:
    """Create a folder below `root`, and its missing parents, unless it exists.

    Args:
        folder: the folder.
        root: the folder below which no link is followed.
        mode: the permissions of a new one, whatever the umask; None for those that the umask gives.

    Raises:
        UntrustedFileError: if there is something else, or a link is on the way.
        OSError: if it cannot be created.
    """
    with open_parent(folder, root, create=True) as (parent, name), _names(folder):
        is_new = True
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:
            is_new = False
        try:
            descriptor = os.open(name, OPEN_FOLDER, dir_fd=parent)
        except OSError as error:
            raise _explain(error, name, parent, folder, "a folder") from None
        try:
            if is_new and mode is not None:
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def check_payload(path: str) -> None:
    """Raise an error if there is something at a path that has no content.

    Raises:
        UntrustedFileError: if it is a FIFO, a socket or a device.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # a task that leaves no payload succeeds
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UntrustedFileError(_unexpected(path, stat.S_IFMT(mode), "a file or a folder"))


def resolve_within(path: Path, root: Path) -> tuple[Path, Path]:
    """Return a path and its root without links, for folders in which links that stay below the root are welcome.

    What is done with the result follows no link, so that one that a task makes meanwhile is an error.

    Args:
        path: a path below `root`; it need not exist.
        root: the folder.

    Raises:
        UntrustedFileError: if links lead out of `root`.
        OSError: if the system does not follow so many links.
    """
    real, real_root = Path(real_path(path)), Path(os.path.realpath(root))
    if not real.is_relative_to(real_root):
        raise UntrustedFileError(
            f"Cannot write to {path}: a symbolic link, which a task probably created, leads out of {root} to {real}. "
            "Nothing was written. Remove the link."
        )
    return real, real_root


def write_atomically(target: Path, root: Path, mode: int, write: Callable[[BinaryIO], object]) -> None:
    """Write a file, which replaces `target` in one step, because other tasks may be reading it.

    Args:
        target: a path below `root`; its missing parents are created.
        root: the folder that no link may lead out of.
        mode: the permissions that its owner gets, as `0o600`. All others get the same, as far as the umask allows it.
        write: called with a temporary file, which it fills.

    Raises:
        UntrustedFileError: if links lead out of `root`.
        OSError: if the file cannot be written.
    """
    owner = mode & stat.S_IRWXU
    parent, real_root = resolve_within(target.parent, root)
    with open_parent(parent / target.name, real_root, create=True) as (folder, name), _names(target):
        partial = f".partial-{uuid.uuid4().hex}"
        with os.fdopen(os.open(partial, _NEW_FILE, 0o777, dir_fd=folder), "wb") as file:
            try:
                allowed = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                write(file)
                file.flush()
                os.fchmod(file.fileno(), (owner | owner >> 3 | owner >> 6) & allowed)
                os.replace(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(FileNotFoundError):  # the run may have been removed, which is not the error to report
                    os.unlink(partial, dir_fd=folder)
                raise


def remove_path(path: Path, root: Path) -> None:
    """Remove a file, a link, or a folder with its contents. What cannot be removed stays.

    Args:
        path: what is removed, below `root`.
        root: the folder below which no link is followed. If a task has replaced a folder on the way, nothing happens.
    """
    with suppress(OSError), open_parent(path, root) as (folder, name):  # missing, or of the user of a container
        remove_entry(name, folder)


def remove_entry(name: str, folder: int) -> None:
    """Remove a file, a link, or a folder with its contents, as far as possible.

    Args:
        name: its name.
        folder: the descriptor of the folder that it is in.

    Raises:
        OSError: if it is missing, or could not be removed.
    """
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        change_mode(name, folder, lambda mode: mode | stat.S_IRWXU)
        visit_folders(name, folder, _remove_files, _remove_folder)
        os.rmdir(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _remove_files(folder: int) -> list[str]:
    """Remove everything in an open folder but its folders, and return their names."""
    with os.scandir(folder) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in names:
        if is_folder:
            change_mode(name, folder, lambda mode: mode | stat.S_IRWXU)  # a task may have closed it
        else:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in names if is_folder]


def _remove_folder(name: str, parent: int) -> None:
    with suppress(OSError):
        os.rmdir(name, dir_fd=parent)


def _open_parent(path: StrPath, root: Path, *, create: bool = False) -> tuple[int, str]:
    """Return the descriptor of the folder that a path is in, and the name in it."""
    top = os.fspath(root)  # once, as it costs as much as a system call
    *steps, name = _steps(os.fspath(path), top)
    return _open_below(top, steps, create=create), name


def _steps(path: str, top: str) -> Sequence[str]:
    """Return the names from a root down to a path."""
    prefix = top if top.endswith("/") else f"{top}/"
    steps = path[len(prefix) :].split("/")
    if not path.startswith(prefix) or not _NO_NAMES.isdisjoint(steps):
        raise UntrustedFileError(f"{path} is not below {top}.")
    return steps


def _open_below(top: str, steps: Sequence[str], *, create: bool = False) -> int:
    """Return the descriptor of a folder below a root."""
    try:
        descriptor = os.open(top, _ROOT)
    except FileNotFoundError:
        if not create:
            raise
        os.makedirs(top, exist_ok=True)
        descriptor = os.open(top, _ROOT)
    for number, step in enumerate(steps, 1):
        outer = descriptor
        try:
            descriptor = os.open(step, OPEN_FOLDER, dir_fd=outer)
        except OSError as error:
            if not create or not isinstance(error, FileNotFoundError):
                shown = os.path.join(top, *steps[:number])
                raise _explain(error, step, outer, shown, "a folder") from None
            descriptor = _make_step(step, outer)
        finally:
            os.close(outer)
    return descriptor


def _make_step(name: str, parent: int) -> int:
    with suppress(FileExistsError):  # another attempt has made it just now
        os.mkdir(name, dir_fd=parent)
    return os.open(name, OPEN_FOLDER, dir_fd=parent)


def open_step(name: str, folder: int, path: Path) -> int:
    """Open a folder in an open folder, and return its descriptor; `path` is its path, which errors name.

    Raises:
        UntrustedFileError: if it is something else, such as a link.
        OSError: if it cannot be opened.
    """
    try:
        return os.open(name, OPEN_FOLDER, dir_fd=folder)
    except OSError as error:
        raise _explain(error, name, folder, path, "a folder") from None


def _explain(error: OSError, name: str, folder: int | None, shown: object, expected: str) -> OSError:
    """Return the error for what could not be opened: what it is, if that is the reason."""
    with suppress(OSError):
        kind = stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        if _KINDS.get(kind) != expected:
            return UntrustedFileError(_unexpected(shown, kind, expected))
    return OSError(error.errno, error.strerror, str(shown))


def _check_regular(status: os.stat_result, shown: object) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UntrustedFileError(_unexpected(shown, stat.S_IFMT(status.st_mode), "a regular file"))


def _unexpected(shown: object, kind: int, expected: str) -> str:
    return f"{shown} is {_KINDS.get(kind, 'of an unknown kind')}: expected {expected}."


def _exists(path: Path) -> str:
    return (
        f"Cannot create the file {path}: it exists already. Another task probably created it. Nothing was written. "
        "Let tasks write to their own outputs only."
    )


@contextmanager
def _names(path: Path) -> Iterator[None]:
    """Let errors of the system in the block name a path, and not only the last step of it."""
    try:
        yield
    except OSError as error:
        raise _named(error, path) from None


def _named(error: OSError, path: StrPath) -> OSError:
    if error.errno is None or (error.filename and os.path.isabs(error.filename)):
        return error
    return OSError(error.errno, error.strerror, str(path))
