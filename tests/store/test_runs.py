"""Writing the run store."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standpipe.errors import StorageError
from standpipe.model.events import (
    AttemptFailed,
    AttemptReport,
    AttemptStarted,
    Fact,
    Failure,
    RunEnded,
    RunStarted,
    TaskFailed,
    TaskSucceeded,
)
from standpipe.model.kfp import DELETE_PVC
from standpipe.model.layout import RUN_STORE_FILE
from standpipe.model.plan import Command, Container
from standpipe.model.refs import TaskRef
from standpipe.model.states import TaskState
from standpipe.model.types import ArtifactType
from standpipe.model.values import ArtifactValue
from standpipe.store.plans import dump
from standpipe.store.runs import SCHEMA, RunRecorder
from tests.plans import RUN, dag, node, plan
from tests.processes import run_together

PLAN = plan(dag(node("a")))
TASK = TaskRef((("loop", 3), ("train", None)))


def facts(root: Path) -> list[tuple[int, str, Any]]:
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db:
        rows = db.execute("SELECT seq, kind, body FROM facts WHERE run = ? ORDER BY seq", (RUN.id,))
        return [(seq, kind, json.loads(body)) for seq, kind, body in rows]


def test_facts_are_stored_in_order_with_all_fields(tmp_path: Path) -> None:
    recorder = RunRecorder(tmp_path, RUN, PLAN)
    artifact = ArtifactValue("m", ArtifactType("system.Model"), "/m", {"é": [1, 2.5, None]})
    recorder((RunStarted({"x": 1}), AttemptStarted(TASK, 0)))
    recorder((TaskSucceeded(TASK, {"model": artifact}),))
    failed = TaskFailed(TASK, Failure("boom", signal=9))
    recorder((RunEnded(TaskState.FAILED, {}, (failed,)), AttemptFailed(TASK, 0, 3, Failure("boom"), 1000.5, 2.0)))
    recorder.close()
    told = {"name": "m", "type": {"schema_title": "system.Model"}, "uri": "/m"}
    task = [["loop", 3], ["train", None]]
    assert facts(tmp_path)[:3] == [
        (1, "RunStarted", {"inputs": {"x": 1}}),
        (2, "AttemptStarted", {"task": task, "attempt": 0}),
        (
            3,
            "TaskSucceeded",
            {"task": task, "outputs": {"model": {**told, "metadata": {"é": [1, 2.5, None]}}}},
        ),
    ]
    seq, kind, body = facts(tmp_path)[3]
    assert (seq, kind) == (4, "RunEnded")
    assert body["state"] == "FAILED"
    assert body["failures"][0]["task"] == task
    assert body["failures"][0]["failure"]["signal"] == 9
    seq, kind, body = facts(tmp_path)[4]
    assert kind == "AttemptFailed"
    attempt = {"task": task, "attempt": 0, "max_attempts": 3, "failed_at": 1000.5, "retry_delay": 2.0}
    assert body.items() >= attempt.items()


def test_the_disk_has_each_second_of_work_and_the_end_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite waits for the disk at the end of a transaction, if it is told so before."""
    statements: list[str] = []
    connect = sqlite3.connect

    def connect_traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        db = connect(*arguments, **options)
        db.set_trace_callback(statements.append)
        return db

    def waits(*recorded: Fact) -> bool:
        recorder(recorded)
        assert statements[-1] == "COMMIT"
        return [text for text in statements if "synchronous" in text][-1] == "PRAGMA synchronous = FULL"

    def succeeded(seconds: float) -> Fact:
        return TaskSucceeded(TASK, {}, AttemptReport(seconds))

    monkeypatch.setattr(sqlite3, "connect", connect_traced)
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        assert not waits(RunStarted({}), AttemptStarted(TASK, 0))
        assert not waits(succeeded(0.5))
        assert waits(AttemptFailed(TASK, 0, 3, Failure("boom"), 1000.5, 2.0, AttemptReport(0.5)))
        assert not waits(succeeded(0.9), AttemptStarted(TASK, 0), TaskSucceeded(TASK, {}))
        assert waits(TaskFailed(TASK, Failure("boom"), AttemptReport(3600)))
        assert not waits(succeeded(0.1))
        assert waits(RunEnded(TaskState.SUCCEEDED, {}, ()))
    deletes = replace(PLAN, executors={"exec-delete": Container(DELETE_PVC, Command())})
    with closing(RunRecorder(tmp_path, RUN._replace(id="deletes"), deletes)) as recorder:
        assert waits(RunStarted({}), AttemptStarted(TASK, 0))
        assert waits(succeeded(0.1))


