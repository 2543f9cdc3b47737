"""New folders for attempts. What is at their path already is moved aside, because nobody knows what it is."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from standpipe.support.untrusted_files import UntrustedFileError, open_folder, open_parent, open_step

#: How often what is at one path is moved aside. Only a task in progress can create it again.
_MOST_MOVES = 10


@contextmanager
def new_folder(folder: Path, root: Path, aside: Path) -> Iterator[tuple[int, Path | None]]:
    """Create a new folder below `root`, and its missing parents, and open it for the length of a block.

    It contains nothing that another task has written, nor an attempt that the run store has lost: what is at its path
    is moved into `aside`, unread.

    Args:
        folder: the folder, which is below the parent of `aside`.
        root: the folder below which no link is followed.
        aside: a folder below `root`. What is moved into it keeps its path below the parent of `aside`, in a new folder.

    Yields:
        The descriptor of the folder, and the path that the former folder, file or link was moved to; None if there was
        none.

    Raises:
        UntrustedFileError: if a link is on the way, or no folder, or a task creates something there again and again.
        OSError: if it cannot be created.
    """
    with open_parent(folder, root, create=True) as (parent, name):
        moved = _make(folder, root, aside, name, parent)
        descriptor = open_step(name, parent, folder)
    try:
        yield descriptor, moved
    finally:
        os.close(descriptor)


def make_folder(folder: Path, root: Path, aside: Path) -> Path | None:
    """Create a folder as `new_folder` does; return the path that the former one was moved to, None if none was."""
    with new_folder(folder, root, aside) as (_, moved):
        return moved


def _make(folder: Path, root: Path, aside: Path, name: str, parent: int) -> Path | None:
    """Create a folder in an open folder; return the path that the former one was moved to, None if there was none."""
    moved = None
    for _ in range(_MOST_MOVES):
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:
            moved = _move_aside(folder, root, aside, parent)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from None
        else:
            return moved
    raise UntrustedFileError(
        f"Cannot create the folder {folder}: a task creates it again and again. Nothing was written. Let tasks write "
        "to their own outputs only."
    )


def replace_folder(folder: Path, other: Path, root: Path) -> None:
    """Move another folder, both below `root`, to the path of a folder, whose entries it gets.

    Args:
        folder: the path.
        other: the other folder, whose entries have other names. Processes that have it open see the entries.
        root: the folder below which no link is followed.

    Raises:
        UntrustedFileError: if a link is on the way, or no folder.
        OSError: if something cannot be moved.
    """
    with open_folder(folder, root) as source, open_folder(other, root) as target:
        for name in os.listdir(source):
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    with open_parent(other, root) as (old_parent, old_name), open_parent(folder, root) as (parent, name):
        os.rename(old_name, name, src_dir_fd=old_parent, dst_dir_fd=parent)  # over the empty folder, in one step


def _move_aside(path: Path, root: Path, aside: Path, parent: int) -> Path:
    """Move a folder, a file or a link itself into `aside`, and return its new path; `parent` is the folder it is in."""
    target = aside / uuid.uuid4().hex[:8] / path.relative_to(aside.parent)
    with open_parent(target, root, create=True) as (folder, name):
        os.rename(path.name, name, src_dir_fd=parent, dst_dir_fd=folder)
    return target
