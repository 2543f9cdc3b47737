"""Checksums of files and folders: what a payload contains, and whether it is still the same.

The digest of a file is the SHA-256 of its content. The digest of a folder is that of a listing: one line of JSON for
each entry below it, with its kind, its path below the folder, and the digest of a file or the target of a link. What a
link leads to outside of the folder counts by names, sizes and times of change, and is not read. It may be a whole disk,
so a payload whose links lead to very many files has no checksum.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import stat
import time
from collections.abc import Iterator
from typing import NamedTuple

from standpipe.errors import StandpipeError
from standpipe.model.cancellation import Cancellation
from standpipe.model.values import Checksum
from standpipe.support.untrusted_files import open_regular

_PIECE = 1024 * 1024

#: Nanoseconds in which a file may change twice without another time of change: the clock of a file system ticks a
#: hundred times in a second, or more often.
_TICK = 10_000_000

#: Up to this many bytes, reading again later costs less than waiting for the next tick.
_SMALL = 256 * 1024

#: The most entries outside of a folder that its links may lead to.
_MAX_OUTSIDE = 10_000


class _NoChecksum(StandpipeError):
    """There is something without content, such as a socket, or the caller has stopped waiting."""


#: A ValueError is that of a path that no file can have, as a task may have written.
_UNREADABLE = (OSError, ValueError, _NoChecksum)


class _State(NamedTuple):
    """What the file system says of a payload: a signature, its size in bytes, and its last change, in nanoseconds."""

    signature: str
    size: int
    changed: int


def compute_checksum(path: str, cancel: Cancellation) -> Checksum | None:
    """Read the file or folder at a path, and return its checksum.

    Returns:
        None if nothing is there, or something that cannot be read: a device, a file of another user. Also None once
        `cancel` is set, as reading gigabytes would delay the cancellation.
    """
    try:
        began, before = _settled_state(path)
        digest = _digest(path, cancel)
        is_stable = _state(path) == before and began - before.changed > _TICK
    except _UNREADABLE:
        return None  # a task that needs it reports why; the one that left it has succeeded
    return Checksum(f"sha256:{digest}", before.size, before.signature if is_stable else "")


def compute_signature(path: str) -> str:
    """Return what the file system says of a payload, without reading it; empty if nothing with content is there."""
    try:
        return _state(path).signature
    except _UNREADABLE:
        return ""


def _settled_state(path: str) -> tuple[int, _State]:
    """Return the time, in nanoseconds, and the state of a payload then; of a large one, a tick after its change."""
    now, state = time.time_ns(), _state(path)
    if state.size > _SMALL and 0 <= now - state.changed <= _TICK:
        time.sleep((_TICK - (now - state.changed) + 1_000_000) / 1e9)
        now, state = time.time_ns(), _state(path)
    return now, state


def _state(path: str) -> _State:
    status = os.stat(path)
    if stat.S_ISREG(status.st_mode):
        return _State(_stamp(status), status.st_size, status.st_ctime_ns)
    if not stat.S_ISDIR(status.st_mode):
        raise _NoChecksum
    size, changed, outside = 0, status.st_ctime_ns, itertools.count()
    lines = hashlib.sha256(_stamp(status).encode())
    for entry, name in _below(path):
        inner = entry.stat(follow_symlinks=False)
        size += inner.st_size if stat.S_ISREG(inner.st_mode) else 0
        changed = max(changed, inner.st_ctime_ns)
        lines.update(_line(_stamp(inner), name, *_outside(path, entry, outside)))
    return _State(f"folder-{lines.hexdigest()[:32]}", size, changed)


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def _digest(path: str, cancel: Cancellation) -> str:
    return _folder_digest(path, cancel) if os.path.isdir(path) else _file_digest(path, cancel, follow_link=True)


def _folder_digest(folder: str, cancel: Cancellation) -> str:
    outside = itertools.count()
    lines = hashlib.sha256(b"folder\n")  # so that an empty folder is not an empty file
    for entry, name in _below(folder):
        if entry.is_symlink():
            lines.update(_line("link", name, os.readlink(entry.path), *_outside(folder, entry, outside)))
        elif entry.is_dir(follow_symlinks=False):
            lines.update(_line("folder", name))
        elif entry.is_file(follow_symlinks=False):
            lines.update(_line("file", name, _file_digest(entry.path, cancel)))
        else:
            raise _NoChecksum
    return lines.hexdigest()


def _file_digest(path: str, cancel: Cancellation, *, follow_link: bool = False) -> str:
    digest = hashlib.sha256()
    with os.fdopen(open_regular(path, follow_link=follow_link), "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            if cancel:
                raise _NoChecksum
            digest.update(piece)
    return digest.hexdigest()


def _below(folder: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield everything in a folder with its path below it, in an order that is the same on every file system."""
    prefixes = [""]
    while prefixes:
        prefix = prefixes.pop()
        with os.scandir(os.path.join(folder, prefix)) as entries:
            in_order = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        for entry in in_order:
            yield entry, prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                prefixes.append(f"{prefix}{entry.name}/")


def _outside(folder: str, entry: os.DirEntry[str], count: Iterator[int]) -> Iterator[str]:
    """Yield what the file system says of all that a link leads to, if that is not in the folder; nothing for others.

    Args:
        folder: the payload.
        entry: an entry below it.
        count: the number of entries outside that its links have led to so far.
    """
    if not entry.is_symlink():
        return
    target = os.path.realpath(entry.path)
    if f"{target}/".startswith(f"{os.path.realpath(folder)}/"):
        return
    try:
        yield _size_and_time(os.stat(target))
        if os.path.isdir(target):
            for below, name in _below(target):
                if next(count) >= _MAX_OUTSIDE:
                    raise _NoChecksum
                yield name
                yield _size_and_time(below.stat(follow_symlinks=False))
    except OSError as error:  # the link leads nowhere, or to what another user keeps private
        yield f"error {error.errno}"


def _size_and_time(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _line(*fields: str) -> bytes:
    return json.dumps(fields).encode() + b"\n"
