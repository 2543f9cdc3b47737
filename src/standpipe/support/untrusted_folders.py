"""Folders that tasks can change at any time: visited by descriptors, however deep, and never through a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress

from standpipe.errors import UnsupportedError

if os.open not in os.supports_dir_fd:
    raise UnsupportedError(
        "Standpipe runs pipelines on Linux and macOS: this system cannot open files without following links. On "
        "Windows, run them in WSL. Pipelines can be written and compiled here."
    )

#: The flags that open a folder, and nothing behind a link.
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def visit_folders(
    name: str, parent: int, enter: Callable[[int], list[str]], leave: Callable[[str, int], object]
) -> None:
    """Visit a folder and those below it. Those that cannot be opened, or are folders no more, are left out.

    `os.fwalk` and `shutil.rmtree` descend by recursion up to Python 3.12, and a task can nest folders deeper than that,
    and deeper than a path may be long. Here one folder is open at a time, and the way back up must lead to where the
    way down came from.

    Args:
        name: the name of the folder.
        parent: the descriptor of the folder that it is in.
        enter: called with the descriptor of each folder; returns the names of those in it that are visited.
        leave: called with the name of each folder below the first, and the descriptor of the one that it is in, when
            all that is below it was visited.

    Raises:
        OSError: if the folder itself cannot be opened.
    """
    current = os.open(name, OPEN_FOLDER, dir_fd=parent)
    try:
        levels = [(os.fstat(current), enter(current))]  # from the top to the open folder; what is left in each
        while True:
            _, left = levels[-1]
            if left:
                try:
                    inner = os.open(left[-1], OPEN_FOLDER, dir_fd=current)
                except OSError:
                    left.pop()  # it is closed to this user, or no folder any more
                    continue
                os.close(current)
                current = inner
                levels.append((os.fstat(current), enter(current)))
                continue
            levels.pop()
            if not levels:
                return
            outer = os.open("..", OPEN_FOLDER, dir_fd=current)
            os.close(current)
            current = outer
            status, left = levels[-1]
            if not os.path.samestat(os.fstat(current), status):
                return  # a task has moved the folder meanwhile
            leave(left.pop(), current)
    finally:
        os.close(current)


def change_mode(name: str, folder: int, change: Callable[[int], int]) -> None:
    """Change the permissions of a regular file or a folder; of anything else, or what belongs to another user, nothing.

    Args:
        name: its name.
        folder: the descriptor of the folder that it is in.
        change: returns the permissions for a mode.
    """
    with suppress(OSError):
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if _has_content(mode) and change(mode) != stat.S_IMODE(mode):
            _set_mode(name, folder, change)


def _set_mode(name: str, folder: int, change: Callable[[int], int]) -> None:
    """Change permissions through a descriptor, as a task may put a link in place of the file at any time."""
    # Opening for reading would need the permission, and act on a device. O_PATH does not; only Linux has it.
    file = os.open(
        name, getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
    )
    try:
        mode = os.fstat(file).st_mode
        if _has_content(mode):
            os.chmod(f"/proc/self/fd/{file}" if hasattr(os, "O_PATH") else file, change(mode))
    finally:
        os.close(file)


def _has_content(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
