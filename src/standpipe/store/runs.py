"""The run store: the facts of every run, append-only, in SQLite (`runs.sqlite` in the pipeline root).

Schema, version 1:

* `runs`: `id` (the run's id), `pipeline` (its name), `created` (ISO 8601, UTC).
* `facts`: `run`, `seq` (from 1, without gaps), `at` (seconds since the epoch), `kind` (the fact's class), `body` (its
  fields as JSON; those that have their default value are left out).

In a `body`, a value among `inputs` or `outputs` that is an object with nothing but `$collected` in it is a mark. If it
holds a list, a loop gathered its items (`model.values.Collected`), which may be marked themselves. Otherwise it holds
the value itself: a dict that has no other key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from standpipe.model.events import Fact
from standpipe.model.refs import RunInfo, TaskRef
from standpipe.model.types import Json
from standpipe.model.values import Collected, Value
from standpipe.store.database import Database, Schema

FILE_NAME = "runs.sqlite"

#: Each brings a database from the version of its index to the next one. They are never changed, only added to.
_MIGRATIONS = (
    """
    CREATE TABLE runs (id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, created TEXT NOT NULL) STRICT;
    CREATE TABLE facts (
        run TEXT NOT NULL REFERENCES runs(id),
        seq INTEGER NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (run, seq)
    ) STRICT, WITHOUT ROWID;
    """,
)

_SCHEMA = Schema(
    name="run store",
    migrations=_MIGRATIONS,
    advice="Check that the disk is not full and that the folder is yours, or choose another pipeline root: "
    "local.init(..., pipeline_root=...).",
    elsewhere="choose another pipeline root: local.init(..., pipeline_root=...)",
)

#: The fields of facts that hold values by name, and the key that marks those that loops gathered.
_VALUES = {"inputs", "outputs"}
_MARK = "$collected"


class RunRecorder:
    """Appends the facts of one run, each batch in one transaction. To be used by one thread.

    Raises:
        StorageError: from any method, if the database cannot be written.
    """

    def __init__(self, pipeline_root: Path, run: RunInfo) -> None:
        self._database = Database(pipeline_root / FILE_NAME, _SCHEMA)
        self._run = run.id
        self._seq = 0
        self._insert("INSERT INTO runs VALUES (?, ?, ?)", [(run.id, run.name, run.created)])

    def __call__(self, facts: Sequence[Fact]) -> None:
        """Appends the facts."""
        now = time.time()
        rows = []
        for fact in facts:
            self._seq += 1
            rows.append((self._run, self._seq, now, type(fact).__name__, _dump(fact)))
        self._insert("INSERT INTO facts VALUES (?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Closes the database; it is opened again if there is more to append."""
        self._database.close()

    def _insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._database.transaction() as db:
            db.executemany(statement, rows)


def _plain(value: object) -> Json:
    """What JSON lacks: dataclasses as objects, with references to tasks as lists of steps, and enums by name."""
    if isinstance(value, Enum):
        return value.name
    if not is_dataclass(value):
        raise TypeError(f"a fact cannot hold {value!r}")
    defaults = vars(type(value))  # where a dataclass keeps those of its fields
    plain: dict[str, Any] = {
        name: item.path if isinstance(item, TaskRef) else item
        for name, item in vars(value).items()
        if name not in defaults or item != defaults[name]
    }
    for name in _VALUES & plain.keys():
        plain[name] = {key: _marked(item) for key, item in plain[name].items()}
    return plain


def _marked(value: Value) -> Json:
    """A value with its mark, if a loop gathered it; a dict that looks like a mark is put into one."""
    if isinstance(value, Collected):
        return {_MARK: [_marked(item) for item in value]}
    if isinstance(value, dict) and value.keys() == {_MARK}:
        return {_MARK: value}
    return value


# In ASCII: a lone surrogate, as in the name of a file that is no UTF-8, is text to Python and not to SQLite.
_dump = json.JSONEncoder(separators=(",", ":"), default=_plain).encode
