"""SQLite files that are read only: they are never changed, created or migrated, so every version can be read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.request import pathname2url

from standpipe.errors import StorageError
from standpipe.store import database
from standpipe.store.database import Schema


@contextmanager
def opened(path: Path, schema: Schema) -> Iterator[sqlite3.Connection | None]:
    """Open a database for reading for the length of a block; yield None if there is none, or it has no tables yet.

    Args:
        path: the file.
        schema: its schema.

    Raises:
        StorageError: if it cannot be read, also by the block; the message says what to do.
    """
    if not os.path.lexists(path):
        yield None
        return
    # A fork waits for readers, too: see `database.in_use`.
    with _explained(path, schema), database.in_use, closing(_connect(path)) as db:
        db.row_factory = sqlite3.Row
        yield db if _is_ready(db, path, schema) else None


def _connect(path: Path) -> sqlite3.Connection:
    """Return a connection for reading, which waits for writers.

    SQLite creates files beside a database while it is in use. In a folder that is write-protected, or on a full disk,
    it cannot: then the database is opened as immutable, unless a write-ahead log shows that it is in use. An empty log
    is one that this attempt to open the database has created.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise sqlite3.OperationalError("it is not a regular file")  # SQLite would wait for the other end of a FIFO
    uri = f"file:{pathname2url(str(path.absolute()))}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=database.PATIENCE)
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        db.close()
        with suppress(FileNotFoundError):
            if os.stat(f"{path}-wal").st_size:
                raise
        return sqlite3.connect(f"{uri}&immutable=1", uri=True)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _is_ready(db: sqlite3.Connection, path: Path, schema: Schema) -> bool:
    """Return whether the store has tables: a new store has none until its first run has started."""
    version, known = database.version_of(db), len(schema.migrations)
    if version > known:
        raise StorageError(
            f"The {schema.name} {path} was written by a newer Standpipe (schema {version}, expected at most {known}). "
            f"Upgrade Standpipe, or {schema.alternative}."
        )
    database.check_length(db, path, schema)
    return version > 0


@contextmanager
def _explained(path: Path, schema: Schema) -> Iterator[None]:
    """Raise errors of SQLite and the system as errors that say what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(
            f"The {schema.name} {path} cannot be read: {error}. Check that you may read the file and its folder, and "
            "that no other program has locked it."
        ) from error
    except sqlite3.Error as error:
        raise schema.damage(path, str(error)) from error
