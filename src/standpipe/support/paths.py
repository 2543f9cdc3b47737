"""Paths that must stay below a folder, whatever links the tasks of a run have put on the way."""

from __future__ import annotations

import os
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
    """Makes a folder below `root`, and those above it that are missing. It must be new: what is in it is then ours.

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
