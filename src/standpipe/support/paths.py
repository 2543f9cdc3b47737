"""Paths that users name, and files that must stay below a root folder even if tasks created symbolic links in it."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from standpipe.errors import ArgumentError, StorageError


def absolute_path(name: str, path: str | os.PathLike[str]) -> Path:
    """Return the absolute path that a user means; `~` is the home folder.

    Args:
        name: the name of the option with the path, for the message.
        path: the path.

    Raises:
        ArgumentError: if the path begins with `~` and there is no such user, or the user has no home folder.
        StorageError: if the path is relative and the working directory was removed.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise ArgumentError(
            f"Invalid {name}={os.fspath(path)!r}: the home folder of {Path(path).parts[0]!r} is not known. Pass the "
            "path without '~'."
        ) from error
    except FileNotFoundError as error:
        raise StorageError(
            f"Cannot find {name}={os.fspath(path)!r}: the working directory was removed. Change to a folder that "
            "exists, or pass an absolute path."
        ) from error


def check_within(path: Path, root: Path) -> None:
    """Raise an error if symbolic links below a folder lead out of it.

    Args:
        path: a path below the folder; it need not exist.
        root: the folder.

    Raises:
        StorageError: if `path` resolves to a path outside of `root`.
    """
    steps = accumulate(path.relative_to(root).parts, Path.joinpath, initial=root)
    if not any(os.path.islink(step) for step in steps if step != root):
        return
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise StorageError(
            f"Cannot write to {path}: a symbolic link, which a task probably created, leads out of {root} to {real}. "
            "Nothing was written. Remove the link."
        )


def remove_path(path: Path) -> None:
    """Remove a file, a link, or a folder with its contents. What cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # it does not exist, or belongs to the user of a container
            path.unlink()


def write_atomically(target: Path, root: Path, mode: int, write: Callable[[str], object]) -> None:
    """Write a file, which replaces `target` in one step, because other tasks may be reading it.

    Args:
        target: a path below `root`; its missing parents are created.
        root: the folder that it must be in.
        mode: the permissions of the file, as far as the user's umask allows them. A temporary file would be its owner's
            alone, and containers may run as other users.
        write: called with the path of a temporary file, which it fills.

    Raises:
        StorageError: if symbolic links lead out of `root`.
        OSError: if the file cannot be written.
    """
    check_within(target.parent, root)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".partial-{uuid.uuid4().hex}"
    handle = os.open(partial, os.O_CREAT | os.O_EXCL, 0o777)
    try:
        allowed = stat.S_IMODE(os.fstat(handle).st_mode)
        write(str(partial))
        partial.chmod(mode & allowed)
        partial.replace(target)
    except BaseException:
        partial.unlink()
        raise
    finally:
        os.close(handle)
