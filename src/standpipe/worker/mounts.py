"""Mounts of a task, in a mount namespace of its own, which the rest of the machine does not see.

Users who may not mount need a user namespace, too (mount_namespaces(7), user_namespaces(7)). Nothing is created on the
machine's file systems: a folder that lacks a mount point is covered by a tmpfs, into which everything that the folder
holds is bound.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import List, Optional, Sequence, Set, Tuple

_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_RDONLY, _REMOUNT, _BIND, _REC, _UNBINDABLE, _PRIVATE = 1, 32, 4096, 16384, 1 << 17, 1 << 18
#: What a remount must repeat: nosuid, nodev, noexec, noatime, nodiratime; in statvfs they have the same numbers.
_LOCKED = 2 | 4 | 8 | 1024 | 2048


class MountsRefused(OSError):
    """The system does not let this user mount anything, even in namespaces of its own."""


def enter(mounts: Sequence[Tuple[str, str, bool]], keep: Sequence[str], spare: str) -> None:
    """Mount folders for this process and its child processes.

    Args:
        mounts: for each folder its path, the absolute path to mount it at, and whether it is read-only there.
        keep: folders that stay visible at their paths, even if a mount hides those.
        spare: an empty folder.

    Raises:
        MountsRefused: if the system does not allow it.
        OSError: if one of them cannot be mounted.
    """
    _unshare()
    _mount("", "/", _REC | _PRIVATE)
    # Opened before a mount hides them, and after `_unshare`, as only mounts of this namespace can be bound.
    sources = [os.open(source, os.O_PATH) for source, _, _ in mounts]
    kept = [(path, os.open(path, os.O_PATH)) for path in keep]
    mounted: List[str] = []
    covers: Set[int] = set()
    for source, (_, path, read_only) in sorted(zip(sources, mounts), key=lambda mount: mount[1][1]):
        _make_mount_point(path, mounted, covers, spare)
        _bind(f"/proc/self/fd/{source}", path)
        for folder, opened in kept:
            if _is_within(folder, path):
                os.makedirs(folder, exist_ok=True)
                _bind(f"/proc/self/fd/{opened}", folder)
        if read_only:
            _mount("", path, _REMOUNT | _BIND | _RDONLY | os.statvfs(path).f_flag & _LOCKED)
        mounted.append(path)
    for opened in (*sources, *(opened for _, opened in kept)):
        os.close(opened)


def _unshare() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _call("unshare", _CLONE_NEWNS) == 0:
        return
    if _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS) != 0:
        raise MountsRefused(errno.EPERM, "the system does not let this user mount anything")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _make_mount_point(path: str, mounted: Sequence[str], covers: Set[int], spare: str) -> None:
    """Create the folder to mount at, in a volume that is mounted already or in a folder that is then covered."""
    parent = path
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    if parent == path:
        return
    if os.stat(parent).st_dev not in covers and not any(_is_within(parent, volume) for volume in mounted):
        _cover(parent, spare)
        covers.add(os.stat(parent).st_dev)
    os.makedirs(path)


def _cover(folder: str, spare: str) -> None:
    old, names = os.open(folder, os.O_PATH), os.listdir(folder)
    new = spare if folder == "/" else folder
    _mount("tmpfs", new, 0, "tmpfs", f"mode={stat.S_IMODE(os.stat(folder).st_mode):o}")
    if folder == "/":
        _mount("", new, _UNBINDABLE)  # otherwise it would be bound into itself
    for name in names:
        with suppress(FileNotFoundError):  # others use the folder, too, and have removed it by now
            _show(f"/proc/self/fd/{old}/{name}", os.path.join(new, name))
    os.close(old)
    if folder == "/":
        os.chroot(new)


def _show(source: str, target: str) -> None:
    """Make what is at a path visible at another one.

    Raises:
        FileNotFoundError: if there is nothing any more; then there is nothing at the other one, either.
    """
    # Opened, it stays what it is, even if it is removed meanwhile.
    opened = os.open(source, os.O_PATH | os.O_NOFOLLOW)
    try:
        mode = os.fstat(opened).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink("", dir_fd=opened), target)
            return
        make, remove = (os.mkdir, os.rmdir) if stat.S_ISDIR(mode) else (_touch, os.unlink)
        make(target)
        try:
            _bind(f"/proc/self/fd/{opened}", target)
        except FileNotFoundError:
            remove(target)
            raise
    finally:
        os.close(opened)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _bind(source: str, target: str) -> None:
    _mount(source, target, _BIND | _REC)


def _mount(source: str, target: str, flags: int, kind: Optional[str] = None, data: Optional[str] = None) -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    if _call("mount", texts[0], texts[1], texts[2], flags, texts[3]) != 0:
        import ctypes  # `_call` has imported it

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def _call(function: str, *arguments: object) -> int:
    """Call a function of the C library; return -1 as well if it is missing or Python cannot call it."""
    try:
        import ctypes  # costs 5 ms, which few tasks pay
    except ImportError:
        return -1
    library = ctypes.CDLL(None, use_errno=True)
    return int(getattr(library, function)(*arguments)) if hasattr(library, function) else -1
