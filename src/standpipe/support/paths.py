"""Paths that users name, where paths lead, and whether one is below another."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from standpipe.errors import ArgumentError, StorageError


def absolute_path(name: str, path: str | os.PathLike[str]) -> Path:
    """Return the absolute path that a user means; `~` is the home folder.

    Args:
        name: the name of the option with the path, for the message.
        path: the path.

    Raises:
        ArgumentError: if the path is empty, or begins with `~` and there is no such user or home folder.
        StorageError: if the path is relative and the working directory was removed.
    """
    if not os.fspath(path):  # `pathlib` takes it for the current folder
        raise ArgumentError(f"Invalid {name}='': expected a path. Write '.' for the current folder.")
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


def real_path(path: str | os.PathLike[str]) -> str:
    """Return a path without links, of which tasks may have made chains.

    Raises:
        OSError: `ELOOP`, if there are more links than the system follows, or a circle: nobody can read what is behind
            them, and `os.path.realpath` would take minutes for a long chain, or exceed the limit of recursion.
    """
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
    return os.path.realpath(path)


def is_within(path: str, *folders: str) -> bool:
    """Return whether a path is one of some folders or below it, by their texts, which have neither links nor `..`."""
    return any(path == folder or path.startswith(os.path.join(folder, "")) for folder in folders)
