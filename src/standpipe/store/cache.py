"""The cache: outputs of attempts by their cache key, in SQLite (`cache.sqlite` in the pipeline root or cache root).

Schema, version 3:

* `entries`: `key` (the cache key), `origin` (the run and the task that the outputs come from), `created` (seconds since
  the epoch), `outputs` (a JSON object: values by name, written as in facts, see `store.notation`), `version` (3; 2 if
  it was stored when all checksums were SHA-256; 1 where schema 1 wrote the outputs: `["parameter", value]` or
  `["artifact", fields]` by name), `folder` (bytes: that of the cache when it was stored; empty before schema 3). A
  cache in a pipeline root may be moved or copied with it.
* `checksums`: `path` (bytes, as the file system has it) of a payload that no artifact in a run has a checksum of, with
  its `digest`, `size` and `signature` (`model.values.Checksum`).

If the file is deleted, all tasks run again, and nothing else is lost.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from standpipe.errors import StorageError
from standpipe.model.layout import CACHE_FILE
from standpipe.model.ports import CacheEntry
from standpipe.model.types import ArtifactType, Json
from standpipe.model.values import ArtifactValue, Checksum, Value
from standpipe.store.database import Database, Schema, execute, version_of
from standpipe.store.notation import decode_values, encode_values
from standpipe.store.read_only import opened
from standpipe.store.relocation import Move, infer_root

#: See `database.Schema`.
_MIGRATIONS = (
    """
    CREATE TABLE entries (
        key TEXT PRIMARY KEY, origin TEXT NOT NULL, created REAL NOT NULL, outputs TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE digests (
        path BLOB PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL, signature TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE entries ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE digests RENAME TO checksums;
    """,
    """
    ALTER TABLE entries ADD COLUMN folder BLOB NOT NULL DEFAULT x'';
    """,
)
_VERSION = 3  # of entries
_SELECT = "SELECT origin, outputs, version, folder FROM entries WHERE key = ?"

_REPAIR = (
    "Delete the file and those beside it whose names begin with its name: all tasks run again, and nothing else is "
    "lost. Or choose another folder: local.init(..., cache_root=...)."
)
SCHEMA = Schema(
    name="cache",
    migrations=_MIGRATIONS,
    advice="Check that the disk is not full and that you may write to the folder, or choose another one: "
    "local.init(..., cache_root=...).",
    repair=_REPAIR,
    alternative="choose another folder for it: local.init(..., cache_root=...)",
    if_replaced="Delete it only while nothing runs.",
)


class StoredEntry(NamedTuple):
    """An entry of a cache with its key, and when it was stored, in seconds since the epoch."""

    key: str
    created: float
    entry: CacheEntry


class CacheIndex:
    """Implements `model.ports.Cache` on a file in a folder, which many threads and processes share.

    Args:
        folder: the folder of the file; it is created if it is missing.

    Raises:
        StorageError: if the cache cannot be read or written, also from each method.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._path = folder / CACHE_FILE
        self._database = Database(self._path, SCHEMA)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The folder {folder} for the cache cannot be created: {error.strerror}. Choose another one: "
                "local.init(..., cache_root=...)."
            ) from error
        try:
            with self._database.transaction():
                pass  # a file that may only be read fails here, before any task runs
        finally:
            self._database.close()  # the first that needs it opens it again

    def find(self, key: str) -> CacheEntry | None:
        """Return the entry of a key; see `model.ports.Cache`."""
        row = self._select(_SELECT, key)
        return row and _entry(self._path, *row)

    def keep(self, key: str, entry: CacheEntry, instead_of: CacheEntry | None = None) -> CacheEntry:
        """Store the entry of a key, unless it has one; see `model.ports.Cache`."""
        row = {
            "key": key,
            "origin": entry.origin,
            "created": time.time(),
            "outputs": json.dumps(encode_values(entry.outputs), separators=(",", ":")),  # in ASCII: see store.facts
            "version": _VERSION,
            "folder": os.fsencode(self._folder),
            "replaced": instead_of.origin if instead_of else None,
        }
        with self._database.transaction() as db:
            # One statement, so that exactly one of many processes inserts the entry.
            db.execute(
                "INSERT INTO entries VALUES (:key, :origin, :created, :outputs, :version, :folder) "
                "ON CONFLICT (key) DO UPDATE SET origin = :origin, created = :created, outputs = :outputs, "
                "version = :version, folder = :folder "
                "WHERE origin = :replaced",
                row,
            )
            stored = db.execute(_SELECT, (key,)).fetchone()
        return _entry(self._path, *stored)

    def checksum(self, path: str, signature: str) -> Checksum | None:
        """Return the checksum of a payload; see `model.ports.Cache`."""
        row = self._select(
            "SELECT digest, size, signature FROM checksums WHERE path = ? AND signature = ?",
            os.fsencode(path),
            signature,
        )
        return row and Checksum(*row)

    def note(self, path: str, checksum: Checksum) -> None:
        """Store the checksum of a payload; see `model.ports.Cache`."""
        with self._database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO checksums VALUES (?, ?, ?, ?)",
                (os.fsencode(path), checksum.digest, checksum.size, checksum.signature),
            )

    def has_older_entries(self) -> bool:
        """Return whether entries are from the time of SHA-256 only; see `model.ports.Cache`."""
        return self._select("SELECT 1 FROM entries WHERE version < ? LIMIT 1", _VERSION) is not None

    def close(self) -> None:
        """Close the file. The next call opens it again."""
        self._database.close()

    def _select(self, statement: str, *parameters: object) -> Any:
        return self._database.select(statement, *parameters)


