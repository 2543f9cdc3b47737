"""SQLite files that many threads and processes share: opened, migrated, and closed before a fork."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

from standpipe.errors import StorageError
from standpipe.model.frozen import frozen
from standpipe.support.forking import register_functions
from standpipe.support.system_limits import advise

if sys.platform != "win32":
    import fcntl

#: The longest wait for another process that writes, in seconds.
PATIENCE = 30

#: One step of that wait, in seconds: between them signals are handled.
_STEP = 0.1

#: The errors of a file system that has no locks.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

#: Held while a database is in use. A fork waits for it and closes all databases: if a connection of SQLite were open
#: across a fork, both processes would hold its locks and overwrite what the other one wrote
#: (https://www.sqlite.org/howtocorrupt.html, "Carrying an open database file across a fork").
in_use = threading.RLock()
_databases: WeakSet[Database] = WeakSet()


@frozen
class Schema:
    """The tables of a database, and the texts of its errors.

    Each of the `migrations` is a script that brings a database from the version of its index to the next version. A
    migration is never changed once it is released. `advice` says what to do if the database cannot be used, `repair`
    what to do if it is damaged, and `alternative` how to choose another folder for it: a clause that begins with a
    verb. `if_replaced` says what to do if the file was removed while it was in use.
    """

    name: str
    migrations: tuple[str, ...]
    advice: str
    repair: str
    alternative: str
    if_replaced: str

    def damage(self, path: Path, reason: str) -> StorageError:
        """Return the error for a damaged database."""
        return StorageError(f"The {self.name} {path} is damaged: {reason}. {self.repair}")


class Database:
    """One SQLite file. It is opened when it is used, also after it was closed; any thread may use it.

    Args:
        path: the file. Its folder exists.
        schema: its schema.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path = path
        self._schema = schema
        self._db: sqlite3.Connection | None = None
        self._is_busy = False
        self._waits_for_disk = False
        self._log = Path(f"{path}-wal")
        self._file: tuple[int, int] | None = None  # which file it is, once it was opened
        self._log_file: tuple[int, int] | None = None  # and its log, since it was opened last
        _databases.add(self)

    @contextmanager
    def transaction(self, *, survives_power_loss: bool = False) -> Iterator[sqlite3.Connection]:
        """Give the connection for a transaction that writes. Keep it short: other threads and processes wait for it.

        In WAL mode, what is committed survives the end of this process, and a database is whole after a power loss. But
        a power loss can take the last transactions, all after a certain one.

        Args:
            survives_power_loss: whether the commit waits until the disk has this transaction and all before it, which
                takes as long as a hundred commits that do not wait, and checks that the file is still at its path.

        Raises:
            StorageError: if the database cannot be used.
        """
        with self._connected() as db:
            if survives_power_loss != self._waits_for_disk:
                db.execute(f"PRAGMA synchronous = {'FULL' if survives_power_loss else 'NORMAL'}")
                self._waits_for_disk = survives_power_loss
            try:
                execute(db, "BEGIN IMMEDIATE")
                yield db
                if self._db is db:  # otherwise this is a forked child, which leaves the transaction of its parent
                    db.commit()
            except BaseException:
                if self._db is db:
                    db.rollback()
                raise
            if survives_power_loss:
                self._check_file()  # SQLite writes to a removed one as well

    def select(self, statement: str, *parameters: object) -> Any:
        """Return the first row of a query, a tuple; None if there is none.

        Raises:
            StorageError: if the database cannot be used.
        """
        with self._connected() as db:
            self._check_file()
            return execute(db, statement, parameters).fetchone()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with in_use:
                self._is_busy = True
                try:
                    if self._db is None:
                        self._db = self._open()
                    yield self._db
                finally:
                    self._is_busy = False
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def abandon(self) -> None:
        """Leave a connection that is in use to the process that this one was forked from; see `_before_fork`."""
        if self._db is not None:
            _abandoned.append(self._db)
            self._db = None

    def close(self) -> None:
        """Close the database. The next transaction opens it again."""
        with in_use:
            if self._db is not None and not self._is_busy:
                self._db.close()
                self._db = None

    def _check_file(self) -> None:
        """Check that the file at the path is the one that was opened first, and that nobody removed its log.

        Raises:
            StorageError: if it was removed, replaced or moved meanwhile.
        """
        is_same = _identify(self._path) == self._file
        if not is_same or (self._db is not None and _identify(self._log) != self._log_file):
            raise StorageError(
                f"The {self._schema.name} {self._log if is_same else self._path} was removed, replaced or moved while "
                f"it was in use, so nobody will find what was written to it. {self._schema.if_replaced}"
            )

    def _open(self) -> sqlite3.Connection:
        if self._file is not None:
            self._check_file()  # SQLite would create a missing one
        self._need_locks()
        self._create()
        # A thread that forks closes the connections of other threads.
        db = sqlite3.connect(self._path, timeout=_STEP, isolation_level=None, check_same_thread=False)
        process = os.getpid()
        try:
            execute(db, "PRAGMA journal_mode = WAL")  # in which readers do not wait for writers
            execute(db, "PRAGMA synchronous = NORMAL")
            self._waits_for_disk = False
            check_length(db, self._path, self._schema)
            self._migrate(db)
            self._file, self._log_file = self._file or _identify(self._path), _identify(self._log)
        except BaseException:
            if process == os.getpid():
                db.close()
            else:
                _abandoned.append(db)
            raise
        return db

    def _create(self) -> None:
        """Create the file, if it is missing, with the permissions of the umask: SQLite would give the group fewer."""
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666))
        except FileExistsError:
            pass  # it is not even opened: closing it would release the locks of this process
        except OSError as error:
            raise self._unusable(error) from error

    def _need_locks(self) -> None:
        """Check that the file system has locks: without them SQLite waits as if another process held the lock."""
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
                f"The {self._schema.name} {self._path} cannot be used: its file system has no locks ({reason}), so "
                "processes would overwrite what others wrote. A local disk has locks: "
                f"{self._schema.alternative}."
            )
        if type(error) is sqlite3.DatabaseError:  # not a database, or malformed; other errors have subclasses
            return self._schema.damage(self._path, reason)
        advice = advise(error, self._schema.advice) if isinstance(error, OSError) else self._schema.advice
        return StorageError(f"The {self._schema.name} {self._path} cannot be used: {reason}. {advice}")

    def _migrate(self, db: sqlite3.Connection) -> None:
        migrations = self._schema.migrations
        if version_of(db) == len(migrations):
            return
        execute(db, "BEGIN EXCLUSIVE")  # another process may be migrating it
        version = version_of(db)
        if version > len(migrations):
            raise StorageError(
                f"The {self._schema.name} {self._path} was written by a newer Standpipe (schema {version}, expected at "
                f"most {len(migrations)}). Upgrade Standpipe, or {self._schema.alternative}."
            )
        for number, script in enumerate(migrations[version:], start=version + 1):
            for statement in _statements(script):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        execute(db, "COMMIT")


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script. Those of a trigger have semicolons inside."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _identify(path: Path) -> tuple[int, int] | None:
    """Return which file is at a path; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


#: Connections of the parent that are never closed here, as that would write to its database. There are some only if a
#: signal handler forked in the middle of a transaction of the main thread.
_abandoned: list[sqlite3.Connection] = []


def _before_fork() -> None:
    in_use.acquire()
    for database in list(_databases):
        database.close()


def _after_fork_in_child() -> None:
    global in_use
    in_use = threading.RLock()  # a thread that this process does not have holds the old one
    for database in list(_databases):
        database.abandon()


register_functions(before=_before_fork, in_parent=lambda: in_use.release(), in_child=_after_fork_in_child)


def check_length(db: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """Raise StorageError if a part of the last page is missing: SQLite reads zeros for it, and does not notice."""
    if os.path.getsize(path) % db.execute("PRAGMA page_size").fetchone()[0]:
        raise schema.damage(path, "its end is missing")


def execute(db: sqlite3.Connection, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
    """Execute a statement. It waits for other processes in short steps, between which signals are handled.

    Raises:
        sqlite3.Error: if they do not let it, or the database cannot be used.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return db.execute(statement, parameters)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.005)  # some statements fail at once, such as the switch of a new database to WAL


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the schema of a database, 0 for a new one."""
    return int(execute(db, "PRAGMA user_version").fetchone()[0])
