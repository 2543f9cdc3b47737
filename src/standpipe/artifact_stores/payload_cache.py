"""Payloads of object stores on this machine: each content once, up to a limit of size.

```text
<pipeline root>/.payloads/
  <entry>/            a content: named by its digest, or by its URI and version where no digest is known
    .download         locked by who downloads it
    .state            the signature, the size and the digest of the payload; written last
    payload           the file or folder
  <entry>.used        locked by those who use the content (`support/usage_marks.py`)
  .size, .size-lock   the bytes of all payloads (`stored_size.py`)
```
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from standpipe.artifact_stores.stored_size import StoredSize
from standpipe.errors import StorageError
from standpipe.model.cancellation import Cancellation
from standpipe.model.json_values import InvalidJson, parse_json
from standpipe.model.layout import StateLayout, payload_entry
from standpipe.model.values import Checksum
from standpipe.support.checksums import compute_signature
from standpipe.support.locks import lock_file
from standpipe.support.untrusted_files import (
    ensure_folder,
    read_file,
    remove_path,
    resolve_within,
    write_atomically,
)
from standpipe.support.usage_marks import last_use, mark_path, reserved, using

_DOWNLOAD_FILE, _STATE_FILE = ".download", ".state"

#: The share of the limit that a removal leaves, so that the next payloads need none.
_REST = 0.9

#: By which share of the limit the payloads have to grow until a removal that found them in use is repeated.
_GROWTH = 0.05


class _State(NamedTuple):
    """What is known of an entry: the signature of its payload on this machine, its bytes, and its digest, if known."""

    signature: str
    size: int
    digest: str = ""


class _Entry(NamedTuple):
    """An entry with a payload: its name, when it was last used, and its bytes."""

    name: str
    used: float
    size: int


def name_of_content(checksum: Checksum) -> str:
    """Return the name of the entry of a content."""
    return payload_entry(checksum.digest)


def name_of_version(uri: str, version: str) -> str:
    """Return the name of the entry of what is at a URI in one version."""
    return f"uri-{hashlib.sha256(json.dumps([uri, version]).encode()).hexdigest()}"


class PayloadCache:
    """Keeps payloads below a pipeline root. Threads and processes share it.

    Args:
        root: the pipeline root.
        limit: the most bytes that all payloads may take; those that are in use are kept in any case.
    """

    def __init__(self, root: Path, limit: int) -> None:
        self._root = root
        self._layout = StateLayout(root)
        self._folder = self._layout.payloads
        self._limit = limit
        self._enough = limit
        self._total = StoredSize(self._folder, root, lambda: sum(each.size for each in self._entries()))

    def path(self, name: str) -> Path:
        """Return where the payload of an entry is, or will be."""
        return self._layout.payload(name)

    def has(self, name: str) -> bool:
        """Return whether an entry has its payload, as it was downloaded."""
        state = self._read_state(self._folder / name)
        payload = self.path(name)
        return state is not None and os.path.lexists(payload) and state.signature == self._sign(payload)

    @contextmanager
    def holding(self, name: str, download: Callable[[Path], None], cancel: Cancellation) -> Iterator[Path]:
        """Have the payload of an entry at its path, during a block.

        Args:
            name: the entry.
            download: writes the payload to a path.
            cancel: ends the wait for another process that downloads the same.

        Raises:
            StorageError: if `cancel` is set, or the folder cannot be used.
            Exception: what `download` raises.
        """
        with self._using(name, cancel):
            if not self.has(name):
                with self._downloading(name, cancel):
                    if not self.has(name):
                        remove_path(self.path(name), self._root)  # it was interrupted, or a task has changed it
                        download(self.path(name))
                        self._complete(name)
                self._evict()
            yield self.path(name)

    def add(self, name: str, source: Path, cancel: Cancellation) -> None:
        """Move a file or folder of the same file system into an entry, unless the entry has its content already."""
        self._add(name, source, 0, cancel)

    def _add(self, name: str, source: Path, counted: int, cancel: Cancellation) -> None:
        """Do what `add` does with a source of which some bytes are in the total."""
        with self._using(name, cancel), self._downloading(name, cancel):
            if self.has(name):
                remove_path(source, self._root)
                self._total.add(-counted)
            else:
                remove_path(self.path(name), self._root)
                with suppress(OSError):  # it stays there, and a task that reads the payload downloads it
                    os.rename(source, self.path(name))
                    self._complete(name, counted)
        self._evict()

    def digest(self, name: str) -> Checksum | None:
        """Return the checksum of what an entry has or had as its payload, without a signature; None if not known."""
        state = self._read_state(self._folder / name)
        return Checksum(state.digest, state.size, "") if state and state.digest else None

    def note(self, name: str, checksum: Checksum, cancel: Cancellation) -> None:
        """Note the checksum of the payload of an entry that is not in use, and move it to the entry of its content."""
        with reserved(self._folder, name, self._root) as is_free:
            if is_free:
                self._add(name_of_content(checksum), self.path(name), self._counted(name), cancel)
                self._write_state(name, _State("", checksum.size, checksum.digest))

    def _complete(self, name: str, counted: int = 0) -> None:
        payload, known = self.path(name), self.digest(name)
        size = _size_of(payload)
        self._total.add(size - counted - self._counted(name))  # first: too large a number is corrected
        self._write_state(name, _State(self._sign(payload), size, known.digest if known else ""))

    def _counted(self, name: str) -> int:
        """Return the bytes of an entry that are in the total."""
        state = self._read_state(self._folder / name)
        return state.size if state and state.signature else 0

    def _sign(self, payload: Path) -> str:
        return compute_signature(str(payload), (str(self._root),))

    def _write_state(self, name: str, state: _State) -> None:
        text = json.dumps(state._asdict()).encode()
        write_atomically(self._folder / name / _STATE_FILE, self._root, 0o666, lambda file: file.write(text))

    def _read_state(self, entry: Path) -> _State | None:
        try:
            state = parse_json(read_file(entry / _STATE_FILE, self._root), "the file")
            return _State(**state) if isinstance(state, dict) else None
        except (OSError, StorageError, InvalidJson, TypeError):
            return None  # it was not downloaded as a whole

    @contextmanager
    def _using(self, name: str, cancel: Cancellation) -> Iterator[None]:
        """Keep an entry from being removed, during a block; make it if it is missing."""
        with using(self._folder, name, self._root, keep_waiting=partial(_check, cancel)):
            ensure_folder(*resolve_within(self._folder / name, self._root))
            yield

    def _downloading(self, name: str, cancel: Cancellation) -> AbstractContextManager[object]:
        """Keep others from writing the payload of an entry, during a block."""
        return lock_file(self._folder / name / _DOWNLOAD_FILE, keep_waiting=partial(_check, cancel))

    def _evict(self) -> None:
        """Remove the payloads that were not used for the longest time, if all are more than the limit."""
        if self._total.get() <= self._enough:
            return
        entries = sorted(self._entries(), key=lambda each: each.used)
        total = self._total.count()
        for each in entries:
            if total <= self._limit * _REST:
                break
            if self._remove(each.name):
                total = self._total.add(-each.size)
        self._enough = max(self._limit, total + int(self._limit * _GROWTH))

    def _entries(self) -> Iterator[_Entry]:
        with suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                state = self._read_state(self._folder / name)
                if state and state.signature and os.path.lexists(self.path(name)):
                    yield _Entry(name, last_use(self._folder, name), state.size)

    def _remove(self, name: str) -> bool:
        """Remove an entry, unless it is in use; return whether it was."""
        with reserved(self._folder, name, self._root) as is_free:
            if is_free:
                remove_path(self._folder / name / _STATE_FILE, self._root)  # first: without it, it is not complete
                remove_path(self._folder / name, self._root)
                remove_path(mark_path(self._folder, name), self._root)
            return is_free


def _size_of(path: Path) -> int:
    """Return the bytes of a file, or of the files in a folder."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(os.lstat(os.path.join(top, name)).st_size for top, _, names in os.walk(path) for name in names)


def _check(cancel: Cancellation) -> None:
    if cancel:
        raise StorageError("The transfer was cancelled.")
