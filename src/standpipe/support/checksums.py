"""Checksums of files and folders: what a reader of a payload reads, and whether it is still the same.

The digest of a file is that of its content (`support.file_digests`). The digest of a folder is that of a listing: one
line of JSON for each entry below it, with its kind, its path below the folder, and the digest of a file. A link counts
by what a reader finds behind it, whatever its text: a link to an entry of the listing names that entry, and another
file or folder below the roots of the run is listed as well, once. A payload with a link that leads out of these roots
has no digest: what is there may be a whole disk, and nobody knows who changes it.

The size of a payload decides by which algorithm all of its digests are made, and the checksum says which one it is. To
compare with a checksum that was made by another one, as older Standpipes did, pass its algorithm.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from standpipe.errors import StandpipeError
from standpipe.model.cancellation import Cancellation
from standpipe.model.values import Checksum
from standpipe.support.file_digests import Cancelled, choose_algorithm, compute_digest, new_hash
from standpipe.support.paths import is_within, real_path

#: Nanoseconds in which a file may change twice without another time of change: the clock of a file system ticks a
#: hundred times in a second, or more often.
_TICK = 10_000_000

#: Up to this many bytes, reading again later costs less than waiting for the next tick.
_SMALL = 256 * 1024

#: The most entries that the links of a folder may lead to outside of it.
_MAX_LINKED = 100_000


class _NoChecksum(StandpipeError):
    """There is something without content, such as a socket, or the caller has stopped waiting."""


class _LeadsOutside(_NoChecksum):
    """A link leads out of the roots, or to a folder around the payload."""


#: A ValueError is that of a path that no file can have, as a task may have written.
_UNREADABLE = (OSError, ValueError, Cancelled, _NoChecksum)


class _State(NamedTuple):
    """What the file system says of a payload: a signature, its size in bytes, and its last change, in nanoseconds."""

    signature: str
    size: int
    changed: int


class _Entry(NamedTuple):
    """Something that a reader of a folder finds: in the folder, or where its links lead to.

    `kind` is `file`, `folder`, `link` or `other`, `name` its path below the listed folder; `notes` say where a link
    leads to, and which of the linked files and folders an entry belongs to.
    """

    path: str
    name: str
    kind: str
    notes: tuple[str, ...]
    is_linked: bool


def compute_checksum(
    path: str, cancel: Cancellation, roots: Sequence[str] = (), algorithm: str = ""
) -> Checksum | None:
    """Read the file or folder at a path, and return its checksum.

    Args:
        path: a path. It may be a link: below one of the roots, it may not lead out of them.
        cancel: stops the reading, as gigabytes would delay the cancellation.
        roots: absolute paths of the folders in which links of a folder may lead out of it.
        algorithm: that of a checksum to compare with; by default, the one for the size of the payload.

    Returns:
        A checksum without a digest if a link leads outside. None if nothing is there, or something that cannot be read,
        such as a device or a file of another user, and once `cancel` is set.
    """
    try:
        began, before = _settled_state(path, roots, cancel)
        algorithm = algorithm or choose_algorithm(before.size)
        digest = _digest(path, algorithm, cancel, roots)
        is_stable = _state(path, roots, cancel) == before and began - before.changed > _TICK
    except _LeadsOutside:
        return Checksum("", 0, "")
    except _UNREADABLE:
        return None  # a task that needs it reports why; the one that left it has succeeded
    return Checksum(f"{algorithm}:{digest}", before.size, before.signature if is_stable else "")


def compute_signature(path: str, roots: Sequence[str] = ()) -> str:
    """Return what the file system says of a payload, without reading it; empty if it has no checksum."""
    try:
        return _state(path, roots, Cancellation()).signature
    except _UNREADABLE:
        return ""


def _settled_state(path: str, roots: Sequence[str], cancel: Cancellation) -> tuple[int, _State]:
    """Return the time, in nanoseconds, and the state of a payload then; of a large one, a tick after its change."""
    now, state = time.time_ns(), _state(path, roots, cancel)
    if state.size > _SMALL and 0 <= now - state.changed <= _TICK:
        time.sleep((_TICK - (now - state.changed) + 1_000_000) / 1e9)
        now, state = time.time_ns(), _state(path, roots, cancel)
    return now, state


def _state(path: str, roots: Sequence[str], cancel: Cancellation) -> _State:
    path, status = _resolve(path, roots)
    if stat.S_ISREG(status.st_mode):
        return _State(_stamp(status), status.st_size, status.st_ctime_ns)
    if not stat.S_ISDIR(status.st_mode):
        raise _NoChecksum
    size, changed = 0, status.st_ctime_ns
    lines = hashlib.sha256(_stamp(status).encode())
    for entry in _walk(path, roots, cancel):
        inner = os.lstat(entry.path)
        size += inner.st_size if stat.S_ISREG(inner.st_mode) and not entry.is_linked else 0
        changed = max(changed, inner.st_ctime_ns)
        lines.update(_line(_stamp(inner), entry.name, *entry.notes))
    return _State(f"folder-{lines.hexdigest()[:32]}", size, changed)


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def _digest(path: str, algorithm: str, cancel: Cancellation, roots: Sequence[str]) -> str:
    path, status = _resolve(path, roots)
    if not stat.S_ISDIR(status.st_mode):
        return compute_digest(path, algorithm, cancel)
    lines = new_hash(algorithm)
    lines.update(b"folder\n")  # so that an empty folder is not an empty file
    for entry in _walk(path, roots, cancel):
        if entry.kind == "other":
            raise _NoChecksum
        digests = (compute_digest(entry.path, algorithm, cancel),) if entry.kind == "file" else ()
        lines.update(_line(entry.kind, entry.name, *digests, *entry.notes))
    return lines.hexdigest()


# --- links ------------------------------------------------------------------------------------------------------------


def _resolve(path: str, roots: Sequence[str]) -> tuple[str, os.stat_result]:
    """Return where a payload is, and what is there: something else than `path` if that is a link."""
    status = os.lstat(path)
    if not stat.S_ISLNK(status.st_mode):
        return path, status
    real = real_path(path)
    if is_within(path, *roots) and not is_within(real, *map(os.path.realpath, roots)):
        raise _LeadsOutside
    return real, os.lstat(real)


def _walk(folder: str, roots: Sequence[str], cancel: Cancellation) -> Iterator[_Entry]:
    """Yield everything in a folder, then everything that its links lead to, in an order that depends on names only.

    Raises:
        _NoChecksum: once `cancel` is set, as a folder may have millions of files.
    """
    links: _Links | None = None  # few folders have any
    for entry, name in _below(folder):
        if cancel:
            raise _NoChecksum
        notes: tuple[str, ...] = ()
        if entry.is_symlink():
            links = links or _Links(folder, roots)
            notes = links.follow(entry.path)
        yield _Entry(entry.path, name, _kind(entry), notes, is_linked=False)
    if links:
        yield from links.walk(cancel)


class _Links:
    """The files and folders that the links of a payload lead to, itself included, each with a number.

    Args:
        folder: the payload.
        roots: the folders that no link may lead out of.
    """

    def __init__(self, folder: str, roots: Sequence[str]) -> None:
        self._folder = os.path.realpath(folder)
        self._roots = [self._folder, *map(os.path.realpath, roots)]
        self._targets = [(self._folder, "folder")]
        self._numbers = {self._folder: 0}

    def follow(self, link: str) -> tuple[str, ...]:
        """Return where a link leads to: the number of a target, and the path below it.

        Raises:
            _LeadsOutside: if it leads out of the roots, or to a folder around the payload, which has no bounds.
            _NoChecksum: if it leads to something without content.
        """
        try:
            above = real = real_path(link)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return ("link to nothing",)
        while above not in self._numbers and above != os.path.dirname(above):
            above = os.path.dirname(above)
        if above in self._numbers:  # what is missing there is not in the listing
            return "link to", str(self._numbers[above]), os.path.relpath(real, above)
        if not is_within(real, *self._roots) or is_within(self._folder, real):
            raise _LeadsOutside
        mode = _find_mode(real)
        if not mode:
            return ("link to nothing",)
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise _NoChecksum
        self._numbers[real] = len(self._targets)
        self._targets.append((real, "file" if stat.S_ISREG(mode) else "folder"))
        return "link to", str(self._numbers[real]), "."

    def walk(self, cancel: Cancellation) -> Iterator[_Entry]:
        """Yield all targets outside of the payload, with everything below them."""
        count = 0
        for number, (path, kind) in enumerate(self._targets):  # grows
            if number == 0:
                continue
            target = ("in", str(number))
            yield _Entry(path, ".", kind, target, is_linked=True)
            for entry, name in _below(path) if kind == "folder" else ():
                notes = self.follow(entry.path) if entry.is_symlink() else ()
                yield _Entry(entry.path, name, _kind(entry), (*target, *notes), is_linked=True)
                count += 1
                if count > _MAX_LINKED or cancel:
                    raise _NoChecksum


def _find_mode(path: str) -> int:
    """Return the mode of what is at a path; 0 if a reader finds nothing there."""
    try:
        return os.lstat(path).st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return 0
        raise


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "link" if entry.is_symlink() else "other"


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


def _line(*fields: str) -> bytes:
    return json.dumps(fields).encode() + b"\n"