def test_a_value_that_json_cannot_hold_is_a_type_error(tmp_path: Path) -> None:
    with (
        closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder,
        pytest.raises(TypeError, match="a fact cannot hold <object"),
    ):
        recorder((RunStarted({"x": object()}),))


def test_a_run_can_be_read_while_it_is_active(tmp_path: Path) -> None:
    recorder = RunRecorder(tmp_path, RUN, PLAN)
    recorder((RunStarted({}),))
    assert len(facts(tmp_path)) == 1
    recorder((AttemptStarted(TASK, 0),))
    assert len(facts(tmp_path)) == 2
    recorder.close()


def test_a_newer_schema_is_an_error(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="written by a newer Standpipe"):
        RunRecorder(tmp_path, RUN, PLAN)


def test_a_file_that_is_not_a_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / RUN_STORE_FILE).write_text("not a database at all" * 100)
    with pytest.raises(StorageError, match=rf"{RUN_STORE_FILE} is damaged: file is not a database.*move it away"):
        RunRecorder(tmp_path, RUN, PLAN)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 99, 100, 101, 342])
def test_a_batch_of_any_size_is_stored_in_order(tmp_path: Path, size: int) -> None:
    recorder = RunRecorder(tmp_path, RUN, PLAN)
    recorder((RunStarted({}),))
    recorder([AttemptStarted(TASK, attempt) for attempt in range(size)])
    recorder([AttemptStarted(TASK, size)])
    recorder.close()
    stored = facts(tmp_path)
    assert [seq for seq, _, _ in stored] == list(range(1, size + 3))
    assert [body["attempt"] for _, _, body in stored[1:]] == list(range(size + 1))


