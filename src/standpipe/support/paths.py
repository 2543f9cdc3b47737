"""Checks that a path stays below a folder, even if the tasks of a run have created symbolic links."""

from __future__ import annotations

import os
from itertools import accumulate
from pathlib import Path

from standpipe.errors import StorageError


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


def make_folder(folder: Path, root: Path) -> None:
    """Create a new folder below `root`, and its missing parents.

    It must not exist, so that it contains nothing that another task has written.

    Args:
        folder: the folder.
        root: the folder that it must be in.

    Raises:
        StorageError: if it exists already, or symbolic links lead out of `root`.
        OSError: if it cannot be created.
    """
    check_within(folder.parent, root)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise StorageError(
            f"Cannot create the folder {folder}: it exists already, or one of its parents is a file. Another task "
            "probably created it. Nothing was written. Let tasks write to their own outputs only."
        ) from None
