"""SQLite files that many threads and processes use at once: opened, brought up to date, and closed before a fork."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

from standpipe.errors import StorageError
from standpipe.model.frozen import frozen

if sys.platform != "win32":
    import fcntl

#: Seconds that other processes may take to write what they have.
PATIENCE = 30

#: What a system answers for a file system that has no locks.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

#: Held while a database is in use. A fork waits for it, and finds all of them closed: a connection of SQLite does not
#: survive a fork, after which both processes would take its locks for theirs and overwrite what the other one wrote
#: (https://www.sqlite.org/howtocorrupt.html, "Carrying an open database file across a fork").
in_use = threading.RLock()
_databases: WeakSet[Database] = WeakSet()


@frozen
class Schema:
    """What a database holds, and what messages say of it.

    Each of the `migrations` brings a database from the version of its index to the next one. They are never changed,
    only added to. `advice` is what to do when it cannot be used, and `elsewhere` how to have it in another folder: a
    clause that begins with a verb.
    """

    name: str
    migrations: tuple[str, ...]
    advice: str
    elsewhere: str


class Database:
    """One SQLite file. It is opened when it is first used, and again after it was closed; any thread may use it.

    Args:
        path: the file. Its folder exists.
        schema: what it holds.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path = path
        self._schema = schema
        self._db: sqlite3.Connection | None = None
        _databases.add(self)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Lends the connection for a transaction, which should be short: meanwhile nobody else in this process has it.

        Raises:
            StorageError: if the database cannot be used.
        """
        try:
            with in_use:
                if self._db is None:
                    self._db = self._open()
                with self._db as db:
                    yield db
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Closes the database; it is opened again if there is more to do."""
        with in_use:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _open(self) -> sqlite3.Connection:
        self._need_locks()
        # A thread that forks closes the connections of all the others.
        db = sqlite3.connect(self._path, timeout=PATIENCE, check_same_thread=False)
        try:
            _use_wal(db)
            db.execute("PRAGMA synchronous = NORMAL")  # in WAL mode this loses nothing committed when a process dies
            self._migrate(db)
        except BaseException:
            db.close()
            raise
        return db

    def _need_locks(self) -> None:
        """Tries a lock beside the file: SQLite takes one that nobody can have for one that somebody has, and waits."""
        if sys.platform == "win32":
            return
        try:
            with tempfile.TemporaryFile(dir=self._path.parent) as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error | OSError) -> StorageError:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        without_locks = isinstance(error, OSError) and error.errno in NO_LOCKS
        if without_locks or "locking protocol" in reason:
            return StorageError(
                f"The {self._schema.name} {self._path} cannot be used: its file system has no locks ({reason}), and "
                "without them processes would overwrite what others wrote. On a disk of this machine it works: "
                f"{self._schema.elsewhere}."
            )
        return StorageError(f"The {self._schema.name} {self._path} cannot be used: {reason}. {self._schema.advice}")

    def _migrate(self, db: sqlite3.Connection) -> None:
        migrations = self._schema.migrations
        if version_of(db) == len(migrations):
            return
        db.execute("BEGIN EXCLUSIVE")  # another process may be at it
        version = version_of(db)
        if version > len(migrations):
            raise StorageError(
                f"The {self._schema.name} {self._path} was written by a newer Standpipe (schema {version}, this one "
                f"knows {len(migrations)}). Upgrade Standpipe, or {self._schema.elsewhere}."
            )
        for number, script in enumerate(migrations[version:], start=version + 1):
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        db.commit()


def _before_fork() -> None:
    in_use.acquire()
    for database in list(_databases):
        database.close()


def _after_fork_in_child() -> None:
    global in_use
    in_use = threading.RLock()  # the old one is held by a thread that is not in this process


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before_fork, after_in_parent=lambda: in_use.release(), after_in_child=_after_fork_in_child
    )


def _use_wal(db: sqlite3.Connection) -> None:
    """Chooses the mode in which nobody who reads waits for who writes.

    To switch a new database to it, a process must have it for itself, and if several try at once SQLite refuses
    instead of waiting for the timeout.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.005)
        else:
            return


def version_of(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