def test_a_batch_that_cannot_be_stored_as_a_whole_leaves_no_fact_and_no_gap(tmp_path: Path) -> None:
    recorder = RunRecorder(tmp_path, RUN, PLAN)
    recorder((RunStarted({}),))
    lock = sqlite3.connect(tmp_path / RUN_STORE_FILE)
    lock.execute("CREATE TRIGGER fails BEFORE INSERT ON facts WHEN NEW.seq = 113 BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(StorageError, match="no"):
        recorder([AttemptStarted(TASK, attempt) for attempt in range(115)])
    assert len(facts(tmp_path)) == 1
    lock.execute("DROP TRIGGER fails")
    lock.close()
    recorder([AttemptStarted(TASK, 0)])
    recorder.close()
    assert [seq for seq, _, _ in facts(tmp_path)] == [1, 2]


def stored(root: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(root / RUN_STORE_FILE)) as db:
        return [value for (value,) in db.execute(statement)]


def record_before_replacement(root: Path) -> None:
    """Record a run with a Plan and a text of its own, and another one."""
    text = "x" * 2_000_000
    own = replace(PLAN, name="own")
    for run, inputs, made in ((RUN.id, {"x": text, "y": text + "own"}, own), ("other", {"x": text}, PLAN)):
        with closing(RunRecorder(root, RUN._replace(id=run), made)) as recorder:
            recorder((RunStarted(inputs), AttemptStarted(TASK, 0), RunEnded(TaskState.FAILED, {}, ())))


def test_facts_that_are_replaced_leave_nothing(tmp_path: Path) -> None:
    record_before_replacement(tmp_path)
    numbers = stored(tmp_path, "SELECT rowid FROM runs ORDER BY rowid")
    with closing(RunRecorder(tmp_path, RUN._replace(name="new"), PLAN, replaces=True)) as recorder:
        recorder.append([(5.0, RunStarted({"z": 1})), (7.5, AttemptStarted(TASK, 0))])
        assert [seq for seq, _, _ in facts(tmp_path)] == [1, 2]
        recorder((AttemptStarted(TASK, 1),))
    assert [(seq, kind) for seq, kind, _ in facts(tmp_path)][2:] == [(3, "AttemptStarted")]
    assert stored(tmp_path, f"SELECT at FROM facts WHERE run = '{RUN.id}' ORDER BY seq")[:2] == [5.0, 7.5]
    assert stored(tmp_path, "SELECT pipeline FROM runs ORDER BY rowid") == [RUN.name, "new"]
    assert stored(tmp_path, "SELECT rowid FROM runs ORDER BY rowid") == [numbers[1], numbers[1] + 1]
    assert stored(tmp_path, "SELECT run FROM summaries") == ["other"]
    assert stored(tmp_path, "SELECT digest FROM plans") == [dump(PLAN)[1]]
    assert len(stored(tmp_path, "SELECT DISTINCT digest FROM texts")) == 1


def test_the_newest_run_has_another_number_after_its_facts_were_replaced(tmp_path: Path) -> None:
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((RunStarted({}),))
    (number,) = stored(tmp_path, "SELECT rowid FROM runs")
    with closing(RunRecorder(tmp_path, RUN, PLAN, replaces=True)) as recorder:
        recorder((RunStarted({}),))
    assert stored(tmp_path, "SELECT rowid FROM runs") == [number + 1]


def test_facts_that_cannot_be_replaced_as_a_whole_stay(tmp_path: Path) -> None:
    record_before_replacement(tmp_path)
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db:
        before = [*db.iterdump()]
        db.execute("CREATE TRIGGER fails BEFORE INSERT ON facts WHEN NEW.seq = 4 BEGIN SELECT RAISE(ABORT, 'no'); END")
        with (
            closing(RunRecorder(tmp_path, RUN, PLAN, replaces=True)) as recorder,
            pytest.raises(StorageError, match="no"),
        ):
            recorder.append([(float(at), AttemptStarted(TASK, at)) for at in range(4)])
        db.execute("DROP TRIGGER fails")
        assert [*db.iterdump()] == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which only Linux has")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    (tmp_path / RUN_STORE_FILE).symlink_to("/dev/full")
    with pytest.raises(StorageError, match="disk is not full"):
        RunRecorder(tmp_path, RUN, PLAN)


def test_text_that_is_not_utf_8_is_stored(tmp_path: Path) -> None:
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((RunStarted({"path": "/data/\udcff é"}),))
    assert facts(tmp_path) == [(1, "RunStarted", {"inputs": {"path": "/data/\udcff é"}})]


def test_a_large_text_is_stored_once_and_apart_from_the_facts_that_have_it(tmp_path: Path) -> None:
    text = "\udcffé" + "x" * 3_000_000
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((TaskSucceeded(TASK, {"y": text, "z": 1}), TaskSucceeded(TASK, {"a": 2, "x": text})))
        recorder((RunEnded(TaskState.SUCCEEDED, {"texts": text}),))
    bodies = [body for _, _, body in facts(tmp_path)]
    (digest,) = {digest for body in bodies for _, digest in body["texts"]}
    assert [body["outputs"] for body in bodies] == [{"y": None, "z": 1}, {"a": 2, "x": None}, {"texts": None}]
    assert [body["texts"] for body in bodies] == [[[["outputs", name], digest]] for name in ("y", "x", "texts")]
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db:
        parts = db.execute("SELECT digest, body FROM texts ORDER BY part").fetchall()
    assert {each for each, _ in parts} == {digest}
    assert b"".join(body for _, body in parts).decode("utf-8", "surrogatepass") == text


def test_a_migration_does_not_change_bodies(tmp_path: Path) -> None:
    """Bodies keep their bytes, so ids of Plans stay valid, and a process of the version before can still append."""
    body = '{"task":[["a",null]],"because":"no"}'
    text, digest = dump(PLAN)
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        for migration in SCHEMA.migrations[:2]:
            db.executescript(migration)
        db.execute("INSERT INTO plans VALUES (?, ?)", (digest, text))
        db.execute("INSERT INTO runs VALUES ('old', 'job', '', '', ?, '', 'another/task', 1)", (digest,))
        db.execute("INSERT INTO facts VALUES ('old', 1, 0.0, 'TaskSkipped', ?)", (body,))
        db.execute("PRAGMA user_version = 2")
    with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
        recorder((RunStarted({}),))
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db, db:
        assert db.execute("PRAGMA user_version").fetchone() == (7,)
        assert db.execute("SELECT rerun_of, redacted, plan FROM runs WHERE id = 'old'").fetchall() == [
            ("another/task", 1, digest)
        ]
        assert db.execute("SELECT body FROM plans WHERE digest = ?", (digest,)).fetchone() == (text,)
        assert db.execute("SELECT body FROM facts WHERE run = 'old'").fetchall() == [(body,)]
        db.execute("INSERT INTO facts VALUES (?, ?, ?, ?, ?)", ("old", 2, 0.0, "TaskSkipped", body))
        db.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ("older", "job", "", "", digest, "", "", 0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_during_a_run_loses_no_facts(tmp_path: Path) -> None:
    written = threading.Event()
    end = threading.Event()

    def write() -> None:
        with closing(RunRecorder(tmp_path, RUN, PLAN)) as recorder:
            while not end.is_set():
                recorder((AttemptStarted(TASK, 0),))
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    written.wait()
    ends = [write_in_fork(tmp_path, f"fork-{number}") for number in range(20)]
    end.set()
    writer.join()
    assert ends == [0] * 20
    with closing(sqlite3.connect(tmp_path / RUN_STORE_FILE)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (21,)
        assert db.execute("SELECT count(*) FROM facts WHERE run LIKE 'fork-%'").fetchone() == (200,)
        count, last = db.execute("SELECT count(*), max(seq) FROM facts WHERE run = ?", (RUN.id,)).fetchone()
    assert count == last, "the run that was going on lost nothing"


def write_in_fork(root: Path, run: str) -> int:
    """Record a run in a process that is forked from this one, and return its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads forks
        pid = os.fork()
    if pid == 0:
        code = 1
        signal.alarm(60)  # a process that waits for a lock forever is killed
        try:
            with closing(RunRecorder(root, RUN._replace(id=run), PLAN)) as recorder:
                for _ in range(10):
                    recorder((AttemptStarted(TASK, 0),))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


OPENS_AT_ONCE = """
import sys
from pathlib import Path
from standpipe.model.refs import RunInfo
from standpipe.model.plan import Component, Dag, Plan
from standpipe.store.runs import RunRecorder
plan = Plan("p", Component(Dag({})), {}, {})
folder, process = Path(sys.argv[1]), sys.argv[2]
for number in range(40):
    print(flush=True)
    input()
    RunRecorder(folder / str(number), RunInfo(process, "", "job", "2026-01-01T00:00:00Z", ""), plan).close()
"""


def test_many_processes_can_create_a_store_at_once(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / str(number)).mkdir()
    arguments = [[str(tmp_path), str(number)] for number in range(6)]
    assert run_together(OPENS_AT_ONCE, arguments, rounds=40) == [""] * 6