class CacheSnapshot(CacheIndex):
    """A cache that is only read: the file stays as it is, also if it is missing.

    Checksums of payloads that were read meanwhile are kept in memory.

    Args:
        folder: the folder of the file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._path = folder / CACHE_FILE
        self._checksums: dict[str, Checksum] = {}

    def keep(self, key: str, entry: CacheEntry, instead_of: CacheEntry | None = None) -> CacheEntry:
        """Return the entry, which is not stored."""
        return entry

    def checksum(self, path: str, signature: str) -> Checksum | None:
        """Return the checksum of a payload; see `model.ports.Cache`."""
        known = self._checksums.get(path)
        return known if known and known.signature == signature else super().checksum(path, signature)

    def note(self, path: str, checksum: Checksum) -> None:
        """Keep the checksum in memory."""
        self._checksums[path] = checksum

    def close(self) -> None:
        """Do nothing: each query closes the file."""

    def _select(self, statement: str, *parameters: object) -> Any:
        """Return the first row of a query; None if there is none, or the file is of an older version."""
        with opened(self._path, SCHEMA) as db:
            is_current = db is not None and version_of(db) == len(_MIGRATIONS)
            return execute(db, statement, parameters).fetchone() if db is not None and is_current else None


def read_entries(folder: Path) -> list[StoredEntry]:
    """Return all entries of the cache in a folder; none if there is no cache.

    Raises:
        StorageError: if it cannot be read.
    """
    path = folder / CACHE_FILE
    with opened(path, SCHEMA) as db:
        rows = [] if db is None else [dict(row) for row in db.execute("SELECT * FROM entries ORDER BY created")]
    return [
        StoredEntry(
            row["key"],
            row["created"],
            _entry(path, row["origin"], row["outputs"], row.get("version", 1), row.get("folder", b"")),
        )
        for row in rows
    ]


def delete_entries(folder: Path, keys: Sequence[str]) -> None:
    """Delete entries of the cache in a folder, in one transaction: their tasks run again.

    Raises:
        StorageError: if it cannot be written.
    """
    if not keys:
        return
    database = Database(folder / CACHE_FILE, SCHEMA)
    with closing(database), database.transaction() as db:
        db.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in keys])


def _entry(path: Path, origin: str, outputs: str, version: int, folder: bytes) -> CacheEntry:
    decode = decode_values if version > 1 else _decode_version_1
    try:
        values = decode(json.loads(outputs))
        return CacheEntry(origin, _relocate(str(path.parent), origin, values, os.fsdecode(folder)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(f"The cache {path} has a damaged entry: {error}. {_REPAIR}") from error


def _relocate(here: str, origin: str, values: dict[str, Value], folder: str) -> dict[str, Value]:
    """Return outputs with the locations that they have if the run was moved or copied together with the cache."""
    run = origin.partition("/")[0]
    former = folder or infer_root(values.values(), run)
    if former in ("", here) or not os.path.isdir(os.path.join(here, run)):
        return values
    return Move(former, here).values(values)


def _decode_version_1(outputs: Json) -> dict[str, Value]:
    return {
        name: _artifact_of_version_1(item) if kind == "artifact" else item for name, (kind, item) in outputs.items()
    }


def _artifact_of_version_1(item: Json) -> ArtifactValue:
    return ArtifactValue(
        item["name"],
        ArtifactType(*item["type"]),
        item["uri"],
        item["metadata"],
        item["custom_path"],
        Checksum(*item["seal"]) if "seal" in item else None,
    )
