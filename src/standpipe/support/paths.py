"""Paths that must stay below a folder, whatever links the tasks of a run have put on the way."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from standpipe.errors import StorageError


def check_inside(path: Path, root: Path) -> None:
    """Raises StorageError if links below `root` lead from there out of it; `path` need not exist."""
    steps = accumulate(path.relative_to(root).parts, Path.joinpath, initial=root)
    if not any(os.path.islink(step) for step in steps if step != root):
        return
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise StorageError(
            f"{path} leads out of {root}, to {real}, by a link that a task must have left there. Nothing was written. "
            "Remove the link."
        )


def make_folder(folder: Path, root: Path) -> None:
    """Make a folder below `root`, and those above it that are missing. It must be new, so that its content is ours.

    Raises:
        StorageError: if it is there already, or links lead out of `root`.
        OSError: if it cannot be made.
    """
    check_inside(folder.parent, root)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise StorageError(
            f"{folder} exists already, or a file is in its way, so another task must have made it. Nothing was written "
            "into it. Let tasks write into their own outputs only."
        ) from None


def remove_path(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # nothing is there, or it belongs to the user of a container
            path.unlink()


def write_atomically(target: Path, root: Path, mode: int, write: Callable[[str], object]) -> None:
    """Let `write` fill a file, which then replaces `target` in one step: other tasks may be reading it.

    Args:
        target: a path below `root`; the folders above it are made.
        root: the folder that no link may lead out of.
        mode: the permissions of the file, as far as the user's umask allows them. A temporary file would be its owner's
            alone, and containers may run as other users.
        write: gets the path of the file to fill.

    Raises:
        StorageError: if links lead out of `root`.
        OSError: if the file cannot be written.
    """
    check_inside(target.parent, root)
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
