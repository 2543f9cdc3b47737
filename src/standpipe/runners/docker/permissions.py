"""Permissions of the files that containers share with this machine. Links are never followed.

What a run leaves is for its user alone, but an image may have a user of its own. On a cluster, each pod has a copy of
its inputs, and volumes that every user may write to. Here, the folder of the run keeps out the other users of this
machine, so that what is in it can be open to the users of containers, who see it through mounts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from standpipe.model.attempts import TaskRequest
from standpipe.runners.request_files import request_file
from standpipe.support.umask import private_mode
from standpipe.support.untrusted_files import open_parent
from standpipe.support.untrusted_folders import change_mode, visit_folders

_READ, _WRITE, _ENTER, _ALL = 0o444, 0o222, 0o111, 0o777


def open_to_all(request: TaskRequest) -> None:
    """Let the user of a container read its inputs and its request, and write to its own folders and the workspace.

    Inputs stay readable, as other containers may be reading them. Only what runs have left is changed: neither what
    the caller has brought nor a workspace that the caller has named.
    """
    root = request.pipeline_root.resolve()
    for _, _, _, folder in os.fwalk(request.folder):
        os.fchmod(folder, _ALL)
    with suppress(FileNotFoundError):  # containers have none
        request_file(request.folder).chmod(_READ | stat.S_IWUSR)
    if request.workspace and request.workspace.resolve().is_relative_to(root):
        _change_modes(request.workspace.resolve(), root, lambda mode: _readable(mode) | _WRITE)
    for mount in request.input_mounts:
        if mount.source.is_relative_to(root):
            _change_modes(mount.source, root, _readable)


def close_to_others(request: TaskRequest) -> None:
    """Give what a container has left in its folder the permissions that files of the run have."""
    _change_modes(request.folder, request.pipeline_root, lambda mode: private_mode(mode, request.umask))


def _readable(mode: int) -> int:
    """Return permissions with which all users can read a file, execute one that is executable, and enter a folder."""
    is_entered = stat.S_ISDIR(mode) or mode & stat.S_IXUSR
    return stat.S_IMODE(mode) | _READ | (_ENTER if is_entered else 0)


def _change_modes(path: Path, root: Path, change: Callable[[int], int]) -> None:
    """Change the permissions of a file, or of a folder and all files and folders in it.

    Args:
        path: the file or the folder, below `root`.
        root: the folder below which no link is followed.
        change: returns the permissions for a mode.
    """

    def change_content(folder: int) -> list[str]:
        with os.scandir(folder) as entries:
            content = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for name, is_folder in content:
            if not is_folder:
                change_mode(name, folder, change)
        return [name for name, is_folder in content if is_folder]

    with suppress(OSError), open_parent(path, root) as (parent, name):  # it was removed, or a task has moved it
        with suppress(NotADirectoryError):
            visit_folders(name, parent, change_content, lambda name, parent: change_mode(name, parent, change))
        change_mode(name, parent, change)
