"""The cache: what attempts left, by what went into them, in SQLite (`cache.sqlite` in the pipeline root or cache root).

Schema, version 1:

* `entries`: `key` (all that the result depends on, as one digest), `origin` (the run and the task that the outputs come
  from), `created` (seconds since the epoch), `outputs` (JSON by name, each with the kind of value that it is).
* `digests`: `path` (bytes, as the file system has it) of what no seal stands for, with its `digest`, `size` and
  `signature` (`model.values.Seal`).

Nothing in it is lost with it: whoever deletes the file lets every task run once more.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from standpipe.errors import StorageError
from standpipe.model.ports import CacheEntry
from standpipe.model.types import ArtifactType, Json
from standpipe.model.values import ArtifactValue, Seal, Value
from standpipe.store.database import Database, Schema

FILE_NAME = "cache.sqlite"

#: Each brings a database from the version of its index to the next one. They are never changed, only added to.
_MIGRATIONS = (
    """
    CREATE TABLE entries (
        key TEXT PRIMARY KEY, origin TEXT NOT NULL, created REAL NOT NULL, outputs TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE digests (
        path BLOB PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL, signature TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)

_ADVICE = (
    "If the disk is not full and the folder is yours, delete the file and those beside it that begin with its name: "
    "nothing is lost but time. Or choose another folder: local.init(..., cache_root=...)."
)
_SCHEMA = Schema(
    name="cache",
    migrations=_MIGRATIONS,
    advice=_ADVICE,
    elsewhere="choose another folder for it: local.init(..., cache_root=...)",
)


class CacheIndex:
    """Implements `model.ports.Cache` on a file in a folder, which many threads and processes share.

    Args:
        folder: where the file is; made if it is missing.

    Raises:
        StorageError: from here if the cache cannot be read or written, and from any method that meets that later.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._database = Database(self._path, _SCHEMA)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The folder {folder} for the cache cannot be made: {error.strerror}. Choose another one: "
                "local.init(..., cache_root=...)."
            ) from error
        try:
            with self._database.transaction() as db:
                db.execute("BEGIN IMMEDIATE")  # whoever may only read would find out after the first task has run
        finally:
            self._database.close()  # it is opened again by the first who needs it, and not all do

    def find(self, key: str) -> CacheEntry | None:
        """What stands for a key; see `model.ports.Cache`."""
        with self._database.transaction() as db:
            row = db.execute("SELECT origin, outputs FROM entries WHERE key = ?", (key,)).fetchone()
        return row and self._entry(*row)

    def keep(self, key: str, entry: CacheEntry, instead_of: CacheEntry | None = None) -> CacheEntry:
        """Lets an entry stand for a key, unless another one does; see `model.ports.Cache`."""
        row = {
            "key": key,
            "origin": entry.origin,
            "created": time.time(),
            "outputs": _dump_outputs(entry.outputs),
            "replaced": instead_of.origin if instead_of else None,
        }
        with self._database.transaction() as db:
            # One statement, so that of many processes exactly one is the first.
            db.execute(
                "INSERT INTO entries VALUES (:key, :origin, :created, :outputs) ON CONFLICT (key) DO UPDATE "
                "SET origin = :origin, created = :created, outputs = :outputs WHERE origin = :replaced",
                row,
            )
            standing = db.execute("SELECT origin, outputs FROM entries WHERE key = ?", (key,)).fetchone()
        return self._entry(*standing)

    def seal(self, path: str, signature: str) -> Seal | None:
        """What is known of a payload; see `model.ports.Cache`."""
        with self._database.transaction() as db:
            row = db.execute(
                "SELECT digest, size, signature FROM digests WHERE path = ? AND signature = ?",
                (os.fsencode(path), signature),
            ).fetchone()
        return row and Seal(*row)

    def note(self, path: str, seal: Seal) -> None:
        """Remembers a payload's seal; see `model.ports.Cache`."""
        with self._database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)",
                (os.fsencode(path), seal.digest, seal.size, seal.signature),
            )

    def close(self) -> None:
        """Closes the file; it is opened again if there is more to do."""
        self._database.close()

    def _entry(self, origin: str, outputs: str) -> CacheEntry:
        try:
            return CacheEntry(origin, {name: _load(*told) for name, told in json.loads(outputs).items()})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StorageError(f"The cache {self._path} holds what no Standpipe wrote: {error}. {_ADVICE}") from error


def _dump_outputs(outputs: Mapping[str, Value]) -> str:
    # In ASCII: a lone surrogate, as in the name of a file that is no UTF-8, is text to Python and not to SQLite.
    return json.dumps({name: _dump(value) for name, value in outputs.items()}, separators=(",", ":"))


def _dump(value: Value) -> tuple[str, Json]:
    if not isinstance(value, ArtifactValue):
        return "parameter", value
    told: dict[str, Json] = {
        "name": value.name,
        "type": [value.type.schema_title, value.type.schema_version],
        "uri": value.uri,
        "metadata": dict(value.metadata),
        "custom_path": value.custom_path,
    }
    if value.seal:
        told["seal"] = [value.seal.digest, value.seal.size, value.seal.signature]
    return "artifact", told


def _load(kind: str, told: Json) -> Value:
    if kind == "parameter":
        return told
    return ArtifactValue(
        told["name"],
        ArtifactType(*told["type"]),
        told["uri"],
        told["metadata"],
        told["custom_path"],
        Seal(*told["seal"]) if "seal" in told else None,
    )
