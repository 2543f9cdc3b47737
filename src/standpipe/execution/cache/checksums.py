"""Seals: what the payloads of artifacts are when their task has left them, and whether they still are that.

The digest of a file is that of its content. The digest of a folder is that of a listing: one line of JSON for each
thing in it, with its kind and its path below the folder, and with the digest of a file or the target of a link. Links
in a folder are not followed, so that nothing outside of it counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple, Union

from standpipe.errors import StandpipeError
from standpipe.model.ports import Cancel
from standpipe.model.values import ArtifactValue, Seal, Value, artifacts_in
from standpipe.worker.artifacts import local_path

_PIECE = 1024 * 1024

#: Nanoseconds in which a file may change twice without another time of change: file systems take the time from a clock
#: that ticks a hundred times in a second, or more often.
_TICK = 10_000_000

#: To read so many bytes again costs less than to wait for the next tick.
_SMALL = 256 * 1024


#: Seals what is at a path; None if that cannot be, or if nobody should read it.
Sealer = Callable[[str], Union[Seal, None]]


class _NoSeal(StandpipeError):
    """There is something that has no content, such as a socket, or nobody waits for the seal any more."""


#: A ValueError is that of a path that no file can have, which a task may have written down.
_UNREADABLE = (OSError, ValueError, _NoSeal)


class _State(NamedTuple):
    """What the file system says of a payload: a signature, its size in bytes, and when it changed, in nanoseconds."""

    signature: str
    size: int
    changed: int


def payload_of(artifact: ArtifactValue) -> str:
    """The absolute path at which an artifact's payload is, if it is there; empty if it is not on this machine."""
    path = artifact.custom_path or local_path(artifact.uri)
    return path if os.path.isabs(path) else ""


def sealed(outputs: Mapping[str, Value], inputs: Mapping[str, Value], seal: Sealer) -> dict[str, Value]:
    """The outputs of an attempt, with a seal on each artifact whose payload is on this machine.

    What several artifacts share is sealed once, and what was an input and has not changed is not read at all.
    """
    given = {payload_of(artifact): artifact.seal for artifact in artifacts_in(inputs.values())}
    seals: dict[str, Seal | None] = {}

    def with_seal(artifact: ArtifactValue) -> ArtifactValue:
        path = payload_of(artifact)
        if not path:
            return artifact
        if path not in seals:
            known = given.get(path)
            seals[path] = known if known and is_unchanged(path, known) else seal(path)
        return replace(artifact, seal=seals[path])

    return {name: with_seal(value) if isinstance(value, ArtifactValue) else value for name, value in outputs.items()}


def seal_of(path: str, cancel: Cancel) -> Seal | None:
    """Reads what is at a path, and seals it.

    None if there is nothing, or what has no content that could be read: a device, a file of somebody else. Also if
    `cancel` is set meanwhile: who has to stop does not wait for gigabytes.
    """
    try:
        began, before = _settled(path)
        digest = _digest(path, cancel)
        is_firm = _state(path) == before and began - before.changed > _TICK
    except _UNREADABLE:
        return None  # whoever needs it will say so; the task has done its part
    return Seal(f"sha256:{digest}", before.size, before.signature if is_firm else "")


def signature_of(path: str) -> str:
    """What the file system says of a payload, in short; empty if there is none that could be sealed."""
    try:
        return _state(path).signature
    except _UNREADABLE:
        return ""


def is_unchanged(path: str, seal: Seal) -> bool:
    """Whether what is at a path is what was sealed, as far as can be said without reading it."""
    return bool(seal.signature) and seal.signature == signature_of(path)


def _settled(path: str) -> tuple[int, _State]:
    """The state of a payload, and when that was, in nanoseconds. Of a large one, a tick after it changed."""
    now, state = time.time_ns(), _state(path)
    if state.size > _SMALL and 0 <= now - state.changed <= _TICK:
        time.sleep((_TICK - (now - state.changed) + 1_000_000) / 1e9)
        now, state = time.time_ns(), _state(path)
    return now, state


def _state(path: str) -> _State:
    found = os.stat(path)
    if stat.S_ISREG(found.st_mode):
        return _State(_stamp(found), found.st_size, found.st_ctime_ns)
    if not stat.S_ISDIR(found.st_mode):
        raise _NoSeal
    size, changed = 0, found.st_ctime_ns
    lines = hashlib.sha256(_stamp(found).encode())
    for entry, name in _below(path):
        inner = entry.stat(follow_symlinks=False)
        size += inner.st_size if stat.S_ISREG(inner.st_mode) else 0
        changed = max(changed, inner.st_ctime_ns)
        lines.update(_line(_stamp(inner), name))
    return _State(f"folder-{lines.hexdigest()[:32]}", size, changed)


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"


def _digest(path: str, cancel: Cancel) -> str:
    return _folder_digest(path, cancel) if os.path.isdir(path) else _file_digest(path, cancel)


def _folder_digest(folder: str, cancel: Cancel) -> str:
    lines = hashlib.sha256(b"folder\n")  # so that an empty folder is not an empty file
    for entry, name in _below(folder):
        if entry.is_symlink():
            lines.update(_line("link", name, os.readlink(entry.path)))
        elif entry.is_dir(follow_symlinks=False):
            lines.update(_line("folder", name))
        elif entry.is_file(follow_symlinks=False):
            lines.update(_line("file", name, _file_digest(entry.path, cancel)))
        else:
            raise _NoSeal
    return lines.hexdigest()


def _file_digest(path: str, cancel: Cancel) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            if cancel:
                raise _NoSeal
            digest.update(piece)
    return digest.hexdigest()


def _below(folder: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Everything in a folder, with its path below it, in an order that is the same on every file system."""
    prefixes = [""]
    while prefixes:
        prefix = prefixes.pop()
        with os.scandir(os.path.join(folder, prefix)) as entries:
            found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        for entry in found:
            yield entry, prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                prefixes.append(f"{prefix}{entry.name}/")


def _line(*words: str) -> bytes:
    return json.dumps(words).encode() + b"\n"
