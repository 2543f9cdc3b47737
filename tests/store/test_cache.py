"""The cache: entries and checksums that outlive runs, shared by processes, and errors of a damaged file."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe.errors import StorageError
from standpipe.model.layout import CACHE_FILE
from standpipe.model.ports import CacheEntry
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue, Checksum
from standpipe.store.cache import SCHEMA, CacheIndex

SEAL = Checksum("sha256:00", 3, "3-1-1-1")
MODEL = ArtifactValue("m", ArtifactType("system.Model", "0.0.2"), "/m/\udcff", {"é": [1, 2.0, None]}, "/c", SEAL)


def entry(origin: str, **outputs: Any) -> CacheEntry:
    return CacheEntry(origin, outputs)


def test_outputs_are_found_as_they_were_stored(tmp_path: Path) -> None:
    outputs = {"model": MODEL, "none": None, "whole": 3, "double": 3.0, "list": ["artifact", {"b": 1, "a": 2}]}
    with closing(CacheIndex(tmp_path / "new")) as cache:
        assert cache.find("k") is None
        cache.keep("k", entry("run/task", **outputs))
    with closing(CacheIndex(tmp_path / "new")) as cache:
        found = cache.find("k")
    assert found is not None
    assert repr(found) == repr(entry("run/task", **outputs)), "types, orders and the checksum included"


def test_an_entry_is_replaced_only_if_it_is_named(tmp_path: Path) -> None:
    first, second, third = (entry(f"run-{number}/task", y=number) for number in range(3))
    with closing(CacheIndex(tmp_path)) as cache:
        assert cache.keep("k", first) == first
        assert cache.keep("k", second) == first
        assert cache.keep("k", second, instead_of=first) == second
        assert cache.keep("k", third, instead_of=first) == second, "somebody else was faster"
        assert cache.find("k") == second


def test_a_checksum_is_found_by_path_and_signature(tmp_path: Path) -> None:
    with closing(CacheIndex(tmp_path)) as cache:
        cache.note("/a/\udcff", SEAL)
        assert cache.checksum("/a/\udcff", SEAL.signature) == SEAL
        assert cache.checksum("/a/\udcff", "other") is None
        assert cache.checksum("/b", SEAL.signature) is None
        cache.note("/a/\udcff", Checksum("sha256:11", 4, "later"))
        assert cache.checksum("/a/\udcff", SEAL.signature) is None


def test_threads_share_the_cache(tmp_path: Path) -> None:
    with closing(CacheIndex(tmp_path)) as cache, ThreadPoolExecutor(8) as pool:

        def use(number: int) -> bool:
            key = str(number % 10)
            return cache.keep(key, entry(f"{number}/t")) == cache.find(key)

        assert all(pool.map(use, range(200)))


def keep_all(folder: str, process: int, came: Any) -> None:
    with closing(CacheIndex(Path(folder))) as cache:
        came.wait()
        for key in map(str, range(50)):
            origin = cache.keep(key, entry(f"{process}/t", y=process)).origin
            assert cache.find(key) == entry(origin, y=int(origin[0]))


def test_one_of_many_processes_inserts_an_entry(tmp_path: Path) -> None:
    context: Any = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    came = context.Barrier(4)
    processes = [context.Process(target=keep_all, args=(str(tmp_path), number, came)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    with closing(sqlite3.connect(tmp_path / CACHE_FILE)) as db:
        assert db.execute("SELECT count(*) FROM entries").fetchone() == (50,)


@pytest.mark.parametrize("damage", ["garbage", "half"])
def test_a_damaged_file_is_an_error_and_can_be_deleted(tmp_path: Path, damage: str) -> None:
    file = tmp_path / CACHE_FILE
    with closing(CacheIndex(tmp_path)) as cache:
        for number in range(50):
            cache.keep(str(number), entry("run/task", y="x" * 500))
    content = file.read_bytes()
    file.write_bytes(b"no database" * 1000 if damage == "garbage" else content[: len(content) // 2])
    with pytest.raises(StorageError, match=rf"cache {file} is damaged: .*Delete the file.*nothing else is lost"):
        CacheIndex(tmp_path)
    file.unlink()
    CacheIndex(tmp_path).close()


def test_a_damaged_entry_is_an_error(tmp_path: Path) -> None:
    with closing(CacheIndex(tmp_path)) as cache:
        unknown_field = '{"x": {"name": "m", "type": {"schema_title": "system.Model", "mood": 1}, "uri": "/m"}}'
        for key, outputs in enumerate(("{", "[]", unknown_field)):
            with closing(sqlite3.connect(tmp_path / CACHE_FILE)) as db, db:
                db.execute("INSERT INTO entries VALUES (?, 'o', 0, ?, 2, x'')", (str(key), outputs))
            with pytest.raises(StorageError, match=r"has a damaged entry.*Delete the file"):
                cache.find(str(key))


def test_entries_of_schema_1_are_found_and_replaced(tmp_path: Path) -> None:
    fields = {"name": "m", "type": ["system.Model", "0.0.2"], "uri": "/m", "metadata": {"a": 1}, "custom_path": ""}
    outputs = {
        "model": ["artifact", {**fields, "seal": ["sha256:00", 3, "3-1-1-1"]}],
        "bare": ["artifact", fields],
        "list": ["parameter", ["artifact", {}]],
    }
    with closing(sqlite3.connect(tmp_path / CACHE_FILE)) as db, db:
        db.executescript(SCHEMA.migrations[0])
        db.execute("INSERT INTO entries VALUES ('k', 'run/task', 0, ?)", (json.dumps(outputs),))
        db.execute("INSERT INTO digests VALUES (?, 'sha256:00', 3, '3-1-1-1')", (b"/m",))
        db.execute("PRAGMA user_version = 1")
    bare = ArtifactValue("m", ArtifactType("system.Model", "0.0.2"), "/m", {"a": 1})
    old = entry("run/task", model=replace(bare, checksum=SEAL), bare=bare, list=["artifact", {}])
    new = entry("run-2/task", model=MODEL)
    with closing(CacheIndex(tmp_path)) as cache:
        assert repr(cache.find("k")) == repr(old)
        assert cache.checksum("/m", SEAL.signature) == SEAL
        assert cache.keep("k", new, instead_of=old) == new
        assert repr(cache.find("k")) == repr(new)


def test_a_newer_schema_is_an_error(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / CACHE_FILE)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(
        StorageError, match=r"cache .*written by a newer Standpipe .*another folder for it: .*cache_root"
    ):
        CacheIndex(tmp_path)


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/folder for the cache cannot be created.*cache_root"):
        CacheIndex(tmp_path / "file" / "folder")


def test_a_read_only_file_is_an_error_before_a_task_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CacheIndex(tmp_path).close()
    connect = sqlite3.connect

    def read_only(path: Path, **options: Any) -> sqlite3.Connection:
        db = connect(path, **options)
        db.execute("PRAGMA query_only = ON")
        return db

    monkeypatch.setattr(sqlite3, "connect", read_only)
    with pytest.raises(StorageError, match=r"readonly database.*cache_root"):
        CacheIndex(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def lockf(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with pytest.raises(StorageError, match=r"its file system has no locks \(.*local\.init\(\.\.\., cache_root"):
        CacheIndex(tmp_path)


def test_failing_locks_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("locking protocol")

    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(StorageError, match="its file system has no locks"):
        CacheIndex(tmp_path)
